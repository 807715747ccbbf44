"""One HTML page with all results of a run: figures, plots, machine, versions, notes.

    python -m scripts.benchmarks.common.page bench-results/ --output bench-results/index.html
    python -m scripts.benchmarks.common.page server.json pipeline.json --title "One H100" --output h100.html

The page is one file: plots are in it, and it loads nothing from anywhere. Titles, names and notes are escaped.
"""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.benchmarks.common.plots import DARK, LIGHT, Plot, Theme, draw, plots_of, read_reports

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = Path(__file__).parent
FIGURE_DEFAULTS = {"unit": "", "baseline": None, "ratio": None, "runs": 1, "low": None, "high": None}


def number(value: float) -> str:
    """A figure as people write it: 12,300 and not 1.23e+04."""
    return f"{value:,.10g}"


def page_of(reports: Mapping[Path, Mapping[str, Any]], title: str) -> str:
    """The page's HTML.

    Args:
        reports: What benchmarks wrote, by the file that it was read from.
        title: Of the page.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = number
    pages = [_page(place, file, report) for place, (file, report) in enumerate(reports.items(), 1)]
    days = sorted({page["date"][:10] for page in pages if page["date"]})
    return environment.get_template("page.html").render(
        title=title,
        pages=pages,
        figures=sum(len(page["figures"]) for page in pages),
        days=days[0] if len(days) == 1 else " to ".join((days[0], days[-1])) if days else "",
        machines=list(dict.fromkeys(page["machine"] for page in pages)),
    )


def _page(place: int, file: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    machine = report.get("machine", {})
    known = [f"{machine['cores']} cores"] if "cores" in machine else []
    return {
        "anchor": f"benchmark-{place}",
        "title": report["title"],
        "file": file.name,
        "date": report.get("date", ""),
        "notes": report.get("notes", []),
        "figures": [FIGURE_DEFAULTS | figure for figure in report["figures"]],
        "plots": [_plot(plot) for plot in plots_of(report)],
        "machine": ", ".join([*known, *(str(machine[name]) for name in ("cpu", "gpu", "system") if machine.get(name))]),
        "versions": ", ".join(f"{name} {version}" for name, version in report.get("versions", {}).items()),
    }


def _plot(plot: Plot) -> dict[str, Any]:
    return {
        "title": plot.title,
        "description": plot.description,
        "series": plot.series,
        "light": _embedded(plot, LIGHT),
        "dark": _embedded(plot, DARK),
    }


def _embedded(plot: Plot, theme: Theme) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(draw(plot, "svg", theme)).decode()


def main() -> int:
    """Command line: 0 done, 1 there are no results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="JSON files of benchmarks, or folders of them")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the page")
    parser.add_argument("--title", default="Babelview: benchmarks", help="(default: %(default)s)")
    args = parser.parse_args()
    reports = read_reports(args.results)
    if not reports:
        print("error: no results of benchmarks there", file=sys.stderr)
        return 1
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(page_of(reports, args.title), encoding="utf-8")
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
