"""Dummy weights: folders of published shapes, and profiles that use them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoProcessor,
    LlavaNextVideoForConditionalGeneration,
    MllamaForConditionalGeneration,
    WhisperForConditionalGeneration,
)

from server.cli import main
from server.engines.dummy import folder_files, with_dummy_weights, write_folder
from server.errors import ProfileError
from server.profile import DEMO_MODELS, EngineProfile, Profile, TranslatorProfile, load_profile
from server.shipped_profiles import available_profiles
from server.sizing.models import model_sizes, published_config

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = "neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic"
WHISPER = "openai/whisper-large-v3-turbo"
LLAVA = "./models/LLaVA-NeXT-Video-7B-FP8-dynamic"
PARAMETERS = {LLAMA: 10_670_220_835, LLAVA: 7_063_431_168}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders are kept, and a working directory without `models/`."""
    monkeypatch.setenv("BABELVIEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "dummy-weights"


def folder_of(model: str, where: Path) -> Path:
    config = published_config(model)
    assert config is not None
    write_folder(where / "model", folder_files(config))
    return where / "model"


@pytest.mark.parametrize(
    ("model", "architecture"),
    [(LLAMA, MllamaForConditionalGeneration), (LLAVA, LlavaNextVideoForConditionalGeneration)],
)
def test_the_configuration_makes_a_model_of_the_published_size(model: str, architecture: type, tmp_path: Path) -> None:
    """Counted in transformers' own model, and by our formulae."""
    folder = folder_of(model, tmp_path)
    config = AutoConfig.from_pretrained(folder)
    assert config.architectures == [architecture.__name__]
    assert config.quantization_config["format"] == "float-quantized"
    del config.quantization_config
    with torch.device("meta"):
        made = architecture(config)
    assert sum(weight.numel() for weight in made.parameters()) == PARAMETERS[model]
    sizes = model_sizes("anything", folder)
    assert sizes.parameters == PARAMETERS[model]
    assert sizes.weights() == model_sizes(model, None).weights()


@pytest.mark.parametrize(("model", "words"), [(LLAMA, 128_256), (LLAVA, 32_064)])
def test_every_token_has_a_text_and_no_text_has_a_filler(model: str, words: int, tmp_path: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder_of(model, tmp_path))
    tokenizer = processor.tokenizer
    assert all(tokenizer.convert_ids_to_tokens(range(words)))
    assert tokenizer.decode([5000, words - 1]) == f" w5000 w{words - 1}"
    toys = DEMO_MODELS / ("llama-3.2-11b-vision" if model == LLAMA else "llava-next-video-7b")
    toy = AutoProcessor.from_pretrained(toys).tokenizer
    text = "Describe this picture. w5000 Größe"
    assert tokenizer(text).input_ids == toy(text).input_ids


def test_a_speech_model_has_windows_and_times_of_the_published_size(tmp_path: Path) -> None:
    folder = folder_of(WHISPER, tmp_path)
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        made = WhisperForConditionalGeneration(config)
    assert sum(weight.numel() for weight in made.parameters()) == 808_878_080
    processor = AutoProcessor.from_pretrained(folder)
    tokenizer, features = processor.tokenizer, processor.feature_extractor
    assert features(np.zeros(16_000, np.float32), sampling_rate=16_000).input_features[0].shape == (128, 3000)
    assert tokenizer.convert_tokens_to_ids("<|10.00|>") == config.vocab_size - 1
    assert all(tokenizer.convert_ids_to_tokens(range(config.vocab_size)))
    assert tokenizer.eos_token_id == config.eos_token_id
    prompt = tokenizer.encode("<|startoftranscript|><|en|><|transcribe|>", add_special_tokens=False)
    assert prompt[0] == config.decoder_start_token_id


def test_pictures_and_frames_have_the_published_size(tmp_path: Path) -> None:
    llama = AutoProcessor.from_pretrained(folder_of(LLAMA, tmp_path / "llama"))
    assert llama.tokenizer("<|image|>").input_ids == [128_256]  # behind the vocabulary, as published
    assert llama.image_processor.size["height"] == 560
    llava = AutoProcessor.from_pretrained(folder_of(LLAVA, tmp_path / "llava"))
    assert llava.video_processor.crop_size["height"] == 336
    config = AutoConfig.from_pretrained(tmp_path / "llava" / "model")
    assert llava.tokenizer("<video>").input_ids == [config.video_token_index]
    said = llava.apply_chat_template(
        [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What?"}]}],
        add_generation_prompt=True,
    )
    assert said == "USER: <video>\nWhat? ASSISTANT:"


@pytest.mark.parametrize("name", available_profiles())
def test_every_profile_serves_the_same_names_with_the_same_sizes(name: str) -> None:
    profile = load_profile(name)
    dummy = with_dummy_weights(profile)
    for before, after in zip(profile.engines, dummy.engines, strict=True):
        assert after.names == before.names
        assert after.args[-2:] == ("--load-format", "dummy")
        assert after.local_model is not None
        assert model_sizes("it", after.local_model) == model_sizes(before.model, before.local_model)
    assert dummy.translator is not None
    assert dummy.translator.model == "demo"
    assert dummy.translator.args == (profile.translator.args if profile.translator else ())


def test_a_bf16_model_stays_one() -> None:
    engine = next(iter(with_dummy_weights(load_profile("cpu")).engines))
    assert engine.local_model is not None
    assert "quantization_config" not in json.loads((engine.local_model / "config.json").read_text())


def test_a_folder_is_written_once_and_whole(cache: Path) -> None:
    first = with_dummy_weights(load_profile("gpu-24gb"))
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert len({path for path in written if path.is_dir()}) == 3
    assert with_dummy_weights(load_profile("gpu-16gb")).engines[0].model == first.engines[0].model
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == written


def test_a_folder_of_your_own_is_used_as_it_is() -> None:
    """Its configuration is all that is read of it."""
    engine = EngineProfile(name="m", model=str(DEMO_MODELS / "llava-next-video-7b"), max_model_len=512)
    (dummy,) = with_dummy_weights(Profile(engines=(engine,))).engines
    assert dummy.model == engine.model


def test_engines_elsewhere_are_left_alone() -> None:
    engine = EngineProfile(name="m", model="org/other", max_model_len=512, replicas=0, urls=("http://far:1",))
    assert with_dummy_weights(Profile(engines=(engine,))).engines == (engine,)


def test_a_translator_in_a_folder_stays(tmp_path: Path) -> None:
    engine = EngineProfile(name="m", model=LLAVA, max_model_len=512)
    own = TranslatorProfile(model=str(tmp_path))
    assert with_dummy_weights(Profile(engines=(engine,), translator=own)).translator == own


def test_a_model_whose_sizes_nobody_knows() -> None:
    engine = EngineProfile(name="m", model="org/other", max_model_len=512)
    with pytest.raises(ProfileError, match="sizes of org/other are not known"):
        with_dummy_weights(Profile(engines=(engine,)))


def test_check_says_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The card of 79 GiB is asked about; main memory and what nvidia-smi shows are this machine's matter."""
    main(
        [
            "check",
            "--commands",
            "--profile",
            "gpu-80gb",
            "--dummy-weights",
            "--gpu-memory",
            "79",
            "--port",
            "0",
            "--translator-port",
            "0",
        ]
    )
    said = capsys.readouterr().out
    assert said.count("--load-format dummy") == 3
    assert "needs 77.61 of 79.00 GiB" in said
    assert "translator --model demo" in said
