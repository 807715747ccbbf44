"""Leave to use AMX, which the kernel gives to a process that asks for it.

oneDNN asks before its first product; vLLM 0.32's own kernels for layers of four bits on a CPU do not. Where such a
layer comes first, as in Llama 3.2 Vision, the engine dies of an illegal instruction.
"""

from __future__ import annotations


def register() -> None:
    """Ask for it in this process and those that it forks; does nothing where there is no AMX, and on a GPU."""
    import torch  # noqa: PLC0415 - heavy, and vLLM's processes' alone
    from vllm.platforms import current_platform  # noqa: PLC0415

    if current_platform.is_cpu() and torch.cpu._is_amx_tile_supported():  # noqa: SLF001 - there is no public name
        torch.cpu._init_amx()  # noqa: SLF001
