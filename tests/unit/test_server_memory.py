"""Sizes from config.json against real files, published figures, and what vLLM itself has logged."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING

import httpx2
import pytest
from safetensors import safe_open

from server.errors import UnknownSizesError
from server.profile import DEMO_MODELS
from server.sizing.machine import GIB
from server.sizing.memory import Model
from server.sizing.models import model_sizes

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = "neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic"
LLAVA = "llava-hf/LLaVA-NeXT-Video-7B-hf"
WHISPER = "openai/whisper-large-v3-turbo"
MIB = 1 << 20


def demo(name: str) -> Model:
    return Model.of(json.loads((DEMO_MODELS / name / "config.json").read_text()))


@pytest.mark.parametrize("folder", sorted(DEMO_MODELS.iterdir()), ids=lambda folder: folder.name)
def test_weights_are_counted_to_the_byte(folder: Path) -> None:
    sizes = {"BF16": 2, "F8_E4M3": 1}
    held = 0
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118  # it is no dict
            tensor = file.get_slice(name)
            held += prod(tensor.get_shape()) * sizes[tensor.get_dtype()]
    assert model_sizes("it", folder).weights() == held


def test_parameters_of_the_published_models() -> None:
    """As the hub counts them: 10.7 and 7.06 billion, and 809 million."""
    assert model_sizes(LLAMA, None).parameters == 10_670_220_835
    assert model_sizes(LLAVA, None).parameters == 7_063_431_168
    assert model_sizes(WHISPER, None).parameters == 808_878_080


def test_caches_of_the_published_models() -> None:
    llama, llava = model_sizes(LLAMA, None), model_sizes(LLAVA, None)
    assert llama.text.kv_per_token == 32 * 2 * 8 * 128 * 2 == 128 << 10
    assert llama.vision.output_tokens == 4 * 1601
    assert llama.request_kv(0, pictures=1) == 8 * 2 * 8 * 128 * 2 * 6404 == pytest.approx(200 * MIB, rel=1e-3)
    assert llama.encoder_output() == 6404 * 4096 * 2
    assert llava.text.kv_per_token == 32 * 2 * 32 * 128 * 2 == 512 << 10
    assert llava.vision.output_tokens == 144
    whisper = model_sizes(WHISPER, None)
    assert whisper.kv_per_token == 4 * 2 * 1280 * 2 == 20 << 10
    window = whisper.kv_per_token * (1500 + 448)
    assert whisper.kv_capacity(2 * window, max_model_len=448, batched_tokens=1500, block=4) == 2


@pytest.mark.parametrize("name", ["llama-3.2-11b-vision", "llava-next-video-7b"])
def test_the_capacity_is_what_vllm_logged_for_the_demo(name: str) -> None:
    """vLLM 0.32.0: `CPU KV cache size: 131,072 tokens, Maximum concurrency for 1,024 tokens per request: 128.00x`."""
    capacity = demo(name).kv_capacity(GIB // 4, max_model_len=1024, batched_tokens=2048, block=128)
    assert capacity == 128
    assert capacity * 1024 == 131_072


def test_two_gpus_share_everything_but_the_tower() -> None:
    model = model_sizes(LLAMA, None)
    tower = model.vision.parameters * 2
    assert model.weights(2) - tower == pytest.approx((model.weights() - tower) / 2, abs=1)
    one = model.kv_capacity(GIB, max_model_len=4096, batched_tokens=6404, block=16)
    two = model.kv_capacity(GIB, max_model_len=4096, batched_tokens=6404, block=16, tensor_parallel=2)
    assert two == pytest.approx(2 * one, rel=1e-3)


def test_more_work_at_once_takes_more() -> None:
    model = model_sizes(LLAMA, None)
    small = model.activations(batched_tokens=6404, requests=8)
    assert model.activations(batched_tokens=16384, requests=8) > small
    assert model.activations(batched_tokens=6404, requests=1024) > small
    assert model.activations(batched_tokens=6404, requests=8, pictures=4) == small
    # 52 MB of states and 26 MB of keys and values in a layer, each, when they take more than the tower.
    grows = [model.activations(batched_tokens=6404, requests=8, pictures=count) for count in (10, 11)]
    assert grows[1] - grows[0] == 6404 * (4096 + 2 * 8 * 128) * 2


def test_a_folder_without_a_model() -> None:
    with pytest.raises(UnknownSizesError, match=r"no config\.json"):
        model_sizes("./nowhere", DEMO_MODELS / "nowhere")


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def no_answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        raise httpx2.ConnectError("no route to it")

    with httpx2.Client(transport=httpx2.MockTransport(no_answer)) as client:
        monkeypatch.setattr("huggingface_hub.utils._http.get_session", lambda: client)
        with pytest.raises(UnknownSizesError, match=r"the hub does not tell .* \(offline\?\): no route to it"):
            model_sizes("org/other", None)
    assert asked.count("/org/other/resolve/main/config.json") == 1


def test_the_hub_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnknownSizesError, match=r"the hub does not tell the sizes of org/other \(offline\?\)"):
        model_sizes("org/other", None)
