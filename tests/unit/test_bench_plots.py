"""Plots of the benchmarks' series: real PNG and SVG files that say what is measured."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from scripts.benchmarks.common.plots import DARK, draw, plots_of, read_reports, write_plots

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "scripts.benchmarks.common.plots"


def series(plot: str, name: str, **more: Any) -> dict[str, Any]:
    shape = {"x": [1, 10, 100], "y": [3.0, 2.0, 1.5], "log_x": True, "log_y": False}
    return {"plot": plot, "name": name, "x_label": "requests at once", "y_label": "ms a request"} | shape | more


def report(*all_series: dict[str, Any]) -> dict[str, Any]:
    return {"title": "A benchmark", "figures": [], "series": list(all_series)}


def words(svg: bytes) -> str:
    return " ".join("".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_series_of_one_plot_share_a_picture() -> None:
    plots = plots_of(report(series("Time", "ours"), series("Memory", "ours"), series("Time", "theirs")))
    assert [(plot.title, len(plot.series)) for plot in plots] == [("Time", 2), ("Memory", 1)]


def test_an_svg_has_every_label_as_text() -> None:
    [plot] = plots_of(report(series("Time & cost of $x$", "ours <1>"), series("Time & cost of $x$", "theirs")))
    said = words(draw(plot, "svg"))
    for label in ("Time & cost of $x$", "ours <1>", "theirs", "requests at once", "ms a request", "100"):
        assert label in said


def test_the_same_series_make_the_same_file() -> None:
    [plot] = plots_of(report(series("Time", "ours")))
    assert draw(plot, "svg") == draw(plot, "svg")
    assert draw(plot, "svg") != draw(plot, "svg", DARK)


def test_a_png_is_one_and_shows_something() -> None:
    [plot] = plots_of(report(series("Time", "ours", log_y=True)))
    with Image.open(io.BytesIO(draw(plot, "png"))) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.parametrize("shape", [{"x": [5], "y": [2.0]}, {"y": [0.0, 0.0, 0.0]}, {"x": [1, 1, 1]}])
def test_odd_series_are_drawn_too(shape: dict[str, Any], recwarn: pytest.WarningsRecorder) -> None:
    [plot] = plots_of(report(series("Time", "ours", **shape)))
    ET.fromstring(draw(plot, "svg"))
    assert not [str(warning.message) for warning in recwarn]


def test_a_series_without_values_is_no_plot() -> None:
    assert plots_of(report(series("Time", "ours", x=[], y=[]))) == []


def test_the_description_has_all_numbers() -> None:
    [plot] = plots_of(report(series("Time", "ours")))
    assert plot.description == "Time; ms a request over requests at once. ours: 3 at 1, 2 at 10, 1.5 at 100."


def test_files_get_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(report(series("Time", "a"), series("time!", "b"))))
    written = write_plots([tmp_path], tmp_path / "plots")
    assert sorted(path.name for path in written) == [
        *("one-1-time.png", "one-1-time.svg", "one-2-time.png", "one-2-time.svg"),
    ]


def test_other_files_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.json").write_text(json.dumps(report()))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("[1]")
    assert list(read_reports([tmp_path])) == [tmp_path / "good.json"]
    said = capsys.readouterr().err
    assert "broken.json: left out" in said
    assert "other.json: left out: not written by a benchmark" in said


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "no series to draw\n")
