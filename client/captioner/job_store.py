"""What is known of jobs, in an SQLite file: it survives every kind of ending, as the ledgers in their folders do."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import orjson

from client.captioner.api_types import Item
from client.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from client.record import Record

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
ENDED = (DONE, FAILED)
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, key TEXT, items TEXT NOT NULL, status TEXT NOT NULL,
        starts INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, started REAL, ended REAL, records TEXT, error TEXT
    ) STRICT
"""
_COLUMNS = "id, owner, key, items, status, starts, created, started, ended"


class StoredJob(NamedTuple):
    """What is known of a job, but for what came of it."""

    id: str
    owner: str
    """What is kept of the caller's key, to know it again."""
    key: str | None
    """The key itself, until the job has ended: it goes on after a restart."""
    items: list[Item]
    status: str
    starts: int
    """How often it was begun."""
    created: float
    """Unix time, as the next two."""
    started: float | None
    ended: float | None


class JobStore:
    """The file; may be used by several threads."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            UsageError: it cannot be.
        """
        self._lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # keys are in it
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")  # a key that is not needed any more is gone
            self._connection.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"{path} cannot be used: {error}") from error

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._connection.close()

    def add(self, job: StoredJob) -> None:
        """There is a new job."""
        items = msgspec.json.encode(job.items).decode()
        with self._cursor() as cursor:
            cursor.execute(
                "INSERT INTO jobs (id, owner, key, items, status, created) VALUES (?, ?, ?, ?, ?, ?)",
                (job.id, job.owner, job.key, items, job.status, job.created),
            )

    def begin(self, job_id: str) -> int:
        """It is worked on now; gives how often that has been so.

        Raises:
            RejectedError: 410, it was deleted meanwhile.
        """
        with self._cursor() as cursor:
            found: tuple[int] | None = cursor.execute(
                "UPDATE jobs SET status = ?, starts = starts + 1, started = coalesce(started, ?) WHERE id = ?"
                " RETURNING starts",
                (RUNNING, time.time(), job_id),
            ).fetchone()
        if found is None:
            raise deleted()
        return found[0]

    def stop(self, job_id: str) -> None:
        """It is not worked on any more, as the service stops; that start does not count against it."""
        with self._cursor() as cursor:
            cursor.execute("UPDATE jobs SET starts = starts - 1 WHERE id = ?", (job_id,))

    def end(self, job_id: str, records: list[Record] | None, error: dict[str, Any] | None) -> None:
        """It has ended: with records, or with an error in OpenAI's shape."""
        values = (orjson.dumps(value).decode() if value is not None else None for value in (records, error))
        with self._cursor() as cursor:
            cursor.execute(
                "UPDATE jobs SET status = ?, key = NULL, ended = ?, records = ?, error = ? WHERE id = ?",
                (FAILED if error else DONE, time.time(), *values, job_id),
            )

    def remove(self, job_id: str) -> None:
        """Forget it."""
        with self._cursor() as cursor:
            cursor.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def find(self, job_id: str, owner: str) -> StoredJob | None:
        """A job of an owner; None if there is none, or it is somebody else's."""
        return next(iter(self._select("WHERE id = ? AND owner = ?", job_id, owner)), None)

    def all_of(self, owner: str) -> list[StoredJob]:
        """Those of an owner, the newest first."""
        return self._select("WHERE owner = ? ORDER BY created DESC, id", owner)

    def all(self) -> list[StoredJob]:
        """All, in the order in which they came."""
        return self._select("ORDER BY created, id")

    def outcome(self, job_id: str) -> tuple[list[Record] | None, dict[str, Any] | None]:
        """What came of a job that has ended: records, or an error."""
        with self._cursor() as cursor:
            found = cursor.execute("SELECT records, error FROM jobs WHERE id = ?", (job_id,)).fetchone() or (None, None)
        records, error = (orjson.loads(text) if text else None for text in found)
        return records, error

    def _select(self, which: str, *values: str) -> list[StoredJob]:
        with self._cursor() as cursor:
            rows = cursor.execute(f"SELECT {_COLUMNS} FROM jobs {which}", values).fetchall()  # noqa: S608  # our words
        return [
            StoredJob(job_id, owner, key, msgspec.json.decode(items, type=list[Item]), *rest)
            for job_id, owner, key, items, *rest in rows
        ]

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        with self._lock, closing(self._connection.cursor()) as cursor:
            yield cursor


def deleted() -> RejectedError:
    """What a job that was deleted is refused with."""
    return RejectedError(410, "the job was deleted", code="deleted")
