"""The common form of the benchmarks: figures beside a baseline's, as a table and as JSON.

Measure both systems in turn within one run, so that they meet the same machine, and give `Report.add` all the
values of each: it takes medians.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from server.sizing.gpus import list_gpus

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
    runs: int = 1
    low: float | None = None
    """Least and greatest ratio of one round (of the value itself, without a baseline); None for one round."""
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A line of a plot: how `y` goes with `x`."""

    plot: str
    """Series of one plot share its name; it is the plot's title."""
    name: str
    x_label: str
    y_label: str
    x: list[float]
    y: list[float]
    log_x: bool = False
    log_y: bool = False


class Report:
    """Collects the figures of a benchmark."""

    def __init__(self, title: str, *packages: str) -> None:
        """`packages` are those whose versions matter."""
        self._title = title
        self._packages = packages
        self.figures: list[Figure] = []
        self.series: list[Series] = []
        self.notes: list[str] = []
        """What a reader must know to read the figures right, such as the models' sizes."""

    def add(
        self,
        name: str,
        unit: str,
        values: Sequence[float],
        baseline: Sequence[float] = (),
        *,
        more_is_better: bool = False,
    ) -> Figure:
        """Add the median of `values`, and the ratio to that of `baseline`, if there is one.

        Where both have a value for each round, they were measured in turn, and the spread is that of the rounds'
        ratios: a machine that is slow for a while is so for both.
        """
        ours, theirs = median(values), median(baseline) if baseline else None
        rounds = zip(values, baseline, strict=True) if len(values) == len(baseline) else ()
        spread = [_ratio(*both, more_is_better) for both in rounds] if baseline else list(values)
        known = [each for each in spread if each is not None] if len(values) > 1 else []
        figure = Figure(
            name,
            _short(ours),
            unit,
            None if theirs is None else _short(theirs),
            None if theirs is None else _ratio(ours, theirs, more_is_better),
            len(values),
            min(map(_short, known), default=None),
            max(map(_short, known), default=None),
        )
        self.figures.append(figure)
        return figure

    def show(self, path: Path | None = None, console: Console | None = None) -> None:
        """Print the table, and write everything to `path` as JSON."""
        content = self.content()
        table = Table("", "ours", "baseline", "ratio", "spread", title=self._title)
        for figure in self.figures:
            baseline = "" if figure.baseline is None else f"{figure.baseline:g} {figure.unit}"
            ratio = "" if figure.ratio is None else f"{figure.ratio:g}x"
            spread = "" if figure.low is None else f"{figure.low:g} to {figure.high:g}, {figure.runs} runs"
            table.add_row(figure.name, f"{figure.value:g} {figure.unit}", baseline, ratio, spread)
        console = console or Console()
        console.print(table)
        machine, versions = content["machine"], content["versions"]
        for note in self.notes:
            console.print(note)
        device = f", {machine['gpu']}" if machine["gpu"] else ""
        found = f"{machine['cores']} cores, {machine['cpu']}{device}"
        console.print(", ".join([found, *map(" ".join, versions.items())]))
        if path:
            path.write_text(json.dumps(content, indent=2) + "\n")

    def content(self) -> dict[str, Any]:
        """The whole report as `--json` writes it."""
        versions = {"python": platform.python_version()}
        return {
            "title": self._title,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "figures": [asdict(figure) for figure in self.figures],
            "series": [asdict(series) for series in self.series],
            "notes": self.notes,
            "machine": {
                "cpu": _cpu(),
                "cores": os.cpu_count(),
                "gpu": ", ".join(gpu.name for gpu in list_gpus()),
                "system": platform.platform(),
            },
            "versions": versions | _versions("babelview", *self._packages),
        }


def _versions(*packages: str) -> dict[str, str]:
    """Of those that are installed: a stack that is measured may run elsewhere."""
    found = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _ratio(ours: float, theirs: float, more_is_better: bool) -> float | None:
    if not ours or not theirs:
        return None
    return _short(ours / theirs if more_is_better else theirs / ours)


def _short(value: float) -> float:
    """A number to three digits: more would be noise."""
    return float(f"{value:.3g}")


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
