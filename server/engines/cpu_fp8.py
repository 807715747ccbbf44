"""FP8 matrices on a CPU, multiplied by a real matrix product.

vLLM 0.32 gives FP8-dynamic layers on a CPU to `torch._scaled_mm`. PyTorch 2.13 hands that on to oneDNN where the CPU
has AMX, and oneDNN 3.12 has no FP8 kernel for AMX without AMX-FP8 (Sapphire and Granite Rapids): it multiplies number
by number (`ref:any` in ONEDNN_VERBOSE), hundreds of times slower than the fp32 product that PyTorch takes on all
other CPUs. Here every CPU takes the latter. The numbers are the same: products of FP8 values are exact in fp32.

To make fp32 of FP8, PyTorch takes 5 ns a number on one core, each step anew, twenty times what a token's product takes.
The weights of small layers, a toy's, are kept in fp32 instead. Calls of PyTorch are what a token costs there, so that
`cpu_fp8_kernel.py` makes few.
"""

from __future__ import annotations


def register() -> None:
    """Put our kernel before PyTorch's in vLLM's list; does nothing on a GPU."""
    from vllm.platforms import PlatformEnum, current_platform  # noqa: PLC0415 - heavy, and vLLM's processes' alone

    if not current_platform.is_cpu():
        return
    from vllm.model_executor.kernels import linear  # noqa: PLC0415

    from server.engines.cpu_fp8_kernel import Fp32ProductFP8LinearKernel  # noqa: PLC0415

    kernels = linear._POSSIBLE_FP8_KERNELS[PlatformEnum.CPU]  # noqa: SLF001 - vLLM offers only to append to it
    if Fp32ProductFP8LinearKernel not in kernels:
        kernels.insert(kernels.index(linear.ChannelWiseTorchFP8ScaledMMLinearKernel), Fp32ProductFP8LinearKernel)
