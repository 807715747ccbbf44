"""The mid-sized models of the benchmarks: written right, endless, and in proportion; here with fewer weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoProcessor, AutoTokenizer

import scripts.benchmarks.models.mid_sized as bench_models
from scripts.benchmarks.models.mid_sized import MODELS, NAMES, PICTURE, TEXT, VIDEO, ensure, skeleton, spoken
from scripts.benchmarks.models.random_nllb import SHAPES, Shape, write
from server.profile import DEMO_MODELS
from translator.model.models import DEMO_MODEL

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, but for widths and depths: writing hundreds of megabytes takes seconds."""
    parts: dict[str, dict[str, Any]] = {
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "num_hidden_layers": 3,
        },
        "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
    }

    def shrunk(name: str) -> bench_models.MidModel:
        model = MODELS[name]

        def config(demo: Path) -> Any:
            made = model.config(demo)
            text = getattr(made, "text_config", made)
            for key, value in parts["text_config"].items():
                setattr(text, key, value)
            if hasattr(made, "vision_config"):
                for key, value in parts["vision_config"].items():
                    setattr(made.vision_config, key, value)
                if name == PICTURE:
                    text.cross_attention_layers = [1]
                    made.vision_config.intermediate_layers_indices = [0, 1]
                    made.vision_config.vision_output_dim = 3 * 32
            return made

        return replace(model, config=config)

    monkeypatch.setattr(bench_models, "MODELS", {name: shrunk(name) for name in MODELS})


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_loads_whole_and_never_ends_an_answer(name: str, tmp_path: Path) -> None:
    folder = ensure(tmp_path, name)
    model, said = MODELS[name].kind.from_pretrained(folder, output_loading_info=True)
    assert not any(said.values()), said
    assert model.dtype == torch.bfloat16
    question = {"type": "text", "text": "What is shown?"}
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    if name == TEXT:
        tokenizer = processor = AutoTokenizer.from_pretrained(folder)
        inputs = tokenizer("What is shown?", return_tensors="pt")
    else:
        processor = AutoProcessor.from_pretrained(folder)
        tokenizer = processor.tokenizer
        media = "video" if name == VIDEO else "image"
        content = [{"type": media}, question]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        given: dict[str, Any] = {"videos": [[pixels] * 8]} if name == VIDEO else {"images": Image.fromarray(pixels)}
        inputs = processor(text=prompt, **given, add_special_tokens=False, return_tensors="pt").to(model.dtype)
        if name == VIDEO:
            assert (inputs["input_ids"] == model.config.video_token_id).sum() == 8 * bench_models.FRAME_TOKENS
    with torch.inference_mode():
        out = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    answer = out[0, inputs["input_ids"].shape[1] :].tolist()
    assert len(answer) == 40
    words, stop = spoken(DEMO_MODELS / MODELS[name].demo)
    assert set(answer) <= {*words, stop}
    assert tokenizer.decode(answer).strip()


@pytest.mark.usefixtures("small")
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    folders = [ensure(tmp_path / str(number), TEXT, seed=seed) for number, seed in enumerate((1, 1, 2))]
    first, same, other = (load_all(folder) for folder in folders)
    assert first.keys() == same.keys() == other.keys()
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["lm_head.weight"], other["lm_head.weight"])


@pytest.mark.usefixtures("small")
def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    folder = ensure(tmp_path, TEXT)
    before = (folder / "config.json").stat().st_mtime_ns
    assert ensure(tmp_path, TEXT) == folder
    assert (folder / "config.json").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == [TEXT]


@pytest.mark.usefixtures("small")
def test_weights_are_divided_among_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_models, "SHARD_BYTES", 50_000)
    folder = ensure(tmp_path, TEXT)
    assert len(list(folder.glob("*.safetensors"))) > 2
    _, said = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(said.values()), said


@pytest.mark.parametrize("name", MODELS)
def test_models_are_mid_sized_and_in_proportion(name: str) -> None:
    sizes = {weight: tensor.numel() for weight, tensor in skeleton(name).state_dict().items()}
    whole = sum(sizes.values())
    assert 1e8 < whole < 3e8
    tower = sum(size for weight, size in sizes.items() if "vision" in weight and "projector" not in weight)
    published = {VIDEO: 0.3 / 7.1, PICTURE: 0.86 / 10.6, TEXT: 0.0}[name]
    assert tower / whole == pytest.approx(published, abs=0.03)


def test_text_stacks_are_the_same_but_for_the_layers_that_see_pictures() -> None:
    text = skeleton(TEXT).config
    beside = skeleton(PICTURE).config.text_config
    for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "vocab_size"):
        assert getattr(text, name) == getattr(beside, name), name
    assert text.num_hidden_layers == beside.num_hidden_layers - len(beside.cross_attention_layers)


def test_an_endless_translator_has_no_end_to_write(tmp_path: Path) -> None:
    shape = Shape(8, 16, 1, 2, 1200)
    write(tmp_path, shape, endless=True)
    shared = load_file(tmp_path / "model.safetensors")["model.shared.weight"]
    tokenizer = AutoTokenizer.from_pretrained(DEMO_MODEL)
    unsaid = {*tokenizer.all_special_ids, *range(len(tokenizer), shape.vocabulary)}
    assert {row for row in range(1200) if not shared[row].any()} == unsaid
    assert 1e8 < SHAPES["mid"].weights < 3e8


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        ensure(tmp_path, "llama-4-mid")
    assert len(NAMES) == 4


def load_all(folder: Path) -> dict[str, Any]:
    weights: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        from safetensors.torch import load_file as load_torch  # noqa: PLC0415

        weights |= {name: tensor.float().numpy() for name, tensor in load_torch(path).items()}
    return weights
