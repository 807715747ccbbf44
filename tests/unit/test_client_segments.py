"""Answers about parts of a video, in its record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from ledgers import identity_of, plan_of, write_run
from result_runs import Run, read, sql, write
from test_client_export import read_csv
from two_steps import TASK

from client.endpoints.completion import Answer
from client.export.formats import export
from client.ledger.events import AnswerStored, MediaProbed
from client.ledger.ledger import Ledger
from client.media.content import Probe, Span
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.record import UNFINISHED
from client.tasks.plan import UnitRequest, make_plan
from client.tasks.units import merged, window

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
        "request_s, tokens_per_s, verdict, updated, run) SELECT ?, task, prompt_hash, ?, params, state, ?, 'stop', 10, "
        "0.5, 20, verdict, updated + ?, run FROM answers WHERE unit = ?",
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
        {"start": 0.0, "end": 2.0, "text": "First.", "verdict": "ok", "translations": {"spa_Latn": "Antes."}},
        {"start": 2.0, "end": 3.333, "text": "Then.", "verdict": "ok"},
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
    # Where nothing is merged, those of the prompt, model and parameters that the last run asks; else the newest.
    sql(tmp_path, "DELETE FROM units WHERE id = 'merge'")
    sql(tmp_path, "DELETE FROM answers WHERE unit = 'merge'")
    assert read(tmp_path)[0]["tasks"]["describe"]["segments"] == segments
    sql(tmp_path, "UPDATE plans SET plan = '{}'")
    assert [segment["text"] for segment in read(tmp_path)[0]["tasks"]["describe"]["segments"]] == ["Other."]
    # A newer answer about the whole stands instead.
    sql(tmp_path, "UPDATE answers SET updated = updated + 9 WHERE unit = ?", identity_of("b.mp4").sha256)
    answer = read(tmp_path)[0]["tasks"]["describe"]
    assert (answer["text"], "segments" in answer) == ("Words.", False)


def test_segments_in_every_format(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.mp4")))
    add_part(tmp_path, "early", "window", (0, 2_000_000), "First.", at=1)
    add_part(tmp_path, "late", "window", (2_000_000, 3_000_000), "Then.", at=2)
    for unit, text, counts in (("early", "Antes.", {"ok": 1}), ("late", "Luego.", {"ok": 2, "retried": 1})):
        sql(
            tmp_path,
            "INSERT INTO translations SELECT id, 'spa_Latn', ?, '[]', ? FROM answers WHERE unit = ?",
            *(json.dumps([text]), json.dumps(counts), unit),
        )
    export(tmp_path, ["csv", "parquet", "reference"])
    segments = read(tmp_path)[1]["tasks"]["describe"]["segments"]
    for rows in (pq.read_table(tmp_path / "results.parquet").to_pylist(), read_csv(tmp_path / "results.csv")):
        assert not rows[0]["describe_segments"]
        assert json.loads(rows[1]["describe_segments"]) == segments
        assert rows[1]["describe"] == "First.\nThen."
        assert (rows[1]["describe_spa_Latn"], rows[1]["describe_spa_Latn_verdict"]) == ("Antes.\nLuego.", "retried")
    assert read(tmp_path)[1]["tasks"]["describe"]["translation_verdicts"] == {"spa_Latn": {"ok": 3, "retried": 1}}
    first, second = json.loads((tmp_path / "results_reference.json").read_bytes())
    assert (first["description_english"], second["description_english"]) == ("Words.", "First.\nThen.")
    assert second["translation_spanish"] == "Antes.\nLuego."


def test_data_in_every_format(tmp_path: Path) -> None:
    facts = {"brand": "Solvo", "product": "A car", "is_ad": True, "price": None}
    facts |= dict.fromkeys(("offer", "call_to_action", "audience"), None) | {"format": "demonstration"}
    plan = plan_of(["ad_facts"], ("spa_Latn",))
    write_run(tmp_path, plan, ["a.png", "b.mp4", "c.png"], {"ad_facts": json.dumps(facts)})
    sql(tmp_path, "UPDATE answers SET text = 'An ad.' WHERE unit = ?", identity_of("c.png").sha256)
    export(tmp_path, ["csv", "parquet", "reference"])
    for rows in (pq.read_table(tmp_path / "results.parquet").to_pylist(), read_csv(tmp_path / "results.csv")):
        assert json.loads(rows[0]["ad_facts"]) == facts
        assert json.loads(rows[1]["ad_facts_spa_Latn"]) == facts | {"product": "spa_Latn A car"}
        assert rows[2]["ad_facts"] == "An ad."
    first, _, last = json.loads((tmp_path / "results_reference.json").read_bytes())
    assert (first["description_english"], last["description_english"]) == (facts, "An ad.")


def test_a_video_is_unfinished_until_all_of_its_parts_are_answered(tmp_path: Path) -> None:
    """The run was killed; whether its last answers are all there is told by the probe."""
    plan = make_plan([TASK], dict.fromkeys(Kind, "first"), 0, Sampling(), ())
    identity = identity_of("b.mp4")
    scenes, story = plan.requests[Kind.VIDEO]
    write_run(tmp_path, plan, ["b.mp4"], {})
    sql(tmp_path, "UPDATE sources SET finished = 0")
    asks = [UnitRequest(window(identity.sha256, Span(start, start + 1_500_000)), scenes) for start in (0, 1_500_000)]
    said = [(ask.unit, "I see.") for ask in asks]
    merges = [UnitRequest(merged(identity.sha256, part), story) for part in (said[:1], said)]
    found: list[str | None] = []
    for event in (
        AnswerStored(asks[0], Answer("I see.", "stop", 1, 1, 0.1)),
        AnswerStored(merges[0], Answer("Of one.", "stop", 1, 1, 0.1)),
        MediaProbed(identity, Probe(3_000_000), 0.1),
        AnswerStored(asks[1], Answer("I see.", "stop", 1, 1, 0.1)),
        AnswerStored(merges[1], Answer("Of both.", "stop", 1, 1, 0.1)),
    ):
        ledger = Ledger(tmp_path)
        ledger.apply(event)
        ledger.close()
        found.append(read(tmp_path)[0]["error"])
    assert found == [*[UNFINISHED] * 4, None]
    (record,) = read(tmp_path, only_run=True)
    assert record["tasks"]["story"]["text"] == "Of both."
    assert len(record["tasks"]["story"]["segments"]) == 2
