"""Published shapes without a download: vLLM fills the weights with random numbers (`--load-format dummy`).

A model's folder gets the sizes of the published config.json (`known_models.toml`) and its quantisation. Tokenizer,
processor and chat template are the demo model's of the same architecture: the tokenizer is filled up to the published
vocabulary with words that no text contains, so that every token that random weights choose has a text.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from msgspec.structs import replace

from server.errors import ProfileError
from server.profile import DEMO_MODELS
from server.sizing.models import published_config

if TYPE_CHECKING:
    from server.profile import EngineProfile, Profile

Config = Mapping[str, Any]
LOAD_DUMMY = ("--load-format", "dummy")
DEMO_TRANSLATOR = "demo"
MODELS = {
    "mllama": ("MllamaForConditionalGeneration", "llama-3.2-11b-vision"),
    "llava_next_video": ("LlavaNextVideoForConditionalGeneration", "llava-next-video-7b"),
}
"""`model_type` -> the class of the model, and the demo model that it takes its small files from."""
DEMO_SPEECH = "whisper-large-v3-turbo"
POSITIONS_PER_S = 50
"""Of a Whisper's encoder."""
MLLAMA_IMAGE = "<|image|>"
PYTHON_TAG = "<|python_tag|>"
FOUR_BITS: Config = {
    "format": "pack-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128},
        }
    },
}
"""What a `quantization_config` says of W4A16 where that of FP8-dynamic says something else."""
LLAVA_TEMPLATE = """\
{% for message in messages %}{{ message['role'].upper() + ': ' }}\
{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}\
{% for part in message['content'] | selectattr('type', 'equalto', 'video') %}{{ '<video>\n' }}{% endfor %}\
{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}\
{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""
"""The demo model's has a line more, which only that model has learned."""
PINPOINTS = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""Shapes of a picture in squares of the tower's size; for videos they do not matter, but vLLM reads them."""


def with_dummy_weights(profile: Profile) -> Profile:
    """The profile with random weights, and the demo translator unless its own lies in a folder.

    Raises:
        ProfileError: the sizes of a model are not known here, or its engine runs on other machines.
    """
    if names := [engine.name for engine in profile.engines if engine.ray is not None]:
        raise ProfileError(f"dummy weights are made on this machine, but Ray runs {', '.join(names)}: leave out `ray`")
    engines = tuple(_with_dummy_weights(engine) if engine.replicas else engine for engine in profile.engines)
    translator = profile.translator
    if translator and translator.model and not Path(translator.model).expanduser().is_dir():
        translator = replace(translator, model=DEMO_TRANSLATOR)
    return replace(profile, engines=engines, translator=translator)


def _with_dummy_weights(engine: EngineProfile) -> EngineProfile:
    args = (*engine.args, *LOAD_DUMMY)
    if engine.local_model is not None and (engine.local_model / "config.json").is_file():
        return replace(engine, args=args)
    config = published_config(engine.model)
    if config is None:
        raise ProfileError(f"the sizes of {engine.model} are not known: dummy weights need a folder with its config")
    return replace(engine, model=str(_cached(engine.model.rpartition("/")[2], folder_files(config))), args=args)


def folder_files(config: Config) -> dict[str, bytes]:
    """The files of a model's folder, by name.

    Args:
        config: Sizes as in a published config.json, of Llama 3.2 Vision, LLaVA-NeXT-Video or Whisper. With a
            `quantization_config` of compressed-tensors the language model is FP8-dynamic or W4A16, else all is bf16.
    """
    if config["model_type"] == "whisper":
        return _speech_files(config)
    architecture, demo = MODELS[config["model_type"]]
    source = DEMO_MODELS / demo
    toy = orjson.loads((source / "config.json").read_bytes())
    tokenizer = orjson.loads((source / "tokenizer.json").read_bytes())
    processor = orjson.loads((source / "processor_config.json").read_bytes())
    special = ("bos_token_id", "eos_token_id", "pad_token_id")
    text = {**config["text_config"], **{name: toy["text_config"][name] for name in special}}
    whole = {**config, "architectures": [architecture], "dtype": "bfloat16", "text_config": text}
    if "quantization_config" in config:
        scheme = config["quantization_config"].get("format")
        whole["quantization_config"] = toy["quantization_config"] | (FOUR_BITS if scheme == "pack-quantized" else {})
    side = config["vision_config"]["image_size"]
    if config["model_type"] == "mllama":
        whole["image_token_index"] = text["vocab_size"]
        _move(tokenizer, MLLAMA_IMAGE, text["vocab_size"])
        _move(tokenizer, PYTHON_TAG, text["vocab_size"] + 1)
        processor["image_processor"]["size"] = {"height": side, "width": side}
        template = (source / "chat_template.jinja").read_bytes()
    else:
        pinpoints = [[down * side, across * side] for down, across in PINPOINTS]
        whole |= {name: toy[name] for name in ("image_token_index", "video_token_index")}
        whole["image_grid_pinpoints"] = processor["image_processor"]["image_grid_pinpoints"] = pinpoints
        processor["patch_size"] = config["vision_config"]["patch_size"]
        for part in ("image_processor", "video_processor"):
            processor[part] |= {"crop_size": {"height": side, "width": side}, "size": {"shortest_edge": side}}
        template = LLAVA_TEMPLATE.encode()
    _fill_up(tokenizer["model"]["vocab"], text["vocab_size"])
    settings = orjson.loads((source / "tokenizer_config.json").read_bytes())
    del settings["model_max_length"]  # the toy's; the model's own is in its configuration
    return {
        "config.json": orjson.dumps(whole, option=orjson.OPT_INDENT_2),
        "tokenizer.json": orjson.dumps(tokenizer),
        "tokenizer_config.json": orjson.dumps(settings, option=orjson.OPT_INDENT_2),
        "processor_config.json": orjson.dumps(processor, option=orjson.OPT_INDENT_2),
        "chat_template.jinja": template,
        "generation_config.json": (source / "generation_config.json").read_bytes(),
    }


def _speech_files(config: Config) -> dict[str, bytes]:
    """The files of a Whisper. Times are its last tokens: there are as many fillers before them as words are missing."""
    source = DEMO_MODELS / DEMO_SPEECH
    toy = orjson.loads((source / "config.json").read_bytes())
    tokenizer = orjson.loads((source / "tokenizer.json").read_bytes())
    processor = orjson.loads((source / "processor_config.json").read_bytes())
    settings = orjson.loads((source / "tokenizer_config.json").read_bytes())
    features = processor["feature_extractor"]
    window_s = config["max_source_positions"] // POSITIONS_PER_S
    rate, hop = features["sampling_rate"], features["hop_length"]
    features |= {"feature_size": config["num_mel_bins"], "chunk_length": window_s}
    features |= {"n_samples": window_s * rate, "nb_max_frames": window_s * rate // hop}
    added = tokenizer["added_tokens"]
    shift = config["vocab_size"] - toy["vocab_size"]
    for token in added[1:]:  # all but the end of a text, which is a word like any other
        token["id"] += shift
    start = added[1]["id"]
    vocabulary = tokenizer["model"]["vocab"]
    _fill_up(vocabulary, start)
    return {
        "config.json": orjson.dumps(
            toy | dict(config) | {"dtype": "bfloat16", "decoder_start_token_id": start}, option=orjson.OPT_INDENT_2
        ),
        "tokenizer.json": orjson.dumps(tokenizer),
        "tokenizer_config.json": orjson.dumps(settings, option=orjson.OPT_INDENT_2),
        "processor_config.json": orjson.dumps(processor, option=orjson.OPT_INDENT_2),
        "generation_config.json": (source / "generation_config.json").read_bytes(),
    }


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a model's files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _move(tokenizer: dict[str, Any], token: str, number: int) -> None:
    """Give an added token another number."""
    (entry,) = [entry for entry in tokenizer["added_tokens"] if entry["content"] == token]
    entry["id"] = number


def _fill_up(vocabulary: dict[str, int], size: int) -> None:
    """Give every free number below `size` a word; without merges that lead to it, no text is read as it."""
    taken = set(vocabulary.values())
    vocabulary.update({f"\u0120w{number}": number for number in range(size) if number not in taken})  # a space before


def _cached(name: str, files: Mapping[str, bytes]) -> Path:
    """A folder with these files in the cache; who finds it finds it whole."""
    digest = hashlib.sha256()
    for part in sorted(files):
        digest.update(part.encode() + files[part])
    base = os.environ.get("BABELVIEW_CACHE")
    cache = (Path(base) if base else Path.home() / ".cache" / "babelview") / "dummy-weights"
    folder = cache / f"{name}-{digest.hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=cache))
    write_folder(scratch, files)
    try:
        scratch.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(scratch)  # another process was quicker
    return folder
