"""Sizes of models of which this project has no sums, as transformers counts them from their own configurations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from server.cli import main
from server.errors import UnknownSizesError
from server.sizing.counted import CountedModel, count
from server.sizing.models import model_sizes, picture_width
from tests import other_model

if TYPE_CHECKING:
    from pathlib import Path

QWEN_TEXT = {"hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8}
QWEN_TEXT |= {"intermediate_size": 12288, "head_dim": 128, "vocab_size": 151936}
QWEN_TOWER = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "out_hidden_size": 4096}
PUBLISHED: dict[str, tuple[dict[str, Any], int, int]] = {
    "Qwen3-VL-8B": (
        {
            "model_type": "qwen3_vl",
            "text_config": QWEN_TEXT | {"model_type": "qwen3_vl_text"},
            "vision_config": QWEN_TOWER | {"model_type": "qwen3_vl"},
            "tie_word_embeddings": False,
        },
        8_767_123_696,
        2 * 36 * 8 * 128 * 2,
    ),
    "gemma-3-4b": (
        {
            "model_type": "gemma3",
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "num_hidden_layers": 34,
                "num_attention_heads": 8,
                "num_key_value_heads": 4,
                "head_dim": 256,
                "vocab_size": 262208,
            },
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_hidden_layers": 27,
                "num_attention_heads": 16,
                "image_size": 896,
                "patch_size": 14,
                "vision_use_head": False,
            },
        },
        4_300_079_472,
        2 * 34 * 4 * 256 * 2,
    ),
    "Qwen3-8B, text alone": ({"model_type": "qwen3", **QWEN_TEXT}, 8_190_735_360, 2 * 36 * 8 * 128 * 2),
}
"""config.json, weights as the hub counts them, bytes of keys and values of a token in bfloat16."""
PROFILE = """
[gateway]
port = 0
[[engines]]
name = "other"
model = "{folder}"
max_model_len = 1024
max_images = 1
kv_cache_gib = {cache}
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_counted_to_the_last(name: str) -> None:
    config, weights, kv_per_token = PUBLISHED[name]
    model = count(config, 2)
    assert model.parameters == weights
    assert model.weights() == 2 * weights
    assert model.text.kv_per_token == kv_per_token
    assert model.kv_capacity(1024 * kv_per_token * 3, max_model_len=1024, batched_tokens=9, block=16) == 3
    sees = model.activations(batched_tokens=4096, requests=8, pictures=1) > model.activations(
        batched_tokens=4096, requests=8
    )
    assert sees is ("vision_config" in config)
    assert (model.encoder_cache(4096) > 0) is sees


def test_two_gpus_share_the_text_alone() -> None:
    config, _, kv_per_token = PUBLISHED["Qwen3-VL-8B"]
    model = count(config, 2)
    tower = 2 * model.beside
    assert model.weights(2) - tower == (model.weights() - tower) / 2
    one, two = (
        model.kv_capacity(kv_per_token * 4096, max_model_len=2048, batched_tokens=9, block=16, tensor_parallel=gpus)
        for gpus in (1, 2)
    )
    assert (one, two) == (2, 4)


@pytest.mark.parametrize(
    ("scheme", "bytes_of_a_weight"),
    [
        ({"quant_method": "fp8"}, 1),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.5 + 2 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, 0.5 + 2 / 4096),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, 1),
        ({"quant_method": "bitsandbytes"}, 2),
    ],
)
def test_what_is_quantised_takes_less(scheme: dict[str, Any], bytes_of_a_weight: float) -> None:
    config, *_ = PUBLISHED["Qwen3-VL-8B"]
    model = count(config | {"quantization_config": scheme}, 2)
    assert model.linear_bytes == pytest.approx(model.text.linear * bytes_of_a_weight, rel=1e-3)
    assert model.weights() - model.linear_bytes == 2 * (model.parameters - model.text.linear)


def test_an_architecture_that_transformers_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "internvl_chat"}')
    with pytest.raises(UnknownSizesError, match=r"transformers [\d.]+ cannot make a 'internvl_chat' model") as raised:
        model_sizes("./other", tmp_path)
    assert len(str(raised.value)) < 400


def test_check_counts_it_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = other_model.write_folder(tmp_path / "other")
    profile = tmp_path / "mine.toml"
    profile.write_text(PROFILE.format(folder=folder, cache=0.05))
    assert main(["check", "--profile", str(profile)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "sizes of other: 0.00 billion weights, counted by transformers from its own configuration (qwen3_vl)" in said
    assert "KV cache of other: holds 204.8 requests" in said
    profile.write_text(PROFILE.format(folder=folder, cache=0.0001))
    assert main(["check", "--profile", str(profile)]) == 1
    assert "KV cache of other: holds 0.4 requests" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("side", "width"), [(None, 448), (224, 224), ([336, 336], 336)])
def test_pictures_to_measure_with_have_the_towers_size_or_a_usual_one(tmp_path: Path, side: Any, width: int) -> None:
    config = {"model_type": "other", "vision_config": {} if side is None else {"image_size": side}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert picture_width("./other", tmp_path) == width


def test_counted_models_are_told_from_those_with_sums(tmp_path: Path) -> None:
    folder = other_model.write_folder(tmp_path)
    assert isinstance(model_sizes(str(folder), folder), CountedModel)
    assert not isinstance(model_sizes("llava-hf/LLaVA-NeXT-Video-7B-hf", None), CountedModel)
