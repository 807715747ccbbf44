"""What went wrong with a ledger's file, said so that the user knows what to do."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from client.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGED = (
    "the file is damaged. Put it aside (with its -wal and -shm) and run again, which asks everything anew, or restore "
    "a copy. `sqlite3 ledger.db .recover` can save most of it"
)
_ADVICE = {
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": "the disk is full. What was answered before is kept: make room and run again",
    "SQLITE_IOERR": "the disk is full or broken. What was answered before is kept: see to it and run again",
    "SQLITE_READONLY": "it cannot be written. Give yourself the right to, or choose another --output",
    "SQLITE_PERM": "it cannot be written. Give yourself the right to, or choose another --output",
    "SQLITE_CANTOPEN": "it cannot be opened or written. Check its folder's rights, or choose another --output",
    "SQLITE_BUSY": "another program is using it. Close that, and run again",
}


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turn errors of reading the ledger at `path` into ours: SQLite's, and those of what it found amiss nowhere.

    Raises:
        LedgerError: instead of them.
    """
    try:
        with sqlite_errors(path):
            yield
    except (ValueError, TypeError) as error:  # no UTF-8, no JSON, no such kind
        raise LedgerError(f"{path}: {error}: {_DAMAGED}") from error


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the ledger at `path` into ours; for writing, where other errors are our own bugs.

    Raises:
        LedgerError: instead of them.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_WRITE is a kind of SQLITE_IOERR
        # Without a name it is Python that could not make sense of what SQLite read.
        undecoded = isinstance(error, sqlite3.OperationalError) and not name
        advice = _DAMAGED if undecoded else _ADVICE.get(primary)
        raise LedgerError(f"{path}: {error}{f': {advice}' if advice else ''}") from error
