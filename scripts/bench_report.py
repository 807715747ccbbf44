"""The common form of the benchmarks: figures beside a baseline's, as a table and as JSON.

Measure both sides in turn within one run, so that they meet the same machine, and give `Report.add` all the
values of each: it takes medians.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One line: `ratio` says how many times better than the baseline (above 1) or worse (below 1) it is."""

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None


class Report:
    """Collects the figures of a benchmark."""

    def __init__(self, title: str, *packages: str) -> None:
        """`packages` are those whose versions matter."""
        self._title = title
        self._packages = packages
        self.figures: list[Figure] = []

    def add(
        self,
        name: str,
        unit: str,
        values: Sequence[float],
        baseline: Sequence[float] = (),
        *,
        more_is_better: bool = False,
    ) -> Figure:
        """Add the median of `values`, and the ratio to that of `baseline`, if there is one."""
        ours, theirs = median(values), median(baseline) if baseline else None
        ratio = None
        if theirs is not None and ours and theirs:
            ratio = ours / theirs if more_is_better else theirs / ours
        figure = Figure(name, _short(ours), unit, _short(theirs), _short(ratio))
        self.figures.append(figure)
        return figure

    def show(self, path: Path | None = None, console: Console | None = None) -> None:
        """Print the table, and write everything to `path` as JSON."""
        machine = {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.platform()}
        versions = {"python": platform.python_version()}
        versions |= {name: metadata.version(name) for name in self._packages}
        table = Table("", "ours", "baseline", "ratio", title=self._title)
        for figure in self.figures:
            baseline = "" if figure.baseline is None else f"{figure.baseline:g} {figure.unit}"
            ratio = "" if figure.ratio is None else f"{figure.ratio:g}x"
            table.add_row(figure.name, f"{figure.value:g} {figure.unit}", baseline, ratio)
        console = console or Console()
        console.print(table)
        console.print(", ".join([f"{machine['cores']} cores, {machine['cpu']}", *map(" ".join, versions.items())]))
        if path:
            figures = [asdict(figure) for figure in self.figures]
            content = {"title": self._title, "figures": figures, "machine": machine, "versions": versions}
            path.write_text(json.dumps(content, indent=2) + "\n")


def _short(value: float | None) -> float | None:
    """To three digits: more would be noise."""
    return None if value is None else float(f"{value:.3g}")


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
