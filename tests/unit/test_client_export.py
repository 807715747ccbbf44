"""Every format, read back by those who read it."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tempfile
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import plan_of, write_run

from client.endpoints.language_names import language_name
from client.export.csv_file import GUARDED
from client.export.formats import FORMATS, export
from client.export.table import ORIGIN
from client.ledger.ledger import LEDGER
from client.ledger.results import Results
from client.record import records

TAGS = '["Red Car", "blue sky"]'


def read_csv(path: Path) -> list[dict[str, str]]:
    return csv_rows(path.read_bytes())


def csv_rows(content: bytes) -> list[dict[str, str]]:
    """As `csv` reads it, without the apostrophes that guard."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [{_unguarded(name): _unguarded(text) for name, text in row.items()} for row in rows]


def _unguarded(text: str) -> str:
    return text[1:] if GUARDED.match(text) else text


def read_parquet(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    plan = plan_of(["describe", "tags", "sentiment"], question="Why?")
    answers = {"describe": "Words.", "tags": TAGS, "sentiment": "It is positive.", "ask": "So."}
    write_run(tmp_path, plan, ["a.png", "b.mp4"], answers, {"campaign": "spring", "Kind": "x", "budget": 7})
    assert export(tmp_path, FORMATS) == [tmp_path / known.file for known in FORMATS.values()]
    whole = json.loads((tmp_path / "results.json").read_bytes())
    assert whole["stats"] == {"files": 2}
    assert read_lines(tmp_path / "results.jsonl") == whole["files"]
    picture, video = whole["files"]
    assert picture["manifest"] == {"campaign": "spring", "Kind": "x", "budget": 7}
    table = read_parquet(tmp_path / "results.parquet")

    def translated(key: str) -> list[str]:
        return [f"{key}_{code}{end}" for code in ("spa_Latn", "fra_Latn") for end in ("", "_verdict")]

    def judged(key: str) -> list[str]:
        return [f"{key}_verdict", f"{key}_reasons"]

    assert list(table[0]) == [
        *("file", "kind", "campaign", "manifest_Kind", "budget"),
        *("describe", *judged("describe"), *translated("describe"), "tags", *judged("tags"), *translated("tags")),
        *("sentiment", "sentiment_label", *judged("sentiment"), *translated("sentiment")),
        *("ask_question", "ask", *judged("ask"), *translated("ask")),
        *(
            "live_photo_of",
            "error",
            "gone",
            "warnings",
            "sha256",
            "size_mb",
            "width",
            "height",
            "duration_sec",
            "fps",
            "frames",
        ),
        *("generated_tokens", "total_processing_time_sec"),
        *(f"{key}_{name}" for key in answers for name in ORIGIN),
    ]
    assert table[1] == {
        "file": "b.mp4",
        "kind": "video",
        "campaign": "spring",
        "manifest_Kind": "x",
        "budget": "7",
        "describe": "Words.",
        "describe_spa_Latn": "spa_Latn Words.",
        "describe_fra_Latn": "fra_Latn Words.",
        "tags": video["tasks"]["tags"]["tags"],
        "tags_spa_Latn": video["tasks"]["tags"]["translations"]["spa_Latn"],
        "tags_fra_Latn": video["tasks"]["tags"]["translations"]["fra_Latn"],
        "sentiment": "It is positive.",
        "sentiment_label": "positive",
        "sentiment_spa_Latn": "spa_Latn It is positive.",
        "sentiment_fra_Latn": "fra_Latn It is positive.",
        "ask_question": "Why?",
        "ask": "So.",
        "ask_spa_Latn": "spa_Latn So.",
        "ask_fra_Latn": "fra_Latn So.",
        **{name: "ok" for key in answers for name in (*judged(key), *translated(key)) if name.endswith("verdict")},
        **{f"{key}_reasons": None for key in answers},
        "live_photo_of": None,
        "error": None,
        "gone": False,
        "warnings": ["odd"],
        "sha256": video["sha256"],
        "size_mb": 0.001,
        "width": 8,
        "height": 6,
        "duration_sec": 2.5,
        "fps": 24.0,
        "frames": 60,
        "generated_tokens": 8,
        "total_processing_time_sec": 1.5,
        **{f"{key}_{name}": video["tasks"][key][name] for key in answers for name in ORIGIN},
    }
    assert table[0]["fps"] is None
    assert json.loads(pq.read_schema(tmp_path / "results.parquet").metadata[b"babelview.stats"]) == {"files": 2}
    for row, cells in zip(table, read_csv(tmp_path / "results.csv"), strict=True):
        assert cells == {
            name: "; ".join(value) if isinstance(value, list) else {None: "", False: "false"}.get(value, str(value))
            for name, value in row.items()
        }
    reference = json.loads((tmp_path / "results_reference.json").read_bytes())
    assert reference[1] == {
        "video_file": "b.mp4",
        "size_mb": 0.001,
        "duration_sec": 2.5,
        "fps": 24.0,
        "description_english": "Words.",
        "description_verdict": "ok",
        "translation_spanish": "spa_Latn Words.",
        "translation_french": "fra_Latn Words.",
        "tags_english": video["tasks"]["tags"]["tags"],
        "tags_verdict": "ok",
        "tags_spanish": video["tasks"]["tags"]["translations"]["spa_Latn"],
        "tags_french": video["tasks"]["tags"]["translations"]["fra_Latn"],
        "sentiment_english": "It is positive.",
        "sentiment_verdict": "ok",
        "sentiment_spanish": "spa_Latn It is positive.",
        "sentiment_french": "fra_Latn It is positive.",
        "ask_english": "So.",
        "ask_verdict": "ok",
        "ask_spanish": "spa_Latn So.",
        "ask_french": "fra_Latn So.",
        "generated_tokens": 8,
        "generation_time_sec": 2.0,
        "total_processing_time_sec": 1.5,
        "campaign": "spring",
        "Kind": "x",
        "budget": 7,
    }
    assert reference[0]["image_file"] == "a.png"


ANYTHING = st.text(st.characters(codec="utf-8"))


@settings(max_examples=30)
@given(answer=ANYTHING, column=ANYTHING.filter(lambda name: name.strip() == name != ""), value=ANYTHING)
def test_any_text_survives_every_format(answer: str, column: str, value: str) -> None:
    written: dict[str, io.BytesIO] = {}
    with tempfile.TemporaryDirectory() as name:
        write_run(Path(name), plan_of(["describe"], ("spa_Latn",)), ["a.png"], {"describe": answer}, {column: value})
        with Results(Path(name)) as found:
            for format_ in FORMATS:
                written[format_] = io.BytesIO()
                with FORMATS[format_].writing(found, written[format_]) as add:
                    for record in records(found):
                        add(record)
    (record,) = json.loads(written["json"].getvalue())["files"]
    assert record["tasks"]["describe"]["text"] == answer
    assert record["tasks"]["describe"]["translations"]["spa_Latn"] == f"spa_Latn {answer}"
    assert record["manifest"] == {column: value}
    assert json.loads(written["jsonl"].getvalue()) == record
    assert json.loads(written["reference"].getvalue())[0]["description_english"] == answer
    for row in (*csv_rows(written["csv"].getvalue()), *pq.read_table(written["parquet"]).to_pylist()):
        assert row["describe"] == answer
        assert row["describe_spa_Latn"] == f"spa_Latn {answer}"
        assert list(row.values())[2] == value


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@sum", "\tx", "\r\nx", "\uff1d1", "'=1"]
    columns = {"=cmd()": "@x", **{f"c{number}": text for number, text in enumerate(texts)}}
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "=now()"}, columns)
    export(tmp_path, ["csv"])
    content = (tmp_path / "results.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbffile,kind,'=cmd(),c0,")
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert (row["describe"], row["'=cmd()"]) == ("'=now()", "'@x")
    assert [row[f"c{number}"] for number in range(len(texts))] == [f"'{text}" for text in texts]


def test_each_column_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Whatever tasks and manifests are called."""
    columns = {"file": "x", "manifest_FILE": "y", "describe": "z", "": "w"}
    answers = {"describe": "A", "tags": '["c"]', "ad": "B"}
    write_run(tmp_path, plan_of(list(answers), ()), ["a.png"], answers, columns)
    with closing(sqlite3.connect(tmp_path / LEDGER)) as ledger, ledger:
        for table in ("answers", "prompts"):
            ledger.execute(f"UPDATE {table} SET task = 'describe_model' WHERE task = 'ad'")
            ledger.execute(f"UPDATE {table} SET task = 'error' WHERE task = 'tags'")
    export(tmp_path, ["csv", "parquet"])
    (row,) = read_parquet(tmp_path / "results.parquet")
    assert (row["file"], row["manifest_file"], row["manifest_manifest_FILE"]) == (str(Path("a.png")), "x", "y")
    assert (row["describe"], row["manifest_describe"], row["manifest"]) == ("A", "z", "w")
    assert (row["describe_model"], row["_describe_model"], row["describe_model_model"]) == ("B", "looks", "looks")
    assert (row["error"], row["_error"]) == (None, ["c"])
    assert list(read_csv(tmp_path / "results.csv")[0]) == list(row)


def test_a_task_of_an_old_ledger_may_be_called_like_a_field_of_an_answer(tmp_path: Path) -> None:
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "Words."})
    with closing(sqlite3.connect(tmp_path / LEDGER)) as ledger, ledger:
        for table in ("answers", "prompts"):
            ledger.execute(f"UPDATE {table} SET task = 'model'")
    export(tmp_path, ["csv"])
    (row,) = read_csv(tmp_path / "results.csv")
    assert (row["model"], row["model_model"]) == ("Words.", "looks")


def test_a_list_that_is_none_stays_whole(tmp_path: Path) -> None:
    prose = "It shows a red car. It also shows the sky, which is very blue indeed today."
    write_run(tmp_path, plan_of(["tags"], ()), ["a.png"], {"tags": prose})
    export(tmp_path, ["csv", "parquet"])
    assert read_parquet(tmp_path / "results.parquet")[0]["tags"] == [prose]
    assert read_csv(tmp_path / "results.csv")[0]["tags"] == prose


def test_nothing_at_all_is_valid_too(tmp_path: Path) -> None:
    write_run(tmp_path, plan_of(["describe"]), [], {})
    export(tmp_path, FORMATS)
    assert json.loads((tmp_path / "results.json").read_bytes()) == {"files": [], "stats": {"files": 0}}
    assert json.loads((tmp_path / "results_reference.json").read_bytes()) == []
    assert read_lines(tmp_path / "results.jsonl") == []
    assert read_csv(tmp_path / "results.csv") == read_parquet(tmp_path / "results.parquet") == []


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two output folders: of 50 files, and of 500."""
    folders = []
    for count in (50, 500):
        folders.append(tmp_path_factory.mktemp(str(count)))
        answers = {"describe": "Words of an advertisement. " * 40}
        write_run(folders[-1], plan_of(["describe"]), [f"{number}.png" for number in range(count)], answers)
    return folders


@pytest.mark.parametrize("format_", [name for name in FORMATS if name != "parquet"])
def test_memory_does_not_grow_with_the_number_of_files(few_and_many: list[Path], format_: str) -> None:
    peaks = []
    for folder in few_and_many:
        export(folder, [format_])  # once before, so that only what grows is counted
        tracemalloc.start()
        export(folder, [format_])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # the 450 more are 1.5 MB


def test_language_names() -> None:
    codes = ["spa_Latn", "hin_Deva", "zho_Hans", "zho_Hant", "nob_Latn", "acq_Arab", "xxx_Latn", "es", "zh-Hans"]
    assert [language_name(code) for code in codes] == [
        *("spanish", "hindi", "chinese_simplified", "chinese_traditional", "norwegian_bokmal"),
        *("ta_izzi_adeni_arabic", "xxx_latn", "spanish", "chinese_simplified"),
    ]
