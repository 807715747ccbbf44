"""FP8 matrices on a CPU, multiplied by a real matrix product.

vLLM 0.32 gives FP8-dynamic layers on a CPU to `torch._scaled_mm`. PyTorch 2.13 hands that on to oneDNN where the CPU
has AMX, and oneDNN 3.12 has no FP8 kernel for AMX without AMX-FP8 (Sapphire and Granite Rapids): it multiplies number
by number (`ref:any` in ONEDNN_VERBOSE), hundreds of times slower than the fp32 product that PyTorch takes on all
other CPUs. Here every CPU takes the latter. The numbers are the same: products of FP8 values are exact in fp32.

To make fp32 of FP8, PyTorch takes 5 ns a number on one core, each step anew, twenty times what a token's product takes.
The weights of small layers, a toy's, are kept in fp32 instead.
"""

from __future__ import annotations

from functools import cache
from typing import Any

SMALL_LAYER = 1 << 20
"""Layers of at most so many weights, 4 MiB as fp32, are kept in fp32; published models have hardly any that small."""


def register() -> None:
    """Put our kernel before PyTorch's in vLLM's list; does nothing on a GPU."""
    from vllm.platforms import PlatformEnum, current_platform  # noqa: PLC0415 - heavy, and vLLM's processes' alone

    if not current_platform.is_cpu():
        return
    from vllm.model_executor.kernels import linear  # noqa: PLC0415

    kernels = linear._POSSIBLE_FP8_KERNELS[PlatformEnum.CPU]  # noqa: SLF001 - vLLM offers only to append to it
    if _kernel() not in kernels:
        kernels.insert(kernels.index(linear.ChannelWiseTorchFP8ScaledMMLinearKernel), _kernel())


@cache
def _kernel() -> type:
    import torch  # noqa: PLC0415
    from vllm.model_executor.kernels.linear import ChannelWiseTorchFP8ScaledMMLinearKernel  # noqa: PLC0415

    class Fp32ProductFP8LinearKernel(ChannelWiseTorchFP8ScaledMMLinearKernel):  # type: ignore[misc]
        """Scales by row and column after a product in fp32."""

        def get_output_padding(self) -> int | None:
            """Pads nothing: the reason for it is a GPU's."""
            return None

        def process_weights_after_loading(self, layer: Any) -> None:
            """Keep the weights of a small layer in fp32."""
            weight = getattr(layer, self.layer_param_names[0])
            if weight.numel() <= SMALL_LAYER:
                weight.data = weight.data.float()

        def apply_scaled_mm(
            self,
            *,
            A: Any,  # noqa: N803 - vLLM's names
            B: Any,  # noqa: N803
            out_dtype: Any,
            As: Any,  # noqa: N803
            Bs: Any,  # noqa: N803
            bias: Any,
            output_shape: list[int],
        ) -> Any:
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

    return Fp32ProductFP8LinearKernel
