"""The kernel of `server/engines/cpu_fp8.py`, which asks for it where vLLM runs on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from vllm.model_executor.kernels.linear import ChannelWiseTorchFP8ScaledMMLinearKernel
from vllm.model_executor.layers.quantization.input_quant_fp8 import _FP8_MIN_SCALING_FACTOR as LEAST_SCALE
from vllm.model_executor.layers.quantization.utils.quant_utils import kFp8DynamicTokenSym

if TYPE_CHECKING:
    from torch import Tensor

SMALL_LAYER = 1 << 20
"""Layers of at most so many weights, 4 MiB as fp32, are kept in fp32; published models have hardly any that small."""
FEW_NUMBERS = 1 << 11
"""PyTorch takes 5 ns a number to FP8 and as long back. For more numbers than these, arithmetic in fp32 takes less."""

LARGEST = torch.tensor(torch.finfo(torch.float8_e4m3fn).max)
"""As a tensor, for PyTorch makes one of a Python number at each division: 3 us."""


class Fp32ProductFP8LinearKernel(ChannelWiseTorchFP8ScaledMMLinearKernel):  # type: ignore[misc, unused-ignore]
    """Scales by row and column after a product in fp32."""

    def get_output_padding(self) -> int | None:
        """Pads nothing: the reason for it is a GPU's."""
        return None

    def process_weights_after_loading(self, layer: Any) -> None:
        """Keep the weights of a small layer in fp32, and their scales as a row if each token is scaled on its own."""
        weight, scales, _, largest_scale = self._get_layer_params(layer)
        if weight.numel() > SMALL_LAYER:
            return
        weight.data = weight.data.float()
        if self.config.activation_quant_key == kFp8DynamicTokenSym and largest_scale is None:
            layer.small_layer = weight.data, scales.data.t()

    def apply_weights(self, layer: Any, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The layer's output.

        That of a small layer is what vLLM makes of it, number for number, in half of its calls: these are nearly all
        that a token costs there. A compiler gets vLLM's, and makes its own of them.

        Args:
            layer: whose kernel this is.
            x: activations, `[..., in]`.
            bias: `[out]`, or None.

        Returns:
            `[..., out]`.
        """
        small = getattr(layer, "small_layer", None)
        if small is None or torch.compiler.is_compiling():
            output: Tensor = super().apply_weights(layer, x, bias)
            return output
        weight, weight_scales = small
        rows = x.to(torch.float32, copy=True)
        scales = rows.abs().amax(-1, keepdim=True).div_(LARGEST).clamp_min_(LEAST_SCALE)
        product = torch.matmul(rounded_to_fp8(rows.mul_(scales.reciprocal())), weight)
        product.mul_(scales).mul_(weight_scales)
        if bias is not None:
            product.add_(bias)
        return product.to(self.config.out_dtype or x.dtype)

    def apply_scaled_mm(
        self,
        *,
        A: Tensor,  # noqa: N803 - vLLM's names
        B: Tensor,  # noqa: N803
        out_dtype: torch.dtype,
        As: Tensor,  # noqa: N803
        Bs: Tensor,  # noqa: N803
        bias: Tensor | None,
        output_shape: list[int],
    ) -> Tensor:
        """The layer's output, of `output_shape`.

        Args:
            A: activations, FP8 `[tokens, in]`.
            B: weights `[in, out]`, FP8 or the same numbers in fp32.
            out_dtype: of the output.
            As: scales of activations, `[tokens, 1]`.
            Bs: scales of weights, `[out, 1]`.
            bias: `[out]`, or None.
            output_shape: what the tokens' rows are arranged to.
        """
        product = torch.mm(A.float(), B.float()) * As * Bs.t()
        if bias is not None:
            product = product + bias
        return product.to(out_dtype).view(*output_shape)


def rounded_to_fp8(numbers: Tensor) -> Tensor:
    """The nearest numbers of FP8 (E4M3), of two the even one, in fp32.

    Args:
        numbers: fp32, of at most 464, which rounds to the largest one. May be overwritten. A zero may lose its sign.
    """
    if numbers.numel() <= FEW_NUMBERS:
        return numbers.to(torch.float8_e4m3fn).float()
    # What is added to a number of 2**e, 1.5 * 2**(e + 20), is so large that fp32 has three bits left for the fraction.
    # Below 2**-6 FP8's numbers are as far apart as there.
    power = numbers.abs().clamp_min_(2.0**-6)
    power.view(torch.int32).bitwise_and_(0x7F800000)  # no fraction
    large = power.mul_(1.5 * 2**20)
    return numbers.add_(large).sub_(large)
