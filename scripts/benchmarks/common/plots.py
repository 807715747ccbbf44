"""Plots of what benchmarks measured: PNG and SVG files of every series in their JSON files.

    python -m scripts.benchmarks.common.plots bench-results/                    into bench-results/plots
    python -m scripts.benchmarks.common.plots scale.json --output /tmp/plots

Series of a file that share a plot's name are drawn together. `common/page.py` puts them into its page.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIZE_INCHES, DPI = (7.2, 4.0), 150
MARKERS = "osD^vP"
FEW_TICKS = 12
"""Measured x values of a logarithmic axis are its ticks, if they are not more."""


@dataclass(frozen=True)
class Theme:
    """Colours. Those of the lines are Okabe and Ito's, which colour-blind people can tell apart as well."""

    paper: str
    ink: str
    grid: str
    lines: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1c2330", "#d8dde6", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"))
DARK = Theme("#171c26", "#e4e8ef", "#384254", ("#56b4e9", "#f0763a", "#2fc99a", "#e39ac4", "#f0b53a", "#a8b4ff"))


@dataclass(frozen=True)
class Plot:
    """The series of figures that one plot shows."""

    title: str
    series: Sequence[Mapping[str, Any]]

    @property
    def slug(self) -> str:
        """The title as a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "plot"

    @property
    def description(self) -> str:
        """What the picture shows, in words: for who does not see it."""
        lines = []
        for series in self.series:
            ends = [f"{y:g} at {x:g}" for x, y in zip(series["x"], series["y"], strict=True)]
            lines.append(f"{series['name']}: {', '.join(ends)}")
        return f"{self.title}; {self.series[0]['y_label']} over {self.series[0]['x_label']}. {'; '.join(lines)}."


def plots_of(report: Mapping[str, Any]) -> list[Plot]:
    """The plots of a benchmark's JSON file, in the order of their first series."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for series in report.get("series", ()):
        if series["x"]:
            groups[series["plot"]].append(series)
    return [Plot(title, series) for title, series in groups.items()]


def draw(plot: Plot, kind: str, theme: Theme = LIGHT) -> bytes:
    """The picture as a `png` or `svg` file. In an SVG all words are text."""
    settings: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": "babelview",
        "text.parse_math": False,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": theme.paper,
        "grid.color": theme.grid,
    }
    with mpl.rc_context(settings), io.BytesIO() as held:
        figure = _figure(plot, theme.lines)
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(held, format=kind, dpi=DPI, facecolor=theme.paper, metadata=metadata)
        return held.getvalue()


def _figure(plot: Plot, colours: Sequence[str]) -> Figure:
    figure = Figure(figsize=SIZE_INCHES, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, series in enumerate(plot.series):
        colour, marker = colours[number % len(colours)], MARKERS[number % len(MARKERS)]
        axes.plot(
            series["x"], series["y"], label=series["name"], linewidth=2, markersize=5, color=colour, marker=marker
        )
    first = plot.series[0]
    axes.set_title(plot.title, loc="left", fontweight="bold", pad=10)
    axes.set_xlabel(first["x_label"])
    axes.set_ylabel(first["y_label"])
    if first["log_x"]:
        axes.set_xscale("log")
        measured = sorted({x for series in plot.series for x in series["x"] if x > 0})
        if len(measured) <= FEW_TICKS:
            axes.set_xticks(measured)
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
        axes.xaxis.set_minor_locator(NullLocator())
    if first["log_y"]:
        axes.set_yscale("log")
    else:
        top = max((y for series in plot.series for y in series["y"]), default=0)
        axes.set_ylim(0, 1.12 * top or 1)  # from 0 on, or small changes look large
    axes.yaxis.set_major_formatter(FuncFormatter(_number))
    axes.grid(visible=True, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(plot.series) > 1 or first["name"] != plot.title:
        axes.legend(frameon=False)
    return figure


def _number(value: float, _: int | None = None) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def read_reports(paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """The benchmarks' JSON files among `paths` and in the folders among them; others are named and left out."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    reports = {}
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            print(f"{file}: left out: {error}", file=sys.stderr)
            continue
        if not isinstance(content, dict) or not {"title", "figures"} <= content.keys():
            print(f"{file}: left out: not written by a benchmark", file=sys.stderr)
            continue
        reports[file] = content
    return reports


def write_plots(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write PNG and SVG of all plots of these files; returns what was written."""
    written = []
    for file, report in read_reports(paths).items():
        for number, plot in enumerate(plots_of(report), 1):
            folder.mkdir(parents=True, exist_ok=True)
            for kind in ("png", "svg"):
                path = folder / f"{file.stem}-{number}-{plot.slug}.{kind}"
                path.write_bytes(draw(plot, kind))
                written.append(path)
    return written


def main() -> int:
    """Command line: 0 done, 1 there was nothing to draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="JSON files of benchmarks, or folders of them")
    parser.add_argument("--output", type=Path, metavar="DIR", help="(default: plots/ beside the first file)")
    args = parser.parse_args()
    first = args.results[0]
    written = write_plots(args.results, args.output or (first if first.is_dir() else first.parent) / "plots")
    for path in written:
        print(path)
    if not written:
        print("no series to draw", file=sys.stderr)
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main())
