"""How each event changes the tables of the ledger."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from client.ledger.edits import FileReviewed, TextEdited, store_change
from client.ledger.events import (
    AnswerStored,
    MediaLoaded,
    MediaProbed,
    RedoEnded,
    RequestFailed,
    RunEnded,
    SourceCompleted,
    TimeSpent,
    TranslationsStored,
    UriSeen,
)
from client.ledger.rows import SELECT_ANSWER
from client.tasks.units import UnitKind

if TYPE_CHECKING:
    import sqlite3

    from client.ledger.events import Event
    from client.tasks.plan import UnitRequest
    from client.tasks.units import Unit

_SAVE_MEDIA = """
    INSERT INTO media (sha256, kind, facts, warnings, error, spent_s) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (sha256) DO UPDATE SET kind = excluded.kind, facts = excluded.facts, warnings = excluded.warnings,
        error = excluded.error, spent_s = spent_s + excluded.spent_s"""
# Scenes and sound are found at the same time: what is known stays.
_SAVE_PROBE = """
    INSERT INTO media (sha256, kind, warnings, spent_s, probe) VALUES (?, ?, '[]', ?, ?)
    ON CONFLICT (sha256) DO UPDATE SET probe = json_patch(COALESCE(probe, '{}'), excluded.probe),
        spent_s = spent_s + excluded.spent_s"""
_DELETE_ANSWER = """
    DELETE FROM answers WHERE unit = ? AND task = ? AND prompt_hash = ? AND model = ? AND params = ?"""
_INSERT_ANSWER = """
    INSERT INTO answers (unit, task, prompt_hash, model, params, state, text, finish_reason, prompt_tokens,
        generated_tokens, request_s, tokens_per_s, error, verdict, reasons, reasoning, updated, run)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def apply(connection: sqlite3.Connection, run: int, event: Event) -> None:
    """Change the tables as `event` of this run says, within the transaction that is open.

    Raises:
        sqlite3.Error: they cannot be changed.
    """
    match event:
        case UriSeen(uri, known):
            content = known.identity
            connection.execute(
                "INSERT OR REPLACE INTO uris VALUES (?, ?, ?, ?, ?, ?)",
                (uri, known.fingerprint, known.size, content.sha256, content.kind.value, content.problem),
            )
        case MediaProbed(identity, probe, seconds):
            connection.execute(_SAVE_PROBE, (identity.sha256, identity.kind.value, seconds, json.dumps(asdict(probe))))
        case MediaLoaded(identity, seconds, facts, warnings, error):
            found = json.dumps(asdict(facts)) if facts else None
            connection.execute(
                _SAVE_MEDIA, (identity.sha256, identity.kind.value, found, json.dumps(warnings), error, seconds)
            )
        case TimeSpent(sha256, seconds):
            connection.execute("UPDATE media SET spent_s = spent_s + ? WHERE sha256 = ?", (seconds, sha256))
        case AnswerStored(ask, answer):
            said = (answer.text, answer.finish_reason, answer.prompt_tokens, answer.generated_tokens)
            judged = (answer.verdict, json.dumps(answer.reasons), answer.reasoning)
            _replace(connection, run, ask, ("done", *said, answer.request_s, answer.tokens_per_s, None, *judged))
        case RequestFailed(ask, error, final):
            stored = connection.execute(SELECT_ANSWER, ask.key).fetchone()
            if stored is None or stored[1] != "done":
                _replace(connection, run, ask, ("failed" if final else "pending", *(None,) * 6, error, *(None,) * 3))
        case TranslationsStored(ask, translations):
            answer_id, *_ = connection.execute(SELECT_ANSWER, ask.key).fetchone()
            connection.executemany(
                "INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)",
                [(answer_id, language, *map(json.dumps, text)) for language, text in translations.items()],
            )
        case SourceCompleted(position, sha256, problem):
            connection.execute(
                "UPDATE sources SET finished = 1, sha256 = ?, problem = ? WHERE run = ? AND position = ?",
                (sha256, problem, run, position),
            )
        case RunEnded(stats):
            connection.execute(
                "UPDATE runs SET stats = ?, finished = ? WHERE id = ?", (json.dumps(stats), time.time(), run)
            )
        case RedoEnded(what):
            connection.execute(
                "DELETE FROM redo WHERE what = ? AND uri IN (SELECT uri FROM sources WHERE run = ?)", (what, run)
            )
        case TextEdited() | FileReviewed():
            store_change(connection, event)


def _replace(connection: sqlite3.Connection, run: int, ask: UnitRequest, row: tuple[Any, ...]) -> None:
    if ask.unit.kind is not UnitKind.WHOLE:
        connection.execute("INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?, ?, ?)", _unit(ask.unit))
    connection.execute(_DELETE_ANSWER, ask.key)
    connection.execute(_INSERT_ANSWER, (*ask.key, *row, time.time(), run))


def _unit(unit: Unit) -> tuple[Any, ...]:
    inputs = json.dumps(unit.inputs) if unit.inputs else None
    return unit.id, unit.content, unit.kind.value, unit.start_us, unit.end_us, inputs
