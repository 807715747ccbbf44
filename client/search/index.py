"""The index of an output folder: `search.db`, made of the ledger, and brought up to date by each search.

It is a file of its own. A run writes to the ledger alone, as fast as it can; searches read that without holding it up,
and a folder that may not be written is searched all the same, by an index in memory. It can be deleted at any time.
What has changed is told by a hash, for each file, of all that its texts are made of.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from client.export.captions import as_text, english, language_of
from client.ledger.edits import ENGLISH
from client.ledger.ledger import LEDGER
from client.ledger.sqlite_errors import ledger_errors
from client.record import record_of
from client.search.tokens import TOKENIZER, indexed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from client.ledger.results import Results
    from client.record import Record

NAME = "search.db"
VERSION = 3
"""Of the tables below and of how texts are split: another one is made anew."""
_WAIT_S = 60.0
_TABLES = f"""
    CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
    CREATE TABLE files (
        source INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT, gone INTEGER, kind TEXT, signature BLOB
    );
    CREATE TABLE texts (
        id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES files (source), key TEXT NOT NULL,
        language TEXT NOT NULL, start_s REAL, end_s REAL, text TEXT NOT NULL
    );
    CREATE INDEX texts_of_source ON texts (source);
    CREATE TABLE looks (sha256 TEXT PRIMARY KEY, stamp INTEGER NOT NULL, look BLOB NOT NULL) WITHOUT ROWID;
    CREATE VIRTUAL TABLE words USING fts5 (text, content='', tokenize="{TOKENIZER}");
    PRAGMA user_version = {VERSION};
    """

_TEXTS = """
    SELECT COALESCE(content, unit) AS content, answers.id, answers.run, updated, state, finish_reason, language, texts
    FROM answers LEFT JOIN units ON units.id = unit LEFT JOIN translations ON answer = answers.id
    UNION ALL
    SELECT COALESCE(content, unit), task, prompt_hash, model, params, edited, language, texts
    FROM edits LEFT JOIN units ON units.id = unit
    ORDER BY 1, 2, 3, 7"""
# The runs of a plan ask the same.
_SOURCES = """
    SELECT sources.id, COALESCE(sources.sha256, uris.sha256), name, gone, uris.kind, plan
    FROM sources LEFT JOIN uris USING (uri) LEFT JOIN runs ON runs.id = run"""


class Said(NamedTuple):
    """A text of a file: what a task's answer says in a language, about all of it or a part."""

    key: str
    language: str
    start_s: float | None
    end_s: float | None
    text: str


class Index:
    """An open index, up to date when it was opened."""

    def __init__(self, folder: Path, results: Results) -> None:
        """Open the index of an output folder and bring it up to date with its results.

        Raises:
            LedgerError: the ledger cannot be read, or the index cannot be made.
        """
        self.refreshed = 0
        """Files that were new or had changed."""
        with ledger_errors(folder / LEDGER):
            try:
                self.connection = _open(folder / NAME)
                self._refresh(results)
            except sqlite3.DatabaseError:  # not to be written, full, damaged: it is made of the ledger anyway
                self.connection = _create(":memory:")
                self._refresh(results)

    def __enter__(self) -> Self:
        """Return the index itself, which the `with` closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.connection.close()

    def _refresh(self, results: Results) -> None:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            keys = "\n".join(topic.key for topic in results.topics())
            if connection.execute("SELECT value FROM state WHERE key = 'topics'").fetchone() != (keys,):
                connection.execute("UPDATE files SET signature = NULL")  # answers are called otherwise
                connection.execute("INSERT OR REPLACE INTO state VALUES ('topics', ?)", (keys,))
            known = dict(connection.execute("SELECT source, signature FROM files"))
            now = signatures(results)
            for source in known.keys() - now.keys():
                self._forget(source)
            changed = [source for source, signature in now.items() if known.get(source) != signature]
            for file in results.files(changed):
                self._forget(file.number)
                row = (file.number, file.name, file.sha256, file.gone, file.kind, now[file.number])
                connection.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
                self._add(file.number, record_of(file, results))
            self.refreshed = len(changed)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _forget(self, source: int) -> None:
        """Take the texts of a file out; an index without its texts has to be told what they were."""
        rows = self.connection.execute("SELECT id, text FROM texts WHERE source = ?", (source,)).fetchall()
        self.connection.executemany(
            "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
            [(number, indexed(text)) for number, text in rows],
        )
        self.connection.execute("DELETE FROM texts WHERE source = ?", (source,))
        self.connection.execute("DELETE FROM files WHERE source = ?", (source,))

    def _add(self, source: int, record: Record) -> None:
        for said in texts_of(record):
            number = self.connection.execute(
                "INSERT INTO texts (source, key, language, start_s, end_s, text) VALUES (?, ?, ?, ?, ?, ?)",
                (source, *said),
            ).lastrowid
            self.connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, indexed(said.text)))


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S)
    try:
        if connection.execute("PRAGMA user_version").fetchone() == (VERSION,):
            return connection
    except sqlite3.DatabaseError:  # no database any more
        pass
    connection.close()
    with suppress(OSError):
        path.unlink(missing_ok=True)
    return _create(str(path))


def _create(where: str) -> sqlite3.Connection:
    connection = sqlite3.connect(where, isolation_level=None, timeout=_WAIT_S)
    connection.executescript(f"PRAGMA synchronous = OFF; BEGIN; {_TABLES} COMMIT;")
    return connection


def signatures(results: Results) -> dict[int, bytes]:
    """Of each source a hash of all that its record is made of.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found: dict[str, Any] = {}
    for content, *row in results.changes(_TEXTS):
        digest = found.get(content)
        if digest is None:
            digest = found[content] = blake2b(digest_size=16)
        digest.update(repr(row).encode(errors="surrogatepass"))
    signed: dict[int, bytes] = {}
    for source, content, *row in results.changes(_SOURCES):
        digest = found[content].copy() if content in found else blake2b(digest_size=16)
        digest.update(repr((content, *row)).encode(errors="surrogatepass"))
        signed[source] = digest.digest()
    return signed


def texts_of(record: Record) -> Iterator[Said]:
    """All texts of a record, in all languages: of an answer in segments those of its segments too."""
    for key, answer in record["tasks"].items():
        for language, said in {ENGLISH: _whole(answer), **answer["translations"]}.items():
            if text := as_text(said):
                yield Said(key, language, None, None, text)
        for segment in answer.get("segments") or ():
            start, end = segment["start"], segment["end"]
            for language, text in {language_of(segment): _part(segment), **segment.get("translations", {})}.items():
                if text := as_text(text):
                    yield Said(key, language, start, end, text)


def _part(segment: dict[str, Any]) -> str:
    """What is said of a part: its title, text and data; of what was heard the text."""
    heard = "language" in segment["data"] if isinstance(segment.get("data"), dict) else False
    said = (as_text(segment.get(name)) for name in ("title", "text", *(() if heard else ("data",))))
    return " ".join(dict.fromkeys(filter(None, said)))


def _whole(answer: dict[str, Any]) -> Any:
    """What is said about the whole; nothing where there are segments alone."""
    return english(answer) if {"data", "text", "raw"} & answer.keys() else None
