"""docs/output.md names what there is: all of it, and nothing else."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from ledgers import identity_of, plan_of, write_run

from client.cli.progress import Progress
from client.cli.stats import run_stats
from client.export.formats import FORMATS, export
from client.ledger.ledger import LEDGER
from client.tasks.prompt import read_prompt
from client.tasks.readers import reader_of
from client.tasks.tasks import BUILT_IN, FIELDS
from client.timed_record import TimedAnswer, of_whole, of_window

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "output.md"
ANSWERS = {"describe": "Words.", "tags": '["Red Car", "blue sky"]', "sentiment": "It is positive.", "ask": "So."}


def documented(section: str) -> dict[str, str]:
    """The names in the first column of a section's table, and what the second one says."""
    for part in re.split(r"^#+ ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        if part.splitlines()[0].strip("` ") == section:
            return dict(re.findall(r"^\| `?(?!-)([^|`]+?)`? \| ([^|]*?) \|", part, flags=re.MULTILINE)[1:])
    pytest.fail(f"there is no section {section}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder that has everything that one can have."""
    folder = tmp_path_factory.mktemp("captions")
    plan = plan_of(list(ANSWERS)[:3], ("spa_Latn",), "Why?")
    write_run(folder, plan, ["a.png", "b.mp4"], ANSWERS, {"campaign": "spring"})
    write_run(folder, plan_of(["describe"], ("spa_Latn",)), ["c.png"], ANSWERS)
    content = identity_of("b.mp4").sha256
    with sqlite3.connect(folder / LEDGER) as ledger:
        ledger.execute("INSERT INTO units VALUES ('window', ?, 'window', 0, 2500000, NULL)", (content,))
        ledger.execute("INSERT INTO units VALUES ('merge', ?, 'merge', NULL, NULL, '[\"window\"]')", (content,))
        ledger.execute("UPDATE answers SET verdict = 'retried', reasons = '[\"loop\"]', reasoning = 'Hm.'")
        ledger.execute("UPDATE sources SET live_photo_of = 'b.heic' WHERE name = 'b.mp4'")
        ledger.execute("INSERT INTO reviews SELECT sha256, 'flagged', '', 0 FROM uris")
        for unit in ("window", "merge"):
            row = ledger.execute(
                "INSERT INTO answers "
                "(unit, task, prompt_hash, model, params, state, text, verdict, reasons, updated, run) "
                "SELECT ?, task, prompt_hash, model, params, state, text, verdict, reasons, updated, run FROM answers "
                "WHERE unit = ? AND task = 'describe'",
                (unit, content),
            ).lastrowid
            ledger.execute("INSERT INTO translations VALUES (?, 'spa_Latn', '[\"x\"]', '[]', NULL)", (row,))
        ledger.execute(
            "INSERT INTO edits SELECT unit, task, prompt_hash, model, params, 'eng_Latn', '[\"Mine.\"]', "
            "json_array(text), 0 FROM answers WHERE task = 'describe'"
        )
    ledger.close()
    export(folder, FORMATS)
    return folder


@pytest.fixture(scope="module")
def records(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "results.json").read_bytes())["files"]
    return found


def test_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} <= set(documented("What a run leaves"))
    assert {known.file for known in FORMATS.values()} <= set(documented("What a run leaves"))


def test_records_and_their_parts(records: list[dict[str, Any]]) -> None:
    assert set(documented("Records")) == {name for record in records for name in record}
    answers = [(key, answer) for record in records for key, answer in record["tasks"].items()]
    names = {name for _, answer in answers for name in answer} - {"tags"} | {"*the task's name*"}
    names |= {"data", "heard"}  # of a prompt with a schema, instead of text; of a run that hears
    assert set(documented("Answers")) == names
    assert names - {"*the task's name*"} == FIELDS
    segments = [segment for _, answer in answers for segment in answer.get("segments", ())] + list(
        structured_segments()
    )
    assert set(documented("Segments")) == {name for segment in segments for name in segment}


def structured_segments() -> Iterator[dict[str, Any]]:
    """Those of answers that are data."""
    for task, file, data in (
        ("events", "window", {"events": [{"start": 0, "end": 1, "what": "A car", "confidence": 1}]}),
        ("elements", "window", {"brands": [], "products": [], "people": [], "texts": [], "places": []}),
        ("chapters", "merge", {"chapters": [{"start": 0, "title": "A car"}]}),
    ):
        reading = reader_of(read_prompt(BUILT_IN / task / f"{file}.md").answer)(json.dumps(data))
        assert reading.data == data
        answer = TimedAnswer((0.0, 2.0), reading, {}, {})
        yield from (of_whole(answer, [(0.0, 2.0)]) or ()) if file == "merge" else of_window(answer)


def test_stats() -> None:
    stats = run_stats(plan_of(["describe"]), Progress(prices=(1.0, 2.0)), interrupted=False)
    assert list(documented("Stats")) == list(stats)


def test_columns(folder: Path) -> None:
    with (folder / "results.csv").open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file))
    names = {
        name: re.sub("spa_Latn", "LANGUAGE", re.sub(rf"^({'|'.join(ANSWERS)})(?=_|$)", "TASK", name))
        for name in header
        if name != "campaign"
    }
    expected, found = documented("CSV, Parquet and Excel"), list(dict.fromkeys(names.values()))
    assert sorted(found) == sorted(expected)
    for part in (slice(0, 2), slice(list(expected).index("error"), None)):  # a task's own come once for each
        assert found[part] == list(expected)[part]
    for field in pq.read_schema(folder / "results.parquet"):
        if field.name in names:
            assert str(field.type).split("<")[0] in expected[names[field.name]].split(" or ")


def test_tables_and_columns_of_the_ledger(folder: Path) -> None:
    ledger = sqlite3.connect(folder / LEDGER)
    tables = [name for (name,) in ledger.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
    for table in tables:
        columns = [name for _, name, *_ in ledger.execute(f"PRAGMA table_info({table})")]
        assert sorted(documented(table)) == sorted(columns), table
    headings = re.findall("^### `(.*)`$", PAGE.read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(tables)
    ledger.close()
