"""The ledger: what was asked and answered, in an SQLite file that survives every kind of ending.

One row for each (unit, task, prompt, model, sampling parameters); a unit is a whole file, or a part of it. `done` rows
are never asked again, `failed` ones (refused by the server: the same request would be refused again) only when told
to; `pending` ones failed for reasons that may pass.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from typing import IO, TYPE_CHECKING

from client.errors import LedgerBusyError, LedgerError
from client.ledger.changes import apply
from client.ledger.events import AnswerStored, RequestFailed, TranslationsStored
from client.ledger.rows import known_contents, new_file, read_answer, read_file, read_redo, read_uris
from client.ledger.runs import begin_redo, begin_run, last_plan, undo_run
from client.ledger.schema import migrate
from client.ledger.sqlite_errors import ledger_errors, sqlite_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from client.ledger.events import Event
    from client.ledger.redo import Redo
    from client.ledger.rows import StoredAnswer, StoredFile
    from client.media.load import Identity
    from client.sources.source import KnownSource, Source
    from client.tasks.plan import Plan, Request, UnitRequest

LEDGER, LOCK = "ledger.db", "ledger.lock"
_OF_ANSWERS = (AnswerStored, RequestFailed, TranslationsStored)


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
            with sqlite_errors(self._path):
                self._connection = _connect(self._path)
        except LedgerError:
            self._lock.close()
            raise
        self._inode = self._path.stat().st_ino
        self._run: int | None = None
        self._earlier, self._idle = False, True

    def close(self) -> None:
        """Close and unlock it."""
        self._connection.close()
        self._lock.close()

    # -- reading ------------------------------------------------------------------------------------------

    def known(self, uris: Sequence[str]) -> list[KnownSource | None]:
        """What was at each of these paths or URLs when it was last looked at."""
        with ledger_errors(self._path):
            found = read_uris(self._connection, uris)
        return [found.get(uri) for uri in uris]

    def files(self, wanted: Sequence[tuple[Identity, list[Request]]]) -> list[StoredFile]:
        """What is known of contents: of each its facts and the answers to its requests."""
        with ledger_errors(self._path):
            known = known_contents(self._connection, [identity.sha256 for identity, _ in wanted])
            return [
                read_file(self._connection, identity, requests)
                if identity.sha256 in known
                else new_file(identity, requests)
                for identity, requests in wanted
            ]

    def answer(self, ask: UnitRequest) -> StoredAnswer | None:
        """What is known of the answer to a request about a unit."""
        with ledger_errors(self._path):
            return read_answer(self._connection, ask)

    @property
    def run(self) -> int | None:
        """The id of the run that has begun."""
        return self._run

    def redo(self, uri: str, what: str) -> Redo:
        """What a `--redo` of this run does again of a path or URL."""
        with ledger_errors(self._path):
            return read_redo(self._connection, uri, what)

    # -- writing ------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Keep what an event tells, in a transaction of its own; see `write`."""
        self.write([event])

    def write(self, events: Sequence[Event]) -> None:
        """Keep what events tell, in one transaction.

        Raises:
            LedgerError: they cannot be written; none of them is.
        """
        self._check_not_replaced()
        with sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                apply(self._connection, self._run or 0, events)
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself ends some that fail
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        self._idle = self._idle and not any(isinstance(event, _OF_ANSWERS) for event in events)

    def begin_run(self, plan: Plan, sources: list[Source], redo: str | None = None) -> bool:
        """Remember what this run is about: its results can be made of the ledger alone.

        Returns:
            Does it go on with a `--redo` that was interrupted?

        Raises:
            LedgerError: it cannot be written.
        """
        with sqlite_errors(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            (self._earlier,) = self._connection.execute("SELECT EXISTS (SELECT * FROM runs)").fetchone()
            self._run = begin_run(self._connection, plan, sources)
            self._idle = True
            return begin_redo(self._connection, self._run, redo) if redo else False

    def last_plan(self) -> Plan | None:
        """What the last run asked, if that is known.

        Raises:
            LedgerError: it cannot be read.
        """
        with sqlite_errors(self._path):
            return last_plan(self._connection)

    @property
    def unchanged(self) -> bool:
        """Whether there are earlier runs, and this one has neither asked nor translated anything yet."""
        return bool(self._earlier) and self._idle

    def undo_run(self) -> bool:
        """Take the run back, if it has neither asked nor translated anything: it leaves no trace in the results.

        Returns:
            Was it taken back?

        Raises:
            LedgerError: the ledger cannot be written.
        """
        if self._run is None or not self._idle:
            return False
        with sqlite_errors(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            undo_run(self._connection, self._run)
        self._run = None
        return True

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


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file and bring its tables up to date."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # WAL with NORMAL: a killed process loses nothing that was committed.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(path: Path) -> IO[str]:
    """Take the lock, which the system frees however the process ends."""
    if path.is_symlink():  # the folder may come from anyone, and what is locked is written to
        raise LedgerError(f"{path} is a link to another file: remove it")
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
