"""Data of prompts with a schema that people changed in the report: checked, and beside the model's own."""

from __future__ import annotations

import json
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from ledgers import identity_of
from report_ledgers import Shown, write_shown
from result_runs import read, sql

from client.export.formats import export
from client.ledger.results import Results
from client.media.content import Facts
from client.media.kinds import Kind
from client.record import record_of
from client.report import data
from client.report.apply import Applied, apply_edits
from client.report.items import Schemas, item_of, report_id

if TYPE_CHECKING:
    from pathlib import Path

TASKS = ["ad_facts", "elements", "chapters"]
AT = "2026-11-30T06:00:00.000Z"
PICTURE, VIDEO = "/ads/a.png", "/ads/b.mp4"
FACTS: dict[str, Any] = {
    "is_ad": True, "brand": "Sol", "product": "Tea", "offer": None, "price": "2 €", "call_to_action": None,
    "audience": "all", "format": "product shot",
}  # fmt: skip
ELEMENTS: dict[str, Any] = {
    "brands": ["Sol"],
    "products": [], "people": [], "texts": [], "places": [],
}  # fmt: skip
CHAPTERS = {"chapters": [{"start": 0.0, "title": "Dawn"}, {"start": 2.0, "title": "Noon"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture = Shown(PICTURE, answers={"ad_facts": (json.dumps(FACTS), {"spa_Latn": ["Té", "todos"]})})
    video = Shown(
        VIDEO,
        Kind.VIDEO,
        Facts(640, 360, 4.0, 25.0, 100),
        windows={
            "elements": [(0, 2, json.dumps(ELEMENTS), {}), (2, 4, json.dumps(ELEMENTS), {})],
            "chapters": [(0, 2, "It dawns.", {}), (2, 4, "It is noon.", {})],
        },
        merges={"chapters": (json.dumps(CHAPTERS), {"spa_Latn": ["Alba", "Mediodía"]})},
    )
    write_shown(tmp_path / "out", [picture, video], TASKS, ("spa_Latn",))
    return tmp_path / "out"


def editable(folder: Path, number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What may be edited of a file, and the schemas."""
    schemas = Schemas()
    with Results(folder) as results:
        items = [item_of(file, record_of(file, results), b"/report", schemas) for file in results.files()]
    found: dict[str, Any] = items[number].details["editable"]
    return found, schemas.all()


def apply(folder: Path, *edits: dict[str, Any]) -> Applied:
    with Results(folder) as results:
        report = report_id(results)
    path = folder.parent / "edits.json"
    path.write_text(json.dumps({"babelview_edits": 1, "report": report, "reviews": [], "edits": list(edits)}))
    return apply_edits(folder, path)


def edit(folder: Path, task: str, data: Any, was: Any, place: int | None = None, **others: Any) -> dict[str, Any]:
    """A change as the page saves it."""
    name = PICTURE if task == "ad_facts" else VIDEO
    found, _ = editable(folder, 0 if name == PICTURE else 1)
    number = found[task]["whole"] if place is None else found[task]["segments"][place]
    known = {"answer": number, "sha256": identity_of(name).sha256, "file": name, "task": task, "language": "eng_Latn"}
    return {**known, "texts": [json.dumps(data)], "was": [json.dumps(was)], "at": AT, **others}


def tasks_of(folder: Path, number: int) -> dict[str, Any]:
    tasks: dict[str, Any] = read(folder)[number]["tasks"]
    return tasks


def test_the_page_gets_the_schema_of_what_may_be_edited(folder: Path) -> None:
    picture, schemas = editable(folder, 0)
    video, _ = editable(folder, 1)
    assert schemas[picture["ad_facts"]["schema"]]["properties"].keys() == FACTS.keys()
    assert len(video["elements"]["segments"]) == 2
    assert schemas[video["elements"]["schema"]]["properties"].keys() == ELEMENTS.keys()
    assert "whole" in video["chapters"]
    assert len(schemas) == 3


def test_changed_data_stand_in_the_results_and_the_model_s_beside_them(folder: Path) -> None:
    changed = {**FACTS, "price": "3 €", "audience": "ünder 30"}
    found = apply(
        folder,
        edit(folder, "ad_facts", changed, FACTS),
        edit(folder, "elements", {**ELEMENTS, "brands": []}, ELEMENTS, place=1),
    )
    assert found == Applied(0, 2, [])
    facts = tasks_of(folder, 0)["ad_facts"]
    assert (facts["data"], facts["edited"]) == (changed, {"eng_Latn": FACTS})
    assert json.loads(facts["raw"]) == FACTS
    first, then = tasks_of(folder, 1)["elements"]["segments"]
    assert "edited" not in first
    assert (then["data"]["brands"], then["edited"]) == ([], {"eng_Latn": ELEMENTS})
    export(folder, ["csv", "jsonl"])
    assert "ünder 30" in (folder / "results.csv").read_text("utf-8-sig")
    assert sql(folder, "SELECT text FROM answers WHERE task = 'ad_facts'") == [(json.dumps(FACTS),)]


def test_parts_follow_and_translations_stay_with_what_was_translated(folder: Path) -> None:
    changed = {"chapters": [{"start": 0, "title": "Night"}, {"start": 2, "title": "Noon"}]}
    assert apply(folder, edit(folder, "chapters", changed, CHAPTERS)) == Applied(0, 1, [])
    chapters = tasks_of(folder, 1)["chapters"]
    assert [(it["title"], it.get("translations")) for it in chapters["segments"]] == [
        ("Night", None),
        ("Noon", {"spa_Latn": "Mediodía"}),
    ]
    assert [it["title"] for it in chapters["translations"]["spa_Latn"]["chapters"]] == ["Alba", "Mediodía"]
    later = {"chapters": [{"start": 2.0, "title": "Noon"}]}
    apply(folder, edit(folder, "chapters", later, CHAPTERS))
    chapters = tasks_of(folder, 1)["chapters"]
    assert [it["start"] for it in chapters["translations"]["spa_Latn"]["chapters"]] == [0, 2]
    (only,) = chapters["segments"]
    assert (only["start"], only["end"], only["translations"]) == (0.0, 4.0, {"spa_Latn": "Mediodía"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"texts": [json.dumps({**FACTS, "price": 3})]}, "not by the schema: .*price"),
        ({"texts": [json.dumps({**FACTS, "colour": "red"})]}, "not by the schema: .*colour"),
        ({"texts": ["no JSON"]}, "not by the schema: it is no JSON"),
        ({"texts": [json.dumps(FACTS), json.dumps(FACTS)]}, "several texts for one"),
        ({"was": [json.dumps({**FACTS, "price": "9 €"})]}, "it was answered anew since"),
        ({"was": ["no JSON"]}, "it was answered anew since"),
        ({"was": []}, "it was answered anew since"),
        ({"language": "spa_Latn"}, "it was answered anew since"),
    ],
)
def test_what_is_no_such_data_is_left_out(folder: Path, change: dict[str, Any], reason: str) -> None:
    before = read(folder)
    found = apply(folder, {**edit(folder, "ad_facts", {**FACTS, "price": "3 €"}, FACTS), **change})
    assert found.edits == 0
    (left_out,) = found.left_out
    assert left_out.startswith("/ads/a.png, ad_facts")
    assert re.search(reason, left_out), left_out
    assert read(folder) == before


def test_the_same_data_take_an_edit_back_however_numbers_are_written(folder: Path) -> None:
    before = read(folder)
    changed = {"chapters": [{"start": 0, "title": "Night"}]}
    apply(folder, edit(folder, "chapters", changed, CHAPTERS))
    assert read(folder) != before
    own = {"chapters": [{"title": "Dawn", "start": 0}, {"start": 2, "title": "Noon"}]}
    assert apply(folder, edit(folder, "chapters", own, CHAPTERS)) == Applied(0, 1, [])
    assert read(folder) == before
    assert sql(folder, "SELECT COUNT(*) FROM edits") == [(0,)]


def test_an_answer_that_is_no_data_cannot_be_edited(tmp_path: Path) -> None:
    write_shown(tmp_path / "out", [Shown(PICTURE, answers={"ad_facts": ("Tea for all.", {})})], ["ad_facts"], ())
    schemas = Schemas()
    with Results(tmp_path / "out") as results:
        (item,) = [item_of(file, record_of(file, results), b"/report", schemas) for file in results.files()]
    assert "editable" not in item.details


def test_a_page_says_which_version_wrote_it() -> None:
    assert data._version() == metadata.version("babelview")
