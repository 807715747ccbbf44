"""Bandwidth and arithmetic of this machine, measured in a process of its own: an upper bound of what an engine has.

    python -m server.selftest.device THREADS BYTES     prints JSON

THREADS are PyTorch's (0: as many as there are cores), BYTES is how much is read: weights that fit into a cache are read
from there, again and again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from server.supervision.part import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_BYTES, MOST_BYTES = 1 << 22, 1 << 30
SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices that are multiplied."""
FOR_S = 0.3
LEAST_RUNS = 3
"""How long, and how often, each thing is repeated."""
TIMEOUT_S = 120


@dataclass(frozen=True)
class Speeds:
    """What a device does at most.

    Attributes:
        name: For people.
        bytes_per_s: Read from where weights of that size lie.
        flops_per_s: Floating-point operations, by the numbers that they are of.
    """

    name: str
    bytes_per_s: float
    flops_per_s: dict[str, float]

    @property
    def best_flops_per_s(self) -> float:
        """With the quickest numbers."""
        return max(self.flops_per_s.values())

    @property
    def described(self) -> str:
        """All of it, for people."""
        rates = f"{self.bytes_per_s / 1e9:.0f} GB/s, {self.best_flops_per_s / 1e12:.2f} TFLOP/s"
        return f"{self.name}: {rates}, measured"


def measure(threads: int | None, read_bytes: int) -> Speeds:
    """Measure this machine, once for each size: its first GPU, or its cores.

    Args:
        threads: Of PyTorch; None: as many as there are cores.
        read_bytes: What is read again and again; the next power of two is taken.

    Raises:
        subprocess.SubprocessError: It did not end, or not well.
    """
    return _measure(threads or 0, min(max(1 << (read_bytes - 1).bit_length(), LEAST_BYTES), MOST_BYTES))


@cache
def _measure(threads: int, size: int) -> Speeds:
    said = subprocess.run(
        [*PYTHON, "-m", "server.selftest.device", str(threads), str(size)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    ).stdout
    return Speeds(**json.loads(said.splitlines()[-1]))


def measure_here(threads: int, size: int) -> Speeds:
    """The same in this process."""
    import torch  # noqa: PLC0415 - here alone: heavy

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads:
        torch.set_num_threads(threads)

    def best_s(work: Callable[[], Any]) -> float:
        """Seconds of the quickest of several runs; on a CPU those of the threads, whatever else it does meanwhile."""
        clock, cores = (time.perf_counter, 1) if device == "cuda" else (time.process_time, torch.get_num_threads())
        took_s: list[float] = []
        work()
        while len(took_s) < LEAST_RUNS or sum(took_s) < FOR_S:
            _wait(torch, device)
            began = clock()
            work()
            _wait(torch, device)
            took_s.append((clock() - began) / cores)
        return min(took_s)

    with torch.inference_mode():
        read = torch.ones(size // 4, device=device)
        bytes_per_s = read.nbytes / best_s(read.sum)
        flops_per_s = {}
        side = SIDE[device]
        for dtype in (torch.float32, torch.bfloat16):
            matrix = torch.randn(side, side, device=device).to(dtype)
            flops_per_s[str(dtype).removeprefix("torch.")] = 2 * side**3 / best_s(partial(torch.mm, matrix, matrix))
        if device == "cuda" and torch.cuda.get_device_capability() >= (8, 9):
            one = torch.ones(1, device=device)
            matrix = torch.randn(side, side, device=device).to(torch.float8_e4m3fn)
            multiply = torch._scaled_mm  # noqa: SLF001 - PyTorch has no other name for it
            product_s = best_s(lambda: multiply(matrix, matrix.t(), one, one, out_dtype=torch.bfloat16))
            flops_per_s["float8"] = 2 * side**3 / product_s
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    return Speeds(name, bytes_per_s, flops_per_s)


def _wait(torch: Any, device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    print(json.dumps(asdict(measure_here(int(sys.argv[1]), int(sys.argv[2])))))
