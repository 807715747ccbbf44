"""The benchmark of what is heard right: its recordings are what it says, and it counts as jiwer does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.benchmarks.speech import Heard, errors, record, show
from scripts.demo.voices import RATE
from scripts.demo.world.lines import is_held_out

if TYPE_CHECKING:
    from pathlib import Path


def test_recordings_are_of_lines_that_were_not_taught(tmp_path: Path) -> None:
    said = record(tmp_path, 1, 2, 5)
    assert list(said) == ["001.wav", "002.wav"]
    for name, text in said.items():
        lines = [f"{line}." for line in text.removesuffix(".").split(". ")]
        assert all(map(is_held_out, lines))
        samples = ((tmp_path / name).stat().st_size - 58) / 4
        assert 5 < samples / RATE < 5 + 4.5
    assert record(tmp_path, 1, 2, 5) == said


def test_words_are_counted_whatever_their_case(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"a.wav": "Aurora is here. Choose red or blue.", "b.wav": "Every box costs two euros."}
    heard = Heard({"a.wav": "aurora is here choose red or green", "c.wav": "not asked"}, 1.0)
    found = errors(said, heard)
    assert (found.substitutions, found.deletions, found.insertions) == (1, 5, 0)
    assert found.wer == pytest.approx(6 / 12)
    assert show(said, {"it": heard}) == {"it": found.wer}
    assert "50.00%" in capsys.readouterr().out
