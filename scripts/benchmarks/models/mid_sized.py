"""Mid-sized checkpoints with random weights, of the real architectures, on which the benchmarks measure.

    python -m scripts.benchmarks.models.mid_sized                                    # what there is, with its size
    python -m scripts.benchmarks.models.mid_sized --models ./bench-models            # write them all, 1.1 GB
    python -m scripts.benchmarks.models.mid_sized --models ./bench-models --only llava-next-video-mid

Every width and depth is a quarter of the published model's, so that the parts cost what they cost there, relative to
each other: the vision tower beside the text stack, attention beside the linear layers. Not so the translator, half of
NLLB-200 600M's width: beside these models it weighs about ten times as much as beside the published ones.
LLaVA-NeXT-Video keeps its 336 pixels and 144 tokens a frame. Llama 3.2 Vision's tiles have 280 pixels and 401 tokens, a
quarter of the published 1601: with all of them attention would cost four times its share. Tokenizers, templates and
processors are those of the demo models, so nothing is downloaded; their vocabularies are small, and so are embeddings
and heads.

The models never end an answer and say nothing but words of the drawn world and full stops: rows of the head that
belong to other tokens are zero. So an answer is as long as its `max_tokens`, differs from file to file, and can be
cut into sentences as a caption can. It means nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    MllamaConfig,
    MllamaForConditionalGeneration,
)

from scripts.benchmarks.models.random_nllb import SHAPES
from scripts.benchmarks.models.random_nllb import write as write_nllb
from server.profile import DEMO_MODELS
from server.selftest.published_names import llama_name, llava_name
from translator.model.models import DEMO_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PretrainedConfig, PreTrainedModel

VIDEO, PICTURE, TEXT, TRANSLATION = "llava-next-video-mid", "llama-3.2-vision-mid", "llama-text-mid", "nllb-mid"
TOKENS = 220
"""Of an answer: about what the published descriptions of videos have."""
TILE = 280
"""Pixels of a side of Llama 3.2 Vision's tiles."""
FRAME = 336
"""Pixels of a side of LLaVA-NeXT-Video's frames."""
FRAME_TOKENS = 144
CONTEXT = 4096
SHARD_BYTES = 64_000_000
ATTENTION_GAIN = 3.0
"""Random queries and keys of unit variance attend to everything alike, and all answers run into the same few words.
With this gain a token attends to a few others, as in a trained model, and answers depend on what is shown."""
HEAD_GAIN = 0.1


@dataclass(frozen=True)
class MidModel:
    """A vision or text model and where its tokenizer comes from."""

    kind: type[PreTrainedModel]
    config: Callable[[Path], PretrainedConfig]
    """Makes the configuration out of the demo model's folder."""
    demo: str
    """Name of the demo model that gives tokenizer, template and processor."""
    published_name: Callable[[str], str]
    stop_gain: float
    """Of the full stop's row in the head; chosen so that sentences have 10 to 15 words."""


def _llava(demo: Path) -> LlavaNextVideoConfig:
    config = json.loads((demo / "config.json").read_text())
    config["text_config"] |= {
        "hidden_size": 1024,
        "intermediate_size": 2752,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": CONTEXT,
    }
    config["vision_config"] |= {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "image_size": FRAME,
        "patch_size": 14,
        "projection_dim": 192,
    }
    side = FRAME // 14
    config |= {"image_grid_pinpoints": [[FRAME, FRAME]], "image_seq_length": side * side}
    config |= {"video_seq_length": 8 * FRAME_TOKENS}
    return LlavaNextVideoConfig(**config)


LLAMA_TEXT: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 3584,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
LLAMA_LAYERS, CROSS_LAYERS = 10, [3, 8]
"""Published: 40, of which eight attend to the picture: 3, 8, 13 and so on."""


def _mllama(demo: Path) -> MllamaConfig:
    config = json.loads((demo / "config.json").read_text())
    config["text_config"] |= LLAMA_TEXT | {"num_hidden_layers": LLAMA_LAYERS, "cross_attention_layers": CROSS_LAYERS}
    config["vision_config"] |= {
        "hidden_size": 320,
        "intermediate_size": 1280,
        "num_hidden_layers": 8,
        "num_global_layers": 2,
        "attention_heads": 4,
        "image_size": TILE,
        "patch_size": 14,
        "intermediate_layers_indices": [0, 1, 3, 5, 7],
        "vision_output_dim": 6 * 320,
    }
    return MllamaConfig(**config)


def _llama(demo: Path) -> LlamaConfig:
    """The same text stack without the layers that attend to pictures."""
    text = json.loads((demo / "config.json").read_text())["text_config"]
    same = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "rms_norm_eps", "rope_parameters")
    layers = LLAMA_LAYERS - len(CROSS_LAYERS)
    return LlamaConfig(**LLAMA_TEXT, **{name: text[name] for name in same}, num_hidden_layers=layers)


MODELS = {
    VIDEO: MidModel(
        LlavaNextVideoForConditionalGeneration, _llava, "llava-next-video-7b-bf16", llava_name, stop_gain=1.25
    ),
    PICTURE: MidModel(MllamaForConditionalGeneration, _mllama, "llama-3.2-11b-vision-bf16", llama_name, stop_gain=1.0),
    TEXT: MidModel(LlamaForCausalLM, _llama, "llama-3.2-11b-vision-bf16", str, stop_gain=1.0),
}
NAMES = (*MODELS, TRANSLATION)


def ensure(folder: Path, name: str, *, seed: int = 0) -> Path:
    """The checkpoint of that name in `folder`, written if it is not there; the same seed gives the same weights.

    A folder of that name is complete: it gets it when all is written.

    Raises:
        KeyError: there is no such model.
        OSError: it cannot be written.
    """
    done = folder / name
    if done.exists():
        return done
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
        writing = Path(scratch) / name
        if name == TRANSLATION:
            write_nllb(writing, SHAPES["mid"], seed=seed, endless=True)
        else:
            _write(writing, MODELS[name], seed)
        try:
            writing.rename(done)
        except OSError:
            if not done.exists():  # another process may have been first
                raise
    return done


def skeleton(name: str) -> PreTrainedModel:
    """The model without weights: on PyTorch's meta device."""
    model = MODELS[name]
    with torch.device("meta"):
        return model.kind(model.config(DEMO_MODELS / model.demo))


def _write(folder: Path, model: MidModel, seed: int) -> None:
    """Tensor after tensor, a file as soon as it is full, as published checkpoints are divided."""
    demo = DEMO_MODELS / model.demo
    folder.mkdir()
    config = model.config(demo)
    with torch.device("meta"):
        empty = model.kind(config).state_dict()
    said, stop = spoken(demo)
    shards: list[dict[str, torch.Tensor]] = [{}]
    weight_map: dict[str, int] = {}
    size = total = 0
    for name, like in empty.items():
        if name.endswith("position_ids"):
            continue
        weight = _draw(name, tuple(like.shape), seed)
        if name == "lm_head.weight":
            weight = _of_spoken(weight, said, stop, model.stop_gain)
        weight = weight.to(torch.bfloat16)
        if size and size + weight.nbytes > SHARD_BYTES:
            _save(folder, len(shards), shards[-1])
            shards[-1], size = {}, 0
            shards.append({})
        published = model.published_name(name)
        shards[-1][published], weight_map[published] = weight, len(shards)
        size, total = size + weight.nbytes, total + weight.nbytes
    _save(folder, len(shards), shards[-1])
    index = {name: _shard(number) for name, number in weight_map.items()}
    content = {"metadata": {"total_size": total}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=1))
    config.architectures, config.dtype = [model.kind.__name__], torch.bfloat16
    config.save_pretrained(folder)
    _copy_processor(demo, folder, config)


def _shard(number: int) -> str:
    return f"model-{number:05}.safetensors"


def _save(folder: Path, number: int, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, folder / _shard(number), metadata={"format": "pt"})


def _draw(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Random weights, scaled so that what flows through the layers neither vanishes nor grows."""
    if "gate_attn" in name or "gate_ffn" in name or name.endswith("gate"):
        return torch.full(shape, 0.7)  # at 0, as they are initialised, no picture is seen
    if "norm" in name:
        return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
    if name.endswith("bias"):
        return torch.zeros(shape)
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
    weight = torch.randn(shape, generator=generator)
    if "embed" in name and "patch_embed" not in name:
        return weight * 0.5
    fan_in = weight[0].numel() if len(shape) > 1 else shape[0]
    gain = ATTENTION_GAIN if name.endswith(("q_proj.weight", "k_proj.weight")) else 1.0
    scaled: torch.Tensor = weight * gain * fan_in**-0.5
    return scaled


def spoken(demo: Path) -> tuple[list[int], int]:
    """Ids of the words that a model may say, and of the full stop.

    They are words that are one token to the translator's tokenizer too: so a text has about as many tokens there.
    """
    tokenizer = Tokenizer.from_file(str(demo / "tokenizer.json"))
    known = Tokenizer.from_file(str(DEMO_MODEL / "tokenizer.json")).get_vocab()
    words = {token.removeprefix("Ġ"): number for token, number in tokenizer.get_vocab().items() if token[0] == "Ġ"}
    said = sorted(number for word, number in words.items() if len(word) > 2 and f"▁{word}" in known)
    stop = tokenizer.token_to_id(".")
    assert stop is not None
    return said, stop


def _of_spoken(head: torch.Tensor, said: list[int], stop: int, stop_gain: float) -> torch.Tensor:
    """The head with rows of what is never said at zero: one of the others always scores above that."""
    kept = torch.zeros_like(head)
    kept[[*said, stop]] = head[[*said, stop]] * HEAD_GAIN * head.shape[1] ** 0.5
    kept[stop] *= stop_gain
    return kept


def _copy_processor(demo: Path, folder: Path, config: PretrainedConfig) -> None:
    """Tokenizer, template and, but for text, the processor with the new sizes."""
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(demo / name, folder / name)
    settings = json.loads((demo / "tokenizer_config.json").read_text()) | {"model_max_length": CONTEXT}
    if isinstance(config, LlamaConfig):
        settings.pop("processor_class", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    if isinstance(config, LlamaConfig):
        return
    processor = json.loads((demo / "processor_config.json").read_text())
    if isinstance(config, MllamaConfig):
        processor["image_processor"]["size"] = {"height": TILE, "width": TILE}
    else:
        sizes = {"size": {"shortest_edge": FRAME}, "crop_size": {"height": FRAME, "width": FRAME}}
        processor["video_processor"] |= sizes
        processor["image_processor"] |= sizes | {"image_grid_pinpoints": [[FRAME, FRAME]]}
        processor["patch_size"] = 14
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=2))


def describe(console: Console) -> None:
    """A table of the models' sizes, in millions of weights."""
    table = Table("model", "vision", "text", "all", title="millions of weights")
    for name in MODELS:
        counts = {"vision": 0, "all": 0}
        for weight, tensor in skeleton(name).state_dict().items():
            counts["all"] += tensor.numel()
            counts["vision"] += tensor.numel() if "vision" in weight or "projector" in weight else 0
        text = counts["all"] - counts["vision"]
        table.add_row(name, *(f"{each / 1e6:.1f}" for each in (counts["vision"], text, counts["all"])))
    table.add_row(TRANSLATION, "", "", f"{SHAPES['mid'].weights / 1e6:.1f}")
    console.print(table)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="DIR", help="write them there")
    parser.add_argument("--only", choices=NAMES, action="append", help="one of them; repeatable (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    args = parser.parse_args()
    console = Console()
    if args.models is None:
        describe(console)
        return
    for name in args.only or NAMES:
        console.print(str(ensure(args.models, name, seed=args.seed)))


if __name__ == "__main__":
    main()
