# ruff: noqa: RUF001  (Chinese commas)
"""The scripts that measure the translator's checks, and that make the tables they read."""

import csv
import gzip
import json
import random
import string
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import make_length_table
from scripts.benchmarks.common.places import END, begin
from scripts.benchmarks.translator import checks
from scripts.benchmarks.translator.pairs import read_pairs

GOOD = [
    {"language": "fra_Latn", "source": f"The dog number {n} runs.", "reference": f"Le chien numéro {n} court."}
    for n in range(21, 51)
]
ALARM = {"language": "zho_Hans", "source": "We waited for one hour.", "reference": "我们等了一个小时，"}
WHOLE = "Wir haben an der alten Station eine Stunde lang gewartet."
OUTPUTS = [
    {"languages": "en-de", "source": "We waited for an hour at the old station.", "nllb": nllb, "reference": WHOLE}
    for nllb in (WHOLE, "Wir.", "Wir haben an der Station, " + "an der Station, " * 12)
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def call(module: Any, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    module.main()


def test_pairs_are_read_gzipped_or_not(tmp_path: Path) -> None:
    plain = tmp_path / "pairs.jsonl"
    plain.write_text(json.dumps(ALARM, ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(read_pairs(plain)) == list(read_pairs(write(tmp_path / "pairs.jsonl.gz", [ALARM]))) == [ALARM]


def test_outputs_are_judged_by_their_references() -> None:
    assert [checks.kinds_of(row["nllb"], row["reference"]) for row in OUTPUTS] == [
        ["0.8 to 1.25", "normal length"],
        ["omission"],
        ["overrun", "loop"],
    ]
    letters = "".join(random.Random(0).choices(string.ascii_lowercase, k=190))
    lengths = {length: checks.kinds_of(letters[:length], letters[:100])[0] for length in (55, 59, 60, 125, 190)}
    assert lengths == {55: "0.55 to 0.6", 59: "0.55 to 0.6", 60: "0.6 to 0.7", 125: "1.25 to 1.9", 190: "1.25 to 1.9"}


def test_the_table_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write(tmp_path / "good.gz", [*GOOD, ALARM]), write(tmp_path / "outputs.gz", OUTPUTS)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{begin(checks.OWNER)}\nold\n{END}\nafter\n", encoding="utf-8")
    call(checks, monkeypatch, *files, "--write", page, "--sample", 5, "--alarms")
    said = capsys.readouterr().out
    row = "| German | 1 of 1 (100.0 %) | 1 of 1 (100.0 %) | 0 of 1 (0.0 %) |"
    assert row in said
    assert "| 0.8 to 1.25 | 0 of 1 (0.0 %) |" in said
    assert "| all 2 languages | 1 of 31 (3.23 %) |" in said
    assert ALARM["reference"] in said
    written = page.read_text(encoding="utf-8")
    assert row in written
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("after\n")


def test_every_second_sentence(tmp_path: Path) -> None:
    files = write(tmp_path / "good.gz", GOOD), write(tmp_path / "outputs.gz", OUTPUTS)
    halves = [checks.measure(*files, half) for half in (0, 1)]
    assert [sum(good.all.values()) for good, _ in halves] == [15, 15]
    assert [sum(outputs.all.values()) for _, outputs in halves] == [5, 0]


def test_the_table_of_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_length_table, "TABLE", tmp_path / "lengths.tsv")
    call(make_length_table, monkeypatch, write(tmp_path / "good.gz", [*GOOD, ALARM]))
    with (tmp_path / "lengths.tsv").open(encoding="utf-8") as file:
        rows = {row["code"]: float(row["ratio"]) for row in csv.DictReader(file, delimiter="\t")}
    # 19 and 21 letters and digits; of Chinese there are too few.
    assert rows == {"eng_Latn": 1.0, "fra_Latn": pytest.approx(21 / 19, abs=0.005)}
