"""Answers about parts of a video, in its record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ledgers import identity_of
from result_runs import Run, read, sql, write

if TYPE_CHECKING:
    from pathlib import Path


def add_part(
    folder: Path,
    unit: str,
    kind: str,
    span: tuple[int | None, int | None],
    text: str,
    *,
    inputs: list[str] | None = None,
    model: str = "first",
    at: float = 0.0,
) -> None:
    """A unit of `b.mp4` and its answer, made like that about the whole file, which must be there."""
    content = identity_of("b.mp4").sha256
    sql(
        folder,
        "INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?, ?, ?)",
        *(unit, content, kind, *span, json.dumps(inputs) if inputs else None),
    )
    sql(
        folder,
        "INSERT INTO answers (unit, task, prompt_hash, model, params, state, text, finish_reason, generated_tokens, "
        "request_s, tokens_per_s, updated, run) SELECT ?, task, prompt_hash, ?, params, state, ?, 'stop', 10, 0.5, 20, "
        "updated + ?, run FROM answers WHERE unit = ?",
        *(unit, model, text, at, content),
    )


def test_an_answer_in_segments(tmp_path: Path) -> None:
    write(tmp_path, Run(("b.mp4",)))
    add_part(tmp_path, "late", "window", (2_000_000, 3_333_333), "Then.", at=1)
    add_part(tmp_path, "early", "window", (0, 2_000_000), "First.", at=2)
    sql(
        tmp_path,
        "INSERT INTO translations SELECT id, 'spa_Latn', '[\"Antes.\"]', '[]', NULL FROM answers WHERE unit = 'early'",
    )
    segments = [
        {"start": 0.0, "end": 2.0, "text": "First.", "translations": {"spa_Latn": "Antes."}},
        {"start": 2.0, "end": 3.333, "text": "Then."},
    ]
    (record,) = read(tmp_path)
    answer = record["tasks"]["describe"]
    assert (answer["segments"], "text" in answer, answer["generated_tokens"]) == (segments, False, 20)
    assert (answer["request_time_sec"], answer["tokens_per_sec"]) == (1.0, 20.0)
    assert sql(tmp_path, "SELECT start_s, end_s, text FROM captions WHERE start_s >= 0 AND language = 'eng_Latn'") == [
        (0.0, 2.0, "First."),
        (2.0, 3.333333, "Then."),
    ]
    # Merged: the text, and the segments that it was made of; a later one of another model is none of them.
    add_part(tmp_path, "merge", "merge", (None, None), "All.", inputs=["early", "late"], at=3)
    add_part(tmp_path, "other", "window", (0, 1_000_000), "Other.", model="second", at=4)
    (record,) = read(tmp_path)
    answer = record["tasks"]["describe"]
    assert (answer["text"], answer["segments"], answer["generated_tokens"]) == ("All.", segments, 30)
    # Where nothing is merged, the newest prompt, model and parameters count.
    sql(tmp_path, "DELETE FROM units WHERE id = 'merge'")
    sql(tmp_path, "DELETE FROM answers WHERE unit = 'merge'")
    assert [segment["text"] for segment in read(tmp_path)[0]["tasks"]["describe"]["segments"]] == ["Other."]
    # A newer answer about the whole stands instead.
    sql(tmp_path, "UPDATE answers SET updated = updated + 9 WHERE unit = ?", identity_of("b.mp4").sha256)
    answer = read(tmp_path)[0]["tasks"]["describe"]
    assert (answer["text"], "segments" in answer) == ("Words.", False)
