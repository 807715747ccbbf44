"""The ways in which an engine is run for the comparison with transformers: numbers, graphs, runners, GPUs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_ENVIRONMENT: Mapping[str, str] = {}
IEEE = {"TRITON_F32_DEFAULT": "ieee", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
"""Triton rounds products of 32 bits to fewer unless told not to."""
NOT_COMPILED = {"TORCH_COMPILE_DISABLE": "1"}
"""As engines on a CPU are served: vLLM compiles single functions also where it runs a model as it stands."""
TRITON: Mapping[str, Any] = {"attention_config": {"backend": "TRITON_ATTN"}}
FLASH: Mapping[str, Any] = {"attention_config": {"backend": "FLASH_ATTN"}}


@dataclass(frozen=True)
class Variant:
    """One way to run an engine.

    Attributes:
        weights: `fp32`, `bf16`, `fp8` (FP8-dynamic) or `w4a16`.
        gpus: How many it needs; 0: it runs on a CPU.
        only_cpu: Is left out where there is a GPU: another variant takes its place.
        close: Where numbers are rounded: how close the two likeliest tokens must be for an answer to part there.
        whole: It also answers while its cache is too small, and several tasks on one picture.
        sleeps: It sleeps and wakes, and answers again.
    """

    name: str
    weights: str = "fp32"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: NO_ENVIRONMENT)
    gpus: int = 0
    only_cpu: bool = False
    close: float | None = None
    whole: bool = False
    sleeps: bool = False


GRAPHS: Mapping[str, Any] = {"enforce_eager": False}
HALF: Mapping[str, Any] = {"dtype": "bfloat16"}
BF16_CLOSE, FP8_CLOSE, W4A16_CLOSE = 0.25, 0.25, 0.25
"""The last bit of a sum, which differs from machine to machine, may decide to which number it is rounded."""

VARIANTS = (
    Variant("fp32", environment=NOT_COMPILED, whole=True, only_cpu=True),
    Variant("fp32, Triton, eager", "fp32", TRITON, IEEE, gpus=1, whole=True),
    Variant("fp32, Triton, graphs", "fp32", {**TRITON, **GRAPHS}, IEEE, gpus=1, whole=True),
    Variant(
        "fp32, Triton, model runner V1", "fp32", TRITON, {**IEEE, "VLLM_USE_V2_MODEL_RUNNER": "0"}, gpus=1, whole=True
    ),
    Variant("bf16", "bf16", HALF, NOT_COMPILED, close=BF16_CLOSE, only_cpu=True),
    Variant("bf16, FlashAttention, eager", "bf16", {**HALF, **FLASH}, gpus=1, close=BF16_CLOSE),
    Variant("bf16, FlashAttention, graphs", "bf16", {**HALF, **FLASH, **GRAPHS}, gpus=1, close=BF16_CLOSE),
    Variant("FP8-dynamic", "fp8", environment=NOT_COMPILED, close=FP8_CLOSE, only_cpu=True),
    Variant("FP8-dynamic, graphs", "fp8", {**HALF, **GRAPHS}, gpus=1, close=FP8_CLOSE),
    Variant("W4A16", "w4a16", HALF, NOT_COMPILED, close=W4A16_CLOSE, only_cpu=True),
    Variant("W4A16, graphs", "w4a16", {**HALF, **GRAPHS}, gpus=1, close=W4A16_CLOSE),
    Variant("sleep and wake", "fp32", {**TRITON, "enable_sleep_mode": True}, IEEE, gpus=1, sleeps=True),
    Variant("tensor parallel, 2 GPUs", "fp32", {**TRITON, "tensor_parallel_size": 2}, IEEE, gpus=2),
)
