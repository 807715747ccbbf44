"""FP8 on a CPU: which kernel vLLM takes, and that its numbers are those of `torch._scaled_mm`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from server.engines.cpu_fp8 import register

FP8 = torch.float8_e4m3fn


@pytest.fixture
def linear() -> Any:
    """vLLM's kernels for linear layers: loaded by this test's process alone, for it takes seconds."""
    from vllm.model_executor.kernels import linear  # noqa: PLC0415
    from vllm.platforms import current_platform  # noqa: PLC0415

    if not current_platform.is_cpu():
        pytest.skip("a GPU has kernels of its own")
    return linear


@pytest.fixture
def ours(linear: Any) -> Any:
    """The module of our kernel."""
    from server.engines import cpu_fp8_kernel  # noqa: PLC0415 - as above

    return cpu_fp8_kernel


@pytest.fixture
def kernel(ours: Any) -> Any:
    """Ours, for layers whose activations have a scale for each token."""
    from vllm.config import CompilationConfig, VllmConfig, set_current_vllm_config  # noqa: PLC0415
    from vllm.model_executor.kernels.linear.scaled_mm.ScaledMMLinearKernel import (  # noqa: PLC0415
        FP8ScaledMMLinearLayerConfig,
    )
    from vllm.model_executor.layers.quantization.utils import quant_utils  # noqa: PLC0415

    config = FP8ScaledMMLinearLayerConfig(
        quant_utils.kFp8StaticChannelSym, quant_utils.kFp8DynamicTokenSym, (48, 32), torch.bfloat16, torch.bfloat16
    )
    with set_current_vllm_config(VllmConfig(compilation_config=CompilationConfig(mode=0))):
        return ours.Fp32ProductFP8LinearKernel(config, ["weight", "weight_scale", "input_scale", "input_scale_ub"])


def a_layer(inner: int = 32) -> Any:
    """A layer of 48 outputs as loaded."""
    torch.manual_seed(0)
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.randn(48, inner).to(FP8).t(), requires_grad=False)
    layer.weight.output_dim = 1
    layer.weight_scale = torch.nn.Parameter(torch.rand(48, 1), requires_grad=False)
    layer.input_scale = None
    return layer


def test_vllm_asks_ours_before_pytorchs_and_finds_it_once(linear: Any, ours: Any) -> None:
    from vllm.platforms import PlatformEnum  # noqa: PLC0415 - as above

    register()
    register()
    kernels = linear._POSSIBLE_FP8_KERNELS[PlatformEnum.CPU]
    kernel = ours.Fp32ProductFP8LinearKernel
    assert kernels.count(kernel) == 1
    assert kernels.index(kernel) < kernels.index(linear.ChannelWiseTorchFP8ScaledMMLinearKernel)


@pytest.mark.parametrize("biased", [False, True])
def test_the_numbers_are_those_of_the_product_that_it_replaces(kernel: Any, biased: bool) -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(size).to(FP8) for size in ((6, 32), (48, 32)))
    row_scales, column_scales = torch.rand(6, 1), torch.rand(48, 1)
    bias = torch.randn(48) if biased else None
    assert kernel.get_output_padding() is None
    ours = kernel.apply_scaled_mm(
        A=a, B=b.t(), out_dtype=torch.bfloat16, As=row_scales, Bs=column_scales, bias=bias, output_shape=[2, 3, 48]
    )
    one = torch.ones(1)
    product = torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)
    product = product * row_scales * column_scales.t() + (0 if bias is None else bias)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, product.view(2, 3, 48).to(torch.bfloat16))


@pytest.mark.parametrize(("inner", "dtype"), [(32, torch.float32), (33, FP8)])
def test_the_weights_of_a_small_layer_are_kept_in_fp32(
    ours: Any, kernel: Any, inner: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "SMALL_LAYER", 48 * 32)
    layer = a_layer(inner)
    loaded = layer.weight.data
    kernel.process_weights_after_loading(layer)
    assert (layer.weight.dtype, layer.weight.output_dim) == (dtype, 1)
    assert torch.equal(layer.weight.float(), loaded.float())
    arguments = {"out_dtype": torch.bfloat16, "As": torch.rand(6, 1), "Bs": torch.rand(48, 1), "bias": None}
    a = torch.randn(6, inner).to(FP8)
    after, before = (
        kernel.apply_scaled_mm(A=a, B=b, output_shape=[6, 48], **arguments) for b in (layer.weight, loaded)
    )
    assert torch.equal(after, before)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(1, 32), (6, 32), (0, 32), (2, 3, 32), (90, 32)])
def test_a_small_layer_gives_what_vllm_makes_of_it(
    kernel: Any, shape: tuple[int, ...], dtype: torch.dtype, biased: bool
) -> None:
    layer, vllms = a_layer(), a_layer()
    kernel.process_weights_after_loading(layer)
    vllms.weight.data = layer.weight.data  # the same, for `kernel` knows nothing of this layer
    x = (torch.randn(shape) * 10.0 ** torch.randint(-6, 4, (*shape[:-1], 1))).to(dtype)
    x[..., :1, 3:] = 0  # and of all others the largest number is not in the first column
    given, bias = x.clone(), torch.randn(48).to(dtype) if biased else None
    output, expected = kernel.apply_weights(layer, x, bias), kernel.apply_weights(vllms, x, bias)
    assert (output.dtype, output.shape) == (expected.dtype, expected.shape)
    assert torch.equal(output, expected)
    assert torch.equal(x, given)


@pytest.mark.parametrize("why", ["one scale for all tokens", "a largest scale"])
def test_activations_that_are_scaled_otherwise_are_left_to_vllm(kernel: Any, why: str) -> None:
    layer = a_layer()
    if why == "a largest scale":
        layer.input_scale_ub = torch.tensor([0.01])
    else:
        from vllm.model_executor.layers.quantization.utils.quant_utils import kFp8StaticTensorSym  # noqa: PLC0415

        kernel.config = SimpleNamespace(activation_quant_key=kFp8StaticTensorSym)
    kernel.process_weights_after_loading(layer)
    assert layer.weight.dtype == torch.float32
    assert not hasattr(layer, "small_layer")


def test_many_numbers_are_rounded_as_few_are(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    every_bf16 = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(torch.bfloat16).float().clamp(-464, 464)
    fp8 = torch.arange(127, dtype=torch.uint8).view(FP8).float()  # all that are not negative; the last is 448
    ties = torch.cat([(fp8[1:] + fp8[:-1]) / 2, torch.tensor([464.0])])
    beside = [torch.nextafter(ties, torch.tensor(limit)) for limit in (0.0, 464.0)]
    spread = torch.arange(0, 0x43E80000, 9973, dtype=torch.int32).view(torch.float32)  # to 464
    numbers = torch.cat([every_bf16, *(sign * each for each in (fp8, ties, *beside, spread) for sign in (1, -1))])
    assert numbers.numel() > ours.FEW_NUMBERS
    many = ours.rounded_to_fp8(numbers.clone())
    monkeypatch.setattr(ours, "FEW_NUMBERS", numbers.numel())
    torch.testing.assert_close(many, ours.rounded_to_fp8(numbers), rtol=0, atol=0, equal_nan=True)
