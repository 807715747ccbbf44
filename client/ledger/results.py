"""The results of the last run, read from its ledger: also while the run goes on, or after it was killed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from client.errors import LedgerError
from client.ledger.ledger import LEDGER
from client.ledger.rows import open_to_read, read_file
from client.ledger.schema import MIGRATIONS
from client.ledger.sqlite_errors import ledger_errors
from client.media.kinds import Kind
from client.media.load import Identity
from client.record import make_record, missing_languages, unread_record
from client.tasks.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from client.ledger.rows import StoredFile
    from client.record import Record

UNFINISHED = "not finished: run again to go on"
# A source that this run has not come to yet is as an earlier run found it.
_SOURCES = """
    SELECT name, columns, finished, sources.problem, COALESCE(sources.sha256, uris.sha256), uris.size, uris.kind,
        uris.problem, finished AND sources.sha256 IS NULL
    FROM sources LEFT JOIN uris USING (uri) WHERE run = (SELECT MAX(id) FROM runs) ORDER BY position"""


class Results:
    """A snapshot of a ledger, to be used in one thread."""

    def __init__(self, folder: Path) -> None:
        """Open the ledger of an output folder, to read it only.

        Raises:
            LedgerError: there is none, or none of this version.
        """
        self._path = folder / LEDGER
        if not self._path.is_file():
            raise LedgerError(f"there is no {LEDGER} in {folder}: nothing was ever asked with --output {folder}")
        with ledger_errors(self._path):
            self._connection = open_to_read(self._path)
        try:
            with ledger_errors(self._path):
                self._connection.execute("BEGIN")  # what others write meanwhile is not seen
                self.plan, self.stats = self._run()
        except LedgerError:
            self._connection.close()
            raise

    def _run(self) -> tuple[Plan, dict[str, Any]]:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version != len(MIGRATIONS):
            raise LedgerError(
                f"{self._path} is of version {version}, this Babelview reads version {len(MIGRATIONS)}: "
                "run the batch once more, which brings it up to date"
            )
        row = self._connection.execute("SELECT plan, stats FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        if row is None:
            raise LedgerError(f"{self._path} knows of no run: run the batch once more")
        try:
            return Plan.from_json(row[0]), json.loads(row[1])
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(f"{self._path} was written by another version: run the batch once more") from error

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ledger."""
        self._connection.close()

    def columns(self) -> list[str]:
        """The columns of the manifest that the records carry, in its order."""
        with ledger_errors(self._path):
            rows = self._connection.execute("SELECT DISTINCT columns FROM sources WHERE columns IS NOT NULL")
            found: dict[str, None] = {}
            for (columns,) in rows:
                found.update(dict.fromkeys(json.loads(columns)))
        return list(found)

    def records(self) -> Iterator[Record]:
        """A record for each source of the run, in its order; one that it has not come to yet says so.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            for name, columns, finished, problem, sha256, size, kind, strange, unread in self._connection.execute(
                _SOURCES
            ):
                extra = json.loads(columns) if columns else {}
                if unread:
                    yield unread_record(name, extra, problem)
                elif sha256 and kind:
                    identity = Identity(sha256, Kind(kind), strange)
                    stored = read_file(self._connection, identity, self.plan.requests[identity.kind])
                    reason = problem if finished else self._missing(stored)
                    yield make_record(name, stored, self.plan, columns=extra, size=size, problem=reason)
                else:
                    yield unread_record(name, extra, UNFINISHED)

    def _missing(self, stored: StoredFile) -> str | None:
        """What a file that this run has not finished with still lacks."""
        if stored.error:
            return stored.error
        for request in self.plan.requests[stored.kind]:
            answer = stored.answers.get(request.key)
            if answer is None or answer.state != "done" or missing_languages(request, answer, self.plan):
                return UNFINISHED
        return None
