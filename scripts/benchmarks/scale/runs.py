"""Runs of the batch client at several sizes, what they took, and what is reported of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from client.endpoints.keys import API_KEY, TRANSLATOR_KEY
from scripts.benchmarks.client import ROOT
from scripts.benchmarks.common.report import Report, Series
from scripts.benchmarks.sampler import memory_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SAMPLE_S = 0.2
KEYS = (API_KEY, TRANSLATOR_KEY)
"""What else is set in the environment would be another run than ours."""


@dataclass(frozen=True)
class Run:
    """What one run of the batch client took.

    Attributes:
        wall_s: From its command to its end.
        work_s: Of that, from where it begins to look at files to its last answer.
        peak_mb: The most that all its processes held at once, shared memory counted once (PSS).
    """

    wall_s: float
    work_s: float
    peak_mb: float


def run_client(files: Path, output: Path, *options: str, again: bool = False) -> Run:
    """`python -m client.batch`, as a process of its own, into a new folder, or `again` into that of the last run.

    Raises:
        CalledProcessError: it failed; so not all of the files were done.
    """
    if not again:
        shutil.rmtree(output, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "client.batch",
        str(files),
        "--output",
        str(output),
        "--quiet",
        "--no-hear",
        *options,
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_") or name in KEYS
    }
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        sizes: list[float] = []
        watcher = threading.Thread(target=_watch, args=(process, sizes))
        watcher.start()
        process.wait()
        wall = time.perf_counter() - began
        watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    stats = json.loads((output / "results.json").read_bytes())["stats"]
    return Run(wall, stats["wall_time_sec"], max(sizes))


def _watch(process: subprocess.Popen[bytes], sizes: list[float]) -> None:
    while process.poll() is None:
        sizes.append(memory_of_all(process.pid))
        time.sleep(SAMPLE_S)


@dataclass
class Sweep:
    """Runs at several sizes, and of the client's start; one a round."""

    runs: dict[int, list[Run]] = field(default_factory=lambda: defaultdict(list))
    starts: list[Run] = field(default_factory=list)

    def cost(self, size: int, units: int) -> list[float]:
        """Milliseconds for one of `units`, without what a run over one picture takes."""
        pairs = zip(self.runs[size], self.starts, strict=True)
        return [1000 * max(run.work_s - start.work_s, 0) / units for run, start in pairs]

    def memory(self, size: int) -> list[float]:
        """The peak memory of each run, in MB."""
        return [run.peak_mb for run in self.runs[size]]


def add(report: Report, sweep: Sweep, sizes: Sequence[tuple[int, int]], *, of: str, x_label: str, unit: str) -> None:
    """Figures and series of a sweep.

    Args:
        report: Gets them.
        sweep: What was measured.
        sizes: Each size, and how many units a run of it has; the least first.
        of: What grew.
        x_label: What its sizes are numbers of.
        unit: What a cost is of, such as `a file`.
    """
    costs = [sweep.cost(*size) for size in sizes]
    memory = [sweep.memory(size) for size, _ in sizes]
    between = f"{sizes[-1][0]:,} {x_label} (baseline: {sizes[0][0]:,})"
    report.add(f"{of}: time of {unit} at {between}", "ms", costs[-1], costs[0])
    report.add(f"{of}: peak memory at {between}", "MB", memory[-1], memory[0])
    x = [float(size) for size, _ in sizes]
    for plot, name, unit_of_y, values in (
        (f"Time of {unit}: {of}", "from the first look to the last answer", f"ms {unit}", costs),
        (f"Peak memory: {of}", "all processes of the client", "MB", memory),
    ):
        report.series.append(Series(plot, name, x_label, unit_of_y, x, list(map(median, values)), log_x=True))
