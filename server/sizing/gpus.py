"""The NVIDIA GPUs of this machine, as `nvidia-smi` tells them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits")
MIB_PER_GIB = 1024
TIMEOUT_S = 20


@dataclass(frozen=True)
class Gpu:
    """A GPU, and its memory."""

    index: int
    name: str
    total_gib: float
    free_gib: float


def list_gpus() -> list[Gpu]:
    """All GPUs; none if there is no driver, or it does not answer."""
    try:
        said = subprocess.run(QUERY, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(said)


def parse(said: str) -> list[Gpu]:
    """Read the answer, a line a GPU: `0, NVIDIA L4, 23034, 22500` in MiB."""
    gpus = []
    for line in said.splitlines():
        index, name, total, free = (value.strip() for value in line.split(","))
        if total.isdecimal() and free.isdecimal():  # "[N/A]" where memory is shared with the CPU
            gpus.append(Gpu(int(index), name, int(total) / MIB_PER_GIB, int(free) / MIB_PER_GIB))
    return gpus
