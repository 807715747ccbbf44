"""FP8 on a CPU: which kernel vLLM takes, and that its numbers are those of `torch._scaled_mm`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from server.engines import cpu_fp8
from server.engines.cpu_fp8 import _kernel, register


@pytest.fixture(autouse=True)
def linear() -> Any:
    """vLLM's kernels for linear layers: loaded by this test's process alone, for it takes seconds."""
    from vllm.model_executor.kernels import linear  # noqa: PLC0415
    from vllm.platforms import current_platform  # noqa: PLC0415

    if not current_platform.is_cpu():
        pytest.skip("a GPU has kernels of its own")
    return linear


def test_vllm_asks_ours_before_pytorchs_and_finds_it_once(linear: Any) -> None:
    from vllm.platforms import PlatformEnum  # noqa: PLC0415 - as above

    register()
    register()
    kernels = linear._POSSIBLE_FP8_KERNELS[PlatformEnum.CPU]
    assert kernels.count(_kernel()) == 1
    assert kernels.index(_kernel()) < kernels.index(linear.ChannelWiseTorchFP8ScaledMMLinearKernel)


@pytest.mark.parametrize("biased", [False, True])
def test_the_numbers_are_those_of_the_product_that_it_replaces(biased: bool) -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(size).to(torch.float8_e4m3fn) for size in ((6, 32), (48, 32)))
    row_scales, column_scales = torch.rand(6, 1), torch.rand(48, 1)
    bias = torch.randn(48) if biased else None
    kernel = object.__new__(_kernel())  # its constructor wants a layer
    assert kernel.get_output_padding() is None
    ours = kernel.apply_scaled_mm(
        A=a, B=b.t(), out_dtype=torch.bfloat16, As=row_scales, Bs=column_scales, bias=bias, output_shape=[2, 3, 48]
    )
    one = torch.ones(1)
    product = torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)
    product = product * row_scales * column_scales.t() + (0 if bias is None else bias)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, product.view(2, 3, 48).to(torch.bfloat16))


@pytest.mark.parametrize(("inner", "dtype"), [(32, torch.float32), (33, torch.float8_e4m3fn)])
def test_the_weights_of_a_small_layer_are_kept_in_fp32(
    inner: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_fp8, "SMALL_LAYER", 48 * 32)
    torch.manual_seed(0)
    loaded = torch.randn(48, inner).to(torch.float8_e4m3fn)
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(loaded.t(), requires_grad=False)
    layer.weight.output_dim = 1
    kernel = object.__new__(_kernel())
    kernel.layer_param_names = ["weight", "weight_scale", "input_scale", "input_scale_ub"]
    kernel.process_weights_after_loading(layer)
    assert (layer.weight.dtype, layer.weight.output_dim) == (dtype, 1)
    assert torch.equal(layer.weight.float(), loaded.float().t())
    arguments = {"out_dtype": torch.bfloat16, "As": torch.rand(6, 1), "Bs": torch.rand(48, 1), "bias": None}
    a = torch.randn(6, inner).to(torch.float8_e4m3fn)
    ours, before = (
        kernel.apply_scaled_mm(A=a, B=b, output_shape=[6, 48], **arguments) for b in (layer.weight, loaded.t())
    )
    assert torch.equal(ours, before)
