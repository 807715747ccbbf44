"""How events change the tables of the ledger."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from functools import cache
from itertools import groupby
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
from client.media.content import Facts
from client.tasks.units import UnitKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from client.ledger.events import Event
    from client.tasks.plan import UnitRequest
    from client.tasks.units import Unit

_TABLES: dict[type[Event], int] = {
    UriSeen: 0,
    **dict.fromkeys((MediaProbed, MediaLoaded, TimeSpent), 1),
    **dict.fromkeys((AnswerStored, RequestFailed, TranslationsStored), 2),
    SourceCompleted: 3,
    **dict.fromkeys((RunEnded, RedoEnded, TextEdited, FileReviewed), 4),
}
"""Which tables an event changes; no two of these numbers have one in common."""
_MOST_ROWS = 64
"""Of a statement: with 18 values each they are far from what SQLite takes."""

_SAVE_URI = "INSERT OR REPLACE INTO uris VALUES (?, ?, ?, ?, ?, ?)"
_SAVE_MEDIA = """
    INSERT INTO media (sha256, kind, facts, warnings, error, spent_s) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (sha256) DO UPDATE SET kind = excluded.kind, facts = excluded.facts, warnings = excluded.warnings,
        error = excluded.error, spent_s = spent_s + excluded.spent_s"""
# Scenes and sound are found at the same time: what is known stays.
_SAVE_PROBE = """
    INSERT INTO media (sha256, kind, warnings, spent_s, probe) VALUES (?, ?, '[]', ?, ?)
    ON CONFLICT (sha256) DO UPDATE SET probe = json_patch(COALESCE(probe, '{}'), excluded.probe),
        spent_s = spent_s + excluded.spent_s"""
_SAVE_UNIT = "INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?, ?, ?)"
# Translations of an answer that is replaced go with it.
_SAVE_ANSWER = """
    INSERT OR REPLACE INTO answers (unit, task, prompt_hash, model, params, state, text, finish_reason, prompt_tokens,
        generated_tokens, request_s, tokens_per_s, error, verdict, reasons, reasoning, updated, run)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_COMPLETE_SOURCE = """
    UPDATE sources SET finished = 1, sha256 = completed.column2, problem = completed.column3
    FROM (VALUES (?, ?, ?)) AS completed WHERE position = completed.column1 AND run = ?"""
_ONE_ROW = re.compile(r"VALUES (\([?, ]+\))")


def apply(connection: sqlite3.Connection, run: int, events: Sequence[Event]) -> None:
    """Change the tables as `events` of this run say, within the transaction that is open.

    What changes a table does so in its order. Events of one kind go into one statement: for each statement the thread
    gives up the interpreter's lock, and has to wait for it.

    Raises:
        sqlite3.Error: they cannot be changed.
    """
    for kind, some in groupby(sorted(events, key=lambda event: _TABLES[type(event)]), type):
        alike: Iterable[Any] = some
        if kind is UriSeen:
            _save(connection, _SAVE_URI, [_uri(event) for event in alike])
        elif kind is MediaLoaded:
            _save(connection, _SAVE_MEDIA, [_media(event) for event in alike])
        elif kind is AnswerStored:
            _save_answers(connection, run, [(event.ask, _answer(event)) for event in alike])
        elif kind is SourceCompleted:
            _save(connection, _COMPLETE_SOURCE, [(it.position, it.sha256, it.problem) for it in alike], run)
        else:
            for event in alike:
                _apply(connection, run, event)


def _apply(connection: sqlite3.Connection, run: int, event: Event) -> None:
    """An event of a kind of which there are few."""
    match event:
        case MediaProbed(identity, probe, seconds):
            connection.execute(_SAVE_PROBE, (identity.sha256, identity.kind.value, seconds, json.dumps(asdict(probe))))
        case TimeSpent(sha256, seconds):
            connection.execute("UPDATE media SET spent_s = spent_s + ? WHERE sha256 = ?", (seconds, sha256))
        case RequestFailed(ask, error, final):
            stored = connection.execute(SELECT_ANSWER, ask.key).fetchone()
            if stored is None or stored[1] != "done":
                row = ("failed" if final else "pending", *(None,) * 6, error, *(None,) * 3)
                _save_answers(connection, run, [(ask, row)])
        case TranslationsStored(ask, translations):
            answer_id, *_ = connection.execute(SELECT_ANSWER, ask.key).fetchone()
            connection.executemany(
                "INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)",
                [(answer_id, language, *map(json.dumps, text)) for language, text in translations.items()],
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


def _save(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]], *more: Any) -> None:
    """Execute a statement that has the values of one row, and `more` behind them, with all of the rows."""
    for at in range(0, len(rows), _MOST_ROWS):
        some = rows[at : at + _MOST_ROWS]
        connection.execute(_of_rows(statement, len(some)), [*(value for row in some for value in row), *more])


@cache
def _of_rows(statement: str, count: int) -> str:
    """The same of so many rows."""
    return _ONE_ROW.sub(lambda found: f"VALUES {', '.join([found[1]] * count)}", statement)


def _uri(event: UriSeen) -> tuple[Any, ...]:
    fingerprint, size, content = event.known
    return event.uri, fingerprint, size, content.sha256, content.kind.value, content.problem


def _media(event: MediaLoaded) -> tuple[Any, ...]:
    # `asdict` would copy each value, which takes as long as SQLite.
    facts = json.dumps({name: getattr(event.facts, name) for name in Facts.__slots__}) if event.facts else None
    identity = event.identity
    return identity.sha256, identity.kind.value, facts, json.dumps(event.warnings), event.error, event.seconds


def _answer(event: AnswerStored) -> tuple[Any, ...]:
    answer = event.answer
    said = (answer.text, answer.finish_reason, answer.prompt_tokens, answer.generated_tokens, answer.request_s)
    return "done", *said, answer.tokens_per_s, None, answer.verdict, json.dumps(answer.reasons), answer.reasoning


def _save_answers(
    connection: sqlite3.Connection, run: int, answers: Sequence[tuple[UnitRequest, tuple[Any, ...]]]
) -> None:
    """Keep answers and failures instead of earlier ones to the same."""
    parts = [_unit(ask.unit) for ask, _ in answers if ask.unit.kind is not UnitKind.WHOLE]
    _save(connection, _SAVE_UNIT, parts)
    now = time.time()
    _save(connection, _SAVE_ANSWER, [(*ask.key, *row, now, run) for ask, row in answers])


def _unit(unit: Unit) -> tuple[Any, ...]:
    inputs = json.dumps(unit.inputs) if unit.inputs else None
    return unit.id, unit.content, unit.kind.value, unit.start_us, unit.end_us, inputs
