"""The page of all results: complete, escaped, and alone."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks.common.page import number, page_of
from scripts.benchmarks.common.report import Report, Series

SCRIPT = "scripts.benchmarks.common.page"
HOSTILE = "</title><script>alert('1')</script>\"><img src=x onerror=alert(2)> & co"


class Elements(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def made(title: str = "Sampler") -> dict[str, Any]:
    report = Report(title, "jinja2")
    report.add("CPU of a video", "s", [0.5, 0.6], [4.8, 4.5])
    report.add("memory", "MB", [225.0], [200.0])
    report.add("requests", "1/s", [12345.0, 12345.0])
    report.series.append(Series("Cost", "ours", "files", "ms a file", [100, 10_000], [2.5, 2.0], log_x=True))
    report.notes.append("Random weights.")
    return report.content()


def page(*reports: dict[str, Any]) -> str:
    return page_of({Path(f"{place}.json"): report for place, report in enumerate(reports)}, "All of it")


def test_every_figure_stands_in_it() -> None:
    report = made()
    said = Elements(page(report)).text
    for figure in report["figures"]:
        for key in ("value", "baseline", "ratio", "low", "high"):
            if figure[key] is not None:
                assert number(figure[key]) in said, (figure["name"], key)
        assert figure["name"] in said
        assert figure["unit"] in said
    for word in ("Random weights.", "0.json", report["date"], report["machine"]["cpu"], "jinja2", "12,300"):
        assert word in said


def test_every_report_has_a_section_that_the_top_links_to() -> None:
    elements = Elements(page(made("One"), made("Two")))
    links = [attributes["href"] for attributes in elements.all("a")]
    assert links == [f"#{section['id']}" for section in elements.all("section")]
    assert len(links) == 2


def test_better_and_worse_are_told_apart() -> None:
    assert [attributes["class"] for attributes in Elements(page(made())).all("strong")] == ["better", "worse"]


def test_hostile_words_are_text() -> None:
    report = made(HOSTILE)
    report["figures"][0] |= {"name": HOSTILE, "unit": HOSTILE}
    report["series"][0] |= {"plot": HOSTILE, "name": HOSTILE, "x_label": HOSTILE}
    report["notes"] = [HOSTILE]
    report["machine"]["cpu"] = report["versions"][HOSTILE] = HOSTILE
    html = page_of({Path(f"{HOSTILE.replace('/', '')}.json"): report}, HOSTILE)
    elements = Elements(html)
    assert {tag for tag, _ in elements.tags}.isdisjoint({"script", "iframe", "object", "embed"})
    assert not [attributes for _, attributes in elements.tags if any(name.startswith("on") for name in attributes)]
    assert all((image["src"] or "").startswith("data:image/svg+xml;base64,") for image in elements.all("img"))
    assert elements.text.count(HOSTILE) >= 8  # once in each place, whole


def test_it_loads_nothing() -> None:
    html = page(made(), made())
    elements = Elements(html)
    for _, attributes in elements.tags:
        for name in ("src", "srcset", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert "url(" not in html
    assert "@import" not in html
    policies = [meta["content"] for meta in elements.all("meta") if meta.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_plots_are_in_it_with_words_for_those_who_do_not_see_them() -> None:
    elements = Elements(page(made()))
    [image], [dark] = elements.all("img"), elements.all("source")
    assert image["alt"] == "Cost; ms a file over files. ours: 2.5 at 100, 2 at 10000."
    assert dark["media"] == "(prefers-color-scheme: dark)"
    for held in (image["src"], dark["srcset"]):
        ET.fromstring(base64.b64decode((held or "").partition(",")[2]))


def test_tables_have_headers() -> None:
    elements = Elements(page(made()))
    headers = elements.all("th")
    assert {header["scope"] for header in headers} == {"col", "row"}
    assert len(elements.all("table")) == 2  # the figures, and the numbers of the plot


def test_a_report_of_an_older_form_is_shown_too() -> None:
    figure = {"name": "rate", "value": 3.0, "unit": "1/s", "baseline": None, "ratio": None}
    assert "rate" in page({"title": "Old", "figures": [figure]})


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "sampler.json").write_text(json.dumps(made()))
    output = tmp_path / "index.html"
    command = [sys.executable, "-m", SCRIPT, tmp_path, "--output", output, "--title", "Mine"]
    subprocess.run(command, check=True, capture_output=True)
    assert re.search("<title>Mine</title>", output.read_text())


def test_without_results_nothing_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", SCRIPT, tmp_path, "--output", tmp_path / "index.html"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no results" in done.stderr
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("value", "text"), [(12300.0, "12,300"), (0.889, "0.889"), (1.0, "1"), (1230000.0, "1,230,000")]
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert number(value) == text
