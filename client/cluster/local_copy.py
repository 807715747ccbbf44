"""A ledger of this machine made of a cluster's output, for what reads ledgers: export, report, search."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import orjson

from client.cluster.journal import read_docs
from client.cluster.objects import Objects, is_url
from client.cluster.ownership import is_of_cluster
from client.cluster.records import SOURCES, plan_of, runs_of, source_rows
from client.cluster.rows import KEY, TRANSLATION, URI, take, take_answer, take_media
from client.cluster.tables import Tables
from client.errors import LedgerError
from client.ledger.ledger import LEDGER, Ledger
from client.ledger.sqlite_errors import sqlite_errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from client.cluster.records import Run
    from client.cluster.rows import Row

_TOGETHER = 256
_MATCHING = " AND ".join(f"{column} = ?" for column in (*KEY, "updated"))
_INSERT_TRANSLATION = f"""
    INSERT OR IGNORE INTO translations (answer, language, texts, doubts, verdicts)
    SELECT id, ?, ?, ?, ? FROM answers WHERE {_MATCHING}"""  # noqa: S608
# What was done by an earlier run says nothing of its content.
_FOUND = """
    SELECT run, uri, name, columns, position,
        CASE WHEN problem IS NULL THEN COALESCE(found.sha256, (SELECT sha256 FROM uris WHERE uris.uri = found.uri))
            ELSE found.sha256 END,
        problem, live_photo_of
    FROM temp.found ORDER BY run, position"""
_INSERT_SOURCE = """
    INSERT INTO sources (uri, ordinal, name, columns, run, position, finished, sha256, problem, live_photo_of)
    VALUES (?, (SELECT COUNT(*) FROM sources WHERE uri = ? AND run = ?), ?, ?, ?, ?, 1, ?, ?, ?)
    ON CONFLICT (uri, ordinal) DO UPDATE SET name = excluded.name, columns = COALESCE(excluded.columns, columns),
        run = excluded.run, position = excluded.position, sha256 = excluded.sha256, problem = excluded.problem,
        live_photo_of = COALESCE(excluded.live_photo_of, live_photo_of)"""


@contextmanager
def local_folder(text: str, *, write: bool = True) -> Iterator[Path]:
    """A folder of this machine with the ledger of an output; what else is there in the end goes to the output.

    That is the folder itself, of what one machine wrote. Unless `write`, nothing goes anywhere.

    Raises:
        UsageError: there is no driver for such URLs.
        LedgerError: it cannot be read or written.
    """
    if not is_of_cluster(text):
        yield Path(text)
        return
    objects = Objects(text)
    with TemporaryDirectory(prefix="babelview-") as folder:
        copy(objects, Path(folder))
        yield Path(folder)
        for path in sorted(Path(folder).rglob("*")) if write else ():
            if path.is_file() and not path.name.startswith("ledger."):
                objects.upload(path, path.relative_to(folder).as_posix())


def there(path: Path, here: Path, text: str) -> str:
    """Where a file of `local_folder` is in the end."""
    return (
        f"{text.rstrip('/')}/{path.relative_to(here).as_posix()}"
        if is_url(text)
        else str(Path(text) / path.relative_to(here))
    )


def copy(objects: Objects, folder: Path) -> None:
    """Make a ledger in a folder, of all that an output knows.

    Raises:
        LedgerError: there is nothing, or it cannot be read.
    """
    runs = runs_of(objects)
    if not runs:
        raise LedgerError(f"there are no runs in {objects.shown}: nothing was ever asked with --output {objects.shown}")
    with closing(Ledger(folder)):  # which makes the tables
        pass
    import sqlite3  # noqa: PLC0415

    path = folder / LEDGER
    with sqlite_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        for run in runs:
            _take_run(connection, run)
        tables = Tables(objects)
        _take_sources(connection, objects, tables)
        _take_contents(connection, objects, tables)
        connection.execute("COMMIT")


def _take_run(connection: sqlite3.Connection, run: Run) -> None:
    known = connection.execute("SELECT id FROM plans WHERE plan = ?", (run["plan"],)).fetchone()
    plan = known[0] if known else connection.execute("INSERT INTO plans (plan) VALUES (?)", (run["plan"],)).lastrowid
    connection.execute(
        "INSERT INTO runs (id, started, finished, plan, stats) VALUES (?, ?, ?, ?, ?)",
        (run["id"], run["started"], run["finished"], plan, orjson.dumps(run["stats"]).decode()),
    )
    asked = plan_of(run)
    for request in [request for requests in asked.requests.values() for request in requests] if asked else []:
        connection.execute(
            "INSERT OR REPLACE INTO prompts (task, hash, text, question, reader, max_tokens) VALUES (?, ?, ?, ?, ?, ?)",
            (*request.identity[:2], request.prompt, request.question, request.answer, request.max_tokens),
        )


def _take_sources(connection: sqlite3.Connection, objects: Objects, tables: Tables) -> None:
    """Bring in the sources in the order of their runs, and in each of their positions."""
    columns = ("run", "uri", "name", "columns", "position", "sha256", "problem", "live_photo_of")
    connection.execute(f"CREATE TEMP TABLE found ({', '.join(columns)}, UNIQUE (run, position) ON CONFLICT REPLACE)")

    def take_source(row: Row) -> None:
        connection.execute(
            f"INSERT INTO temp.found VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
            [row[name] for name in columns],
        )

    def take_uri(row: Row) -> None:
        connection.execute("INSERT OR REPLACE INTO uris VALUES (?, ?, ?, ?, ?, ?)", [row[name] for name in URI])

    for row in tables.rows("sources"):
        take_source(row)
    for row in tables.rows("uris"):
        take_uri(row)
    for sources, uris in source_rows(objects, objects.names(SOURCES)):
        for row in sources:
            take_source(row)
        for row in uris:
            take_uri(row)
    for run, uri, name, of_manifest, position, *rest in connection.execute(_FOUND):
        connection.execute(_INSERT_SOURCE, (uri, uri, run, name, of_manifest, run, position, *rest))


def _take_contents(connection: sqlite3.Connection, objects: Objects, tables: Tables) -> None:
    for row in tables.rows("media"):
        take_media(connection, row)
    for row in tables.rows("units"):
        take(connection, {"content": row["content"], "media": None, "unit": row, "answer": None, "translations": []})
    for row in tables.rows("answers"):
        take_answer(connection, row, [])
    for row in tables.rows("translations"):
        key = [row[column] for column in (*KEY, "updated")]
        connection.execute(_INSERT_TRANSLATION, [*(row[column] for column in TRANSLATION), *key])
    names = objects.names("journal")
    for at in range(0, len(names), _TOGETHER):
        for doc in read_docs(objects, names[at : at + _TOGETHER]):
            take(connection, doc)
