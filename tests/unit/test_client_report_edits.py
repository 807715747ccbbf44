"""What people do in the report comes into the ledger beside what the models said, and into every export."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
from ledgers import identity_of, plan_of
from report_ledgers import Shown, write_shown
from result_runs import read, sql

from client.cli.main import main
from client.endpoints.completion import Answer
from client.errors import UsageError
from client.export.formats import export
from client.ledger.events import AnswerStored
from client.ledger.ledger import Ledger
from client.ledger.results import Results
from client.media.content import Facts
from client.media.kinds import Kind
from client.report import write as report_writer
from client.report.apply import Applied, apply_edits
from client.report.items import report_id
from client.tasks.plan import UnitRequest
from client.tasks.units import whole

if TYPE_CHECKING:
    from pathlib import Path

TASKS = ["describe", "tags", "sentiment", "captions"]
AT = "2026-11-30T06:00:00.000Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture with a text, a list and a tone in two languages, and a video in segments."""
    picture = Shown(
        "/ads/a.png",
        answers={
            "describe": ("A car.", {"spa_Latn": ["Un coche."]}),
            "tags": ('["car", "beach"]', {"spa_Latn": ["playa", "coche"]}),
            "sentiment": ("It is negative.", {}),
        },
    )
    video = Shown(
        "/ads/b.mp4",
        Kind.VIDEO,
        Facts(640, 360, 4.0, 25.0, 100),
        windows={"captions": [(0, 2, "First.", {"spa_Latn": "Antes."}), (2, 4, "Then.", {})]},
    )
    write_shown(tmp_path / "out", [picture, video], TASKS, ("spa_Latn",))
    return tmp_path / "out"


def answer_ids(folder: Path, task: str) -> list[int]:
    return [number for (number,) in sql(folder, "SELECT id FROM answers WHERE task = ? ORDER BY id", task)]


def edit(folder: Path, task: str, texts: list[str], was: list[str], **others: Any) -> dict[str, Any]:
    """A change as the page saves it."""
    name = "/ads/b.mp4" if task == "captions" else "/ads/a.png"
    known = {"answer": answer_ids(folder, task)[0], "sha256": identity_of(name).sha256, "file": name, "task": task}
    return {**known, "language": "eng_Latn", "texts": texts, "was": was, "at": AT, **others}


def saved(folder: Path, *edits: dict[str, Any], reviews: tuple[dict[str, Any], ...] = (), **others: Any) -> Path:
    """The file that the page saves."""
    with Results(folder) as results:
        report = report_id(results)
    path = folder.parent / "edits.json"
    found = {"babelview_edits": 1, "report": report, "reviews": list(reviews), "edits": list(edits), **others}
    path.write_text(json.dumps(found))
    return path


def tasks_of(folder: Path, number: int = 0) -> dict[str, Any]:
    tasks: dict[str, Any] = read(folder)[number]["tasks"]
    return tasks


def test_edited_texts_stand_in_the_results_and_the_model_s_own_beside_them(folder: Path) -> None:
    changed = saved(
        folder,
        edit(folder, "describe", ["A red car."], ["A car."]),
        edit(folder, "describe", ["Un coche rojo."], ["Un coche."], language="spa_Latn"),
        edit(folder, "tags", ["beach", "car", "sea"], ["beach", "car"]),
        edit(folder, "sentiment", ["It is positive."], ["It is negative."]),
        edit(folder, "captions", ["At first."], ["First."]),
        edit(folder, "captions", ["Al principio."], ["Antes."], language="spa_Latn"),
    )
    assert apply_edits(folder, changed) == Applied(0, 6, [])
    tasks = tasks_of(folder)
    assert tasks["describe"]["text"] == "A red car."
    assert tasks["describe"]["translations"] == {"spa_Latn": "Un coche rojo."}
    assert tasks["describe"]["edited"] == {"eng_Latn": "A car.", "spa_Latn": "Un coche."}
    assert tasks["tags"]["tags"] == tasks["tags"]["original_order"] == ["beach", "car", "sea"]
    assert tasks["tags"]["edited"] == {"eng_Latn": ["beach", "car"]}
    assert tasks["tags"]["raw"] == '["car", "beach"]'
    assert (tasks["sentiment"]["text"], tasks["sentiment"]["label"]) == ("It is positive.", "positive")
    first, then = tasks_of(folder, 1)["captions"]["segments"]
    assert (first["text"], first["translations"]) == ("At first.", {"spa_Latn": "Al principio."})
    assert first["edited"] == {"eng_Latn": "First.", "spa_Latn": "Antes."}
    assert "edited" not in then
    assert not [warning for record in read(folder) for warning in record["warnings"]]
    export(folder, ["csv", "vtt"])
    with (folder / "results.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["describe"], rows[0]["describe_edited"]) == ("A red car.", "eng_Latn; spa_Latn")
    assert rows[1]["captions_edited"] == "eng_Latn; spa_Latn"
    assert "At first." in next(folder.rglob("*.captions.eng_Latn.vtt")).read_text()
    assert sql(folder, "SELECT text FROM answers WHERE task = 'describe'") == [("A car.",)]


def test_the_same_words_take_an_edit_back(folder: Path) -> None:
    before = read(folder)
    apply_edits(folder, saved(folder, edit(folder, "describe", ["Another."], ["A car."])))
    assert read(folder) != before
    apply_edits(folder, saved(folder, edit(folder, "describe", ["A car."], ["A car."])))
    assert read(folder) == before


def test_what_people_think_of_a_file_is_kept_and_can_be_taken_back(folder: Path) -> None:
    review = {"sha256": identity_of("/ads/a.png").sha256, "file": "a", "state": "flagged", "note": "Look!", "at": AT}
    unknown = {**review, "sha256": "0" * 64, "file": "other.png"}
    found = apply_edits(folder, saved(folder, reviews=(review, unknown)))
    assert found == Applied(1, 0, ["other.png: not in this folder"])
    assert [record.get("review") for record in read(folder)] == [{"state": "flagged", "note": "Look!"}, None]
    export(folder, ["csv"])
    with (folder / "results.csv").open(newline="", encoding="utf-8-sig") as file:
        assert [(row["review"], row["review_note"]) for row in csv.DictReader(file)] == [("flagged", "Look!"), ("", "")]
    apply_edits(folder, saved(folder, reviews=({**review, "state": None, "note": ""},)))
    assert [record.get("review") for record in read(folder)] == [None, None]


def test_an_answer_that_came_anew_stands_and_the_edit_is_told(folder: Path) -> None:
    changed = saved(folder, edit(folder, "describe", ["A red car."], ["A car."]))
    apply_edits(folder, changed)
    request = next(it for it in plan_of(TASKS, ("spa_Latn",)).requests[Kind.IMAGE] if it.key == "describe")
    ledger = Ledger(folder)
    ask = UnitRequest(whole(identity_of("/ads/a.png").sha256), request)
    ledger.apply(AnswerStored(ask, Answer("A bus.", "stop", 1, 1, 0.1)))
    ledger.close()
    record = read(folder)[0]
    assert record["tasks"]["describe"]["text"] == "A bus."
    assert "edited" not in record["tasks"]["describe"]
    assert record["warnings"] == [
        "describe: eng_Latn: it was changed by hand and answered anew since: the new answer stands"
    ]
    assert apply_edits(folder, changed) == Applied(0, 0, ["/ads/a.png, describe: it was answered anew since"])


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64},
        {"answer": 999},
        {"was": ["Another."]},
        {"language": "fra_Latn"},
        {"texts": ["Two", "texts"]},
    ],
)
def test_an_edit_that_fits_nothing_is_left_out(folder: Path, changes: dict[str, Any]) -> None:
    before = read(folder)
    found = apply_edits(folder, saved(folder, {**edit(folder, "describe", ["A bus."], ["A car."]), **changes}))
    assert found.edits == 0
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith("/ads/a.png, describe")
    assert read(folder) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no JSON", "not a file that the report's page has saved: JSON is malformed"),
        ("[]", "not a file that"),
        ('{"babelview_edits": 1, "report": "x", "reviews": [{"state": "evil"}], "edits": []}', "not a file that"),
        ('{"babelview_edits": 2, "report": "x", "reviews": [], "edits": []}', "another version"),
        ('{"babelview_edits": 1, "report": "x", "reviews": [], "edits": []}', "the report of another folder"),
    ],
)
def test_a_file_that_is_none_of_the_page_is_refused(folder: Path, text: str, reason: str) -> None:
    path = folder.parent / "edits.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        apply_edits(folder, path)


def test_the_command_applies_and_writes_the_report_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = folder.parent / "bundle"
    bundle.mkdir()
    (bundle / "index.html").write_text("")
    monkeypatch.setattr(report_writer, "BUNDLE", bundle)
    changed = saved(folder, edit(folder, "describe", ["A red car."], ["A car."]))
    assert main(["report", str(folder), "--apply", str(changed)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{folder}/report/index.html\n"
    assert shown.err == f"{changed}: 0 reviews and 1 edit are in the ledger\n"
    assert any("A red car." in path.read_text() for path in (folder / "report" / "data").iterdir())
    changed.write_text(changed.read_text().replace("A car.", "A cat."))
    assert main(["report", str(folder), "--apply", str(changed)]) == 1
    assert "left out: /ads/a.png, describe: it was answered anew since" in capsys.readouterr().err
    assert main(["report", str(folder), "--apply", str(folder / "none.json")]) == 2


def test_a_file_that_is_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(folder, edit(folder, "describe", ["A bus."], ["A car."]))
    monkeypatch.setattr("client.report.apply._MOST_BYTES", path.stat().st_size - 1)
    with pytest.raises(UsageError, match="too large"):
        apply_edits(folder, path)
    monkeypatch.setattr("client.report.apply._MOST_BYTES", path.stat().st_size)
    assert apply_edits(folder, path).edits == 1
