"""The beginning of a run in the ledger: what it asks of which files; and how one that did nothing is taken back."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from client.sources.source import is_gone
from client.tasks.plan import Plan

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from client.sources.source import Source

# What an earlier run's manifest said stays where this run has none.
_UPSERT_SOURCE = """
    INSERT INTO sources (uri, ordinal, name, columns, run, position, live_photo_of) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (uri, ordinal) DO UPDATE SET name = excluded.name, columns = COALESCE(excluded.columns, columns),
        run = excluded.run, position = excluded.position, finished = 0, sha256 = NULL, problem = NULL, gone = 0,
        live_photo_of = COALESCE(excluded.live_photo_of, live_photo_of)"""
_UPSERT_PROMPT = """
    INSERT INTO prompts (task, hash, text, question, reader, max_tokens) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (task, hash) DO UPDATE SET question = excluded.question, reader = excluded.reader,
        max_tokens = excluded.max_tokens"""
_LAST_PLAN = "SELECT plans.plan FROM runs JOIN plans ON plans.id = runs.plan ORDER BY runs.id DESC LIMIT 1"
_REMEMBER = (
    "DROP TABLE IF EXISTS temp.sources_before",
    "DROP TABLE IF EXISTS temp.prompts_before",
    "CREATE TEMP TABLE sources_before AS SELECT * FROM sources",
    "CREATE TEMP TABLE prompts_before AS SELECT rowid AS number, * FROM prompts",
)
_RESTORE = (
    "DELETE FROM sources",
    "INSERT INTO sources SELECT * FROM temp.sources_before",
    "DELETE FROM prompts",
    "INSERT INTO prompts (rowid, task, hash, text, question, reader, max_tokens) SELECT * FROM temp.prompts_before",
)


def begin_run(connection: sqlite3.Connection, plan: Plan, sources: list[Source]) -> int:
    """Note what a run asks of which files, within the transaction that is open; returns the run's id.

    What the tables held before is kept in temporary ones, for `undo_run`.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    for statement in _REMEMBER:
        connection.execute(statement)
    run = connection.execute(
        "INSERT INTO runs (started, plan, stats) VALUES (?, ?, '{}')", (time.time(), _plan(connection, plan))
    ).lastrowid
    assert run is not None
    connection.executemany(_UPSERT_PROMPT, _prompts(plan))
    connection.executemany(_UPSERT_SOURCE, _rows(sources, run))
    _mark_gone(connection, run)
    return run


def last_plan(connection: sqlite3.Connection) -> Plan | None:
    """What the last run asked; None where there was none, or a version that other plans were made by.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    row = connection.execute(_LAST_PLAN).fetchone()
    with suppress(ValueError, TypeError, KeyError):
        return Plan.from_json(row[0]) if row else None
    return None


def undo_run(connection: sqlite3.Connection, run: int) -> None:
    """Take back what `begin_run` and `begin_redo` of the same connection wrote, within the transaction that is open.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    for statement in _RESTORE:
        connection.execute(statement)
    connection.execute("DELETE FROM redo WHERE run = ?", (run,))
    connection.execute("DELETE FROM runs WHERE id = ?", (run,))
    connection.execute("DELETE FROM plans WHERE id NOT IN (SELECT plan FROM runs)")


def begin_redo(connection: sqlite3.Connection, run: int, what: str) -> bool:
    """Note that a run does `what` again of its files; returns whether it goes on with what was interrupted.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    (begun,) = connection.execute(
        "SELECT EXISTS (SELECT * FROM redo JOIN sources USING (uri) WHERE what = ? AND sources.run = ?)", (what, run)
    ).fetchone()
    connection.execute("INSERT OR IGNORE INTO redo SELECT uri, ?, run FROM sources WHERE run = ?", (what, run))
    return bool(begun)


def _plan(connection: sqlite3.Connection, plan: Plan) -> int | None:
    """The id of a plan, which is kept once for all runs that follow it."""
    text = plan.to_json()
    known = connection.execute("SELECT id FROM plans WHERE plan = ?", (text,)).fetchone()
    return known[0] if known else connection.execute("INSERT INTO plans (plan) VALUES (?)", (text,)).lastrowid


def _mark_gone(connection: sqlite3.Connection, run: int) -> None:
    """Note which local files that this run does not name are no longer there."""
    others = connection.execute("SELECT id, uri, gone FROM sources WHERE run IS NOT ?", (run,)).fetchall()
    changed = [(gone, row) for row, uri, before in others if (gone := is_gone(uri)) != before]
    connection.executemany("UPDATE sources SET gone = ? WHERE id = ?", changed)


def _prompts(plan: Plan) -> Iterator[tuple[Any, ...]]:
    for requests in plan.requests.values():
        for asked in requests:
            yield asked.task, asked.prompt_hash, asked.prompt, asked.question, asked.answer, asked.max_tokens


def _rows(sources: list[Source], run: int) -> Iterator[tuple[Any, ...]]:
    """The sources of a run as rows; those that share a uri are numbered."""
    named: Counter[str] = Counter()
    for source in sources:
        uri = source.uri
        columns = json.dumps(dict(source.columns)) if source.columns else None
        yield uri, named[uri], source.name, columns, run, source.position, source.live_photo_of
        named[uri] += 1
