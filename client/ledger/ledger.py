"""The ledger: what was asked and answered, in an SQLite file that survives every kind of ending.

One row for each (unit, task, prompt, model, sampling parameters); a unit is a whole file, or a part of it. `done` rows
are never asked again, `failed` ones (refused by the server: the same request would be refused again) only when told
to; `pending` ones failed for reasons that may pass.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections import Counter
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from client.errors import LedgerBusyError, LedgerError
from client.ledger.rows import (
    SELECT_ANSWER,
    StoredFile,
    StoredTranslation,
    read_answer,
    read_file,
    read_redo,
    read_uri,
)
from client.ledger.schema import migrate
from client.ledger.sqlite_errors import ledger_errors
from client.sources.source import is_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from client.endpoints.chat import Answer
    from client.ledger.redo import Redo
    from client.media.content import Content
    from client.media.load import Identity
    from client.sources.source import KnownSource, Source
    from client.tasks.plan import Plan, Request

LEDGER, LOCK = "ledger.db", "ledger.lock"
_DELETE_ANSWER = """
    DELETE FROM answers WHERE unit = ? AND task = ? AND prompt_hash = ? AND model = ? AND params = ?"""
_INSERT_ANSWER = """
    INSERT INTO answers (unit, task, prompt_hash, model, params, state, text, finish_reason, prompt_tokens,
        generated_tokens, request_s, tokens_per_s, error, updated, run)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_UPSERT_SOURCE = """
    INSERT INTO sources (uri, ordinal, name, columns, run, position) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (uri, ordinal) DO UPDATE SET name = excluded.name, columns = excluded.columns, run = excluded.run,
        position = excluded.position, finished = 0, sha256 = NULL, problem = NULL, gone = 0"""
_UPSERT_PROMPT = """
    INSERT INTO prompts (task, hash, text, question, reader, max_tokens) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (task, hash) DO UPDATE SET question = excluded.question, reader = excluded.reader,
        max_tokens = excluded.max_tokens"""


class Ledger:
    """An open ledger. To be used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or create the ledger of an output folder and lock it.

        Raises:
            LedgerBusyError: another run has it.
            LedgerError: it cannot be opened.
        """
        self._path = folder / LEDGER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(folder / LOCK)
        except OSError as error:
            raise LedgerError(
                f"cannot write to {folder}: {error.strerror or error}: choose another --output"
            ) from error
        try:
            with ledger_errors(self._path):
                self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                # WAL with NORMAL: a killed process loses nothing that was committed.
                self._connection.executescript(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
                )
                migrate(self._connection)
        except LedgerError:
            self._lock.close()
            raise
        self._inode = self._path.stat().st_ino
        self._run: int | None = None

    def close(self) -> None:
        """Close and unlock it."""
        self._connection.close()
        self._lock.close()

    # -- reading ------------------------------------------------------------------------------------------

    def known(self, uri: str) -> KnownSource | None:
        """What was at a path or URL when it was last looked at."""
        with ledger_errors(self._path):
            return read_uri(self._connection, uri)

    def file(self, identity: Identity, requests: list[Request]) -> StoredFile:
        """What is known of a content: its facts and the answers to `requests`."""
        with ledger_errors(self._path):
            return read_file(self._connection, identity, requests)

    def redo(self, uri: str, what: str) -> Redo:
        """What a `--redo` of this run does again of a path or URL."""
        with ledger_errors(self._path):
            return read_redo(self._connection, uri, what)

    # -- writing ------------------------------------------------------------------------------------------

    def write(self, changes: list[Callable[[Ledger], None]]) -> None:
        """Apply changes (calls of the methods below) in one transaction.

        Raises:
            LedgerError: they cannot be written; none of them is.
        """
        self._check_not_replaced()
        with ledger_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for change in changes:
                    change(self)
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself ends some that fail
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def begin_run(self, plan: Plan, sources: list[Source], redo: str | None = None) -> bool:
        """Remember what this run is about: its results can be made of the ledger alone.

        Returns:
            Does it go on with a `--redo` that was interrupted?

        Raises:
            LedgerError: it cannot be written.
        """
        with ledger_errors(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._run = self._connection.execute(
                "INSERT INTO runs (started, plan, stats) VALUES (?, ?, '{}')", (time.time(), plan.to_json())
            ).lastrowid
            self._connection.executemany(_UPSERT_PROMPT, _prompts(plan))
            self._connection.executemany(_UPSERT_SOURCE, _rows(sources, self._run or 0))
            self._mark_gone()
            return self._begin_redo(redo) if redo else False

    def _mark_gone(self) -> None:
        """Note which local files that this run does not name are no longer there."""
        others = self._connection.execute(
            "SELECT id, uri, gone FROM sources WHERE run IS NOT ?", (self._run,)
        ).fetchall()
        changed = [(gone, row) for row, uri, before in others if (gone := is_gone(uri)) != before]
        self._connection.executemany("UPDATE sources SET gone = ? WHERE id = ?", changed)

    def _begin_redo(self, what: str) -> bool:
        (begun,) = self._connection.execute(
            "SELECT EXISTS (SELECT * FROM redo JOIN sources USING (uri) WHERE what = ? AND sources.run = ?)",
            (what, self._run),
        ).fetchone()
        self._connection.execute(
            "INSERT OR IGNORE INTO redo SELECT uri, ?, run FROM sources WHERE run = ?", (what, self._run)
        )
        return bool(begun)

    def end_redo(self, what: str) -> None:
        """The run has come to its end: the next `--redo` begins anew."""
        self._connection.execute(
            "DELETE FROM redo WHERE what = ? AND uri IN (SELECT uri FROM sources WHERE run = ?)", (what, self._run)
        )

    def save_stats(self, stats: dict[str, Any]) -> None:
        """Remember how the run went, and that it has ended."""
        self._connection.execute(
            "UPDATE runs SET stats = ?, finished = ? WHERE id = ?", (json.dumps(stats), time.time(), self._run)
        )

    def save_outcome(self, position: int, sha256: str | None, problem: str | None) -> None:
        """Remember that this run has finished with a source; `sha256` is None where it could not be read."""
        self._connection.execute(
            "UPDATE sources SET finished = 1, sha256 = ?, problem = ? WHERE run = ? AND position = ?",
            (sha256, problem, self._run, position),
        )

    def _check_not_replaced(self) -> None:
        """SQLite goes on writing to a file that was deleted: all of it would be lost at the end."""
        try:
            same = self._path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise LedgerError(
                f"{self._path} was deleted or replaced while the run went on: put it back, or run again without it, "
                "which asks everything anew"
            )

    def save_uri(self, uri: str, known: KnownSource) -> None:
        """Remember what is at a path or URL."""
        content = known.identity
        self._connection.execute(
            "INSERT OR REPLACE INTO uris VALUES (?, ?, ?, ?, ?, ?)",
            (uri, known.fingerprint, known.size, content.sha256, content.kind.value, content.problem),
        )

    def save_media(self, identity: Identity, content: Content | None, error: str | None, seconds: float) -> None:
        """Store what loading a file gave: content or an error."""
        self._connection.execute(
            "INSERT INTO media (sha256, kind, facts, warnings, error, spent_s) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (sha256) DO UPDATE SET "
            "kind = excluded.kind, facts = excluded.facts, warnings = excluded.warnings, "
            "error = excluded.error, spent_s = spent_s + excluded.spent_s",
            (
                identity.sha256,
                identity.kind.value,
                json.dumps(asdict(content.facts)) if content else None,
                json.dumps(content.warnings if content else []),
                error,
                seconds,
            ),
        )

    def add_seconds(self, sha256: str, seconds: float) -> None:
        """Count time spent on a file."""
        self._connection.execute("UPDATE media SET spent_s = spent_s + ? WHERE sha256 = ?", (seconds, sha256))

    def save_answer(self, unit: str, request: Request, answer: Answer) -> None:
        """Store an answer; what hung on an earlier one goes."""
        self._replace(
            unit,
            request,
            (
                "done",
                answer.text,
                answer.finish_reason,
                answer.prompt_tokens,
                answer.generated_tokens,
                answer.request_s,
                answer.tokens_per_s,
            ),
            None,
        )

    def save_failure(self, unit: str, request: Request, error: str, *, final: bool) -> None:
        """Store that a request failed, `final` if it would fail again; an answer that is there stays."""
        stored = read_answer(self._connection, unit, request)
        if stored and stored.state == "done":
            return
        self._replace(unit, request, ("failed" if final else "pending", None, None, None, None, None, None), error)

    def _replace(self, unit: str, request: Request, row: tuple[Any, ...], error: str | None) -> None:
        key = (unit, *request.identity)
        self._connection.execute(_DELETE_ANSWER, key)
        self._connection.execute(
            _INSERT_ANSWER,
            (*key, *row, error, time.time(), self._run or 0),
        )

    def save_translations(self, unit: str, request: Request, translations: dict[str, StoredTranslation]) -> None:
        """Store translations of an answer, by language."""
        answer, *_ = self._connection.execute(
            SELECT_ANSWER,
            (unit, *request.identity),
        ).fetchone()
        self._connection.executemany(
            "INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)",
            [(answer, language, *map(json.dumps, translation)) for language, translation in translations.items()],
        )


def _prompts(plan: Plan) -> Iterator[tuple[Any, ...]]:
    for requests in plan.requests.values():
        for asked in requests:
            yield asked.task, asked.prompt_hash, asked.prompt, asked.question, asked.answer, asked.max_tokens


def _rows(sources: list[Source], run: int) -> Iterator[tuple[Any, ...]]:
    """The sources of a run as rows; those that share a uri are numbered."""
    named: Counter[str] = Counter()
    for source in sources:
        uri = source.key
        columns = json.dumps(dict(source.columns)) if source.columns else None
        yield uri, named[uri], source.name, columns, run, source.position
        named[uri] += 1


def _lock(path: Path) -> IO[str]:
    """Take the lock, which the system frees however the process ends."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise LedgerBusyError(
            f"another run{f' (process {holder})' if holder else ''} is writing to {path.parent}: "
            "wait for it, or choose another --output"
        ) from error
    except OSError as error:
        file.close()
        raise LedgerError(
            f"{path.parent} is where files cannot be locked ({error.strerror or error}), which keeps two runs apart: "
            "choose an --output on a local disk"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
