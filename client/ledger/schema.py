"""The ledger's tables, as steps from each version to the next; a released step is never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.errors import LedgerError

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS = (
    """
    -- What is at a path, so that an unchanged file need not be read again to know its content.
    CREATE TABLE paths (
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
    CREATE TABLE media (
        sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL,
        facts TEXT,                          -- JSON; null where the file cannot be read
        warnings TEXT NOT NULL,              -- JSON array
        error TEXT,                          -- why it cannot be read
        seconds REAL NOT NULL DEFAULT 0      -- spent on it, over all runs
    ) STRICT;
    CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL, task TEXT NOT NULL, prompt_hash TEXT NOT NULL, model TEXT NOT NULL,
        params TEXT NOT NULL,                -- JSON: sampling parameters
        state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
        text TEXT, finish_reason TEXT, prompt_tokens INTEGER, generated_tokens INTEGER, seconds REAL,
        error TEXT, updated REAL NOT NULL,
        UNIQUE (sha256, task, prompt_hash, model, params)
    ) STRICT;
    CREATE TABLE translations (
        answer INTEGER NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        language TEXT NOT NULL,
        texts TEXT NOT NULL,                 -- JSON array: one text, or one for each item of a list
        doubts TEXT NOT NULL,                -- JSON array: the translator's reasons to mistrust sentences
        PRIMARY KEY (answer, language)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- Places are URLs too: what tells one version of a content from the next is a text.
    CREATE TABLE places (
        place TEXT PRIMARY KEY,              -- absolute path or URL
        stamp TEXT,                          -- null: nothing to tell by
        size INTEGER NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
    INSERT INTO places SELECT path, size || ' ' || mtime_ns, size, sha256, kind, problem FROM paths;
    DROP TABLE paths;
    """,
    """
    -- The last run: what it asked of which sources, and how far it came with each.
    CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), plan TEXT NOT NULL, stats TEXT NOT NULL) STRICT;
    CREATE TABLE sources (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL, place TEXT NOT NULL,
        columns TEXT,                        -- JSON object: what else a manifest says
        finished INTEGER NOT NULL DEFAULT 0,
        sha256 TEXT,                         -- of what was found, once finished; null where it cannot be read
        problem TEXT                         -- what this run could not do about it
    ) STRICT;
    """,
    """
    -- How sure the translator is of its sentences, JSON: {"ok": 5, "retried": 1}; null where it did not say.
    ALTER TABLE translations ADD COLUMN verdicts TEXT;
    """,
    """
    -- Each --redo begins a round, and what is answered bears its number. So one that is interrupted goes on, when it
    -- is given again, with what is of an earlier round.
    ALTER TABLE run ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE answers ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE redo (                      -- what has begun and not ended
        place TEXT NOT NULL, what TEXT NOT NULL, round INTEGER NOT NULL,
        PRIMARY KEY (place, what)
    ) STRICT, WITHOUT ROWID;
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a ledger, new or of any earlier version, to the newest one.

    Raises:
        LedgerError: it was written by a newer version of Babelview.
        sqlite3.Error: it cannot be written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"the ledger is of version {version}, this Babelview knows up to {len(MIGRATIONS)}: update it"
        )
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")
