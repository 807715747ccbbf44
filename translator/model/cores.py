"""How a CPU's cores are shared out among the batches that the translator runs at once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_THREADS, _REPLICAS = 4, 4
"""More threads for one batch gain little; more batches at once take memory for little waiting less."""


def usable_cores(quota: Path = _QUOTA) -> int:
    """Cores that this process may use, with the limit of a container (`quota`: cgroup v2's `cpu.max`)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no cgroup v2, or "max": no limit
        most, period = map(int, quota.read_text().split())
        cores = min(cores, most // period)
    return max(1, cores)


def share_out(threads: int, replicas: int, cores: int) -> tuple[int, int]:
    """Threads of a batch, and batches at once: what is given, and for 0 what suits the cores.

    Up to four threads for each batch, so that one alone is quick, and up to four batches, so that a queue finds
    more cores than four.
    """
    threads = threads or min(_THREADS, cores)
    return threads, replicas or max(1, min(_REPLICAS, cores // threads))
