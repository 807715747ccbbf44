"""What an output folder knows about each file, read from its ledger: also while a run goes on, or after it was killed.

Read a few files at a time, each table at once for all of them, so that neither time nor memory grows with the folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson

from client.errors import LedgerError
from client.ledger.edits import add_edits, read_reviews
from client.ledger.ledger import LEDGER
from client.ledger.newest import ContentAnswers, Failure, ResultAnswer, TopicResult, UnitRow
from client.ledger.rows import StoredTranslation, open_to_read, read_file, read_uri
from client.ledger.sqlite_errors import ledger_errors
from client.ledger.topics import Topics
from client.media.content import Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.tasks.plan import Plan

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from types import TracebackType

    from client.ledger.edits import Review
    from client.ledger.newest import RequestIdentity
    from client.ledger.rows import StoredFile
    from client.ledger.topics import Topic
    from client.sources.source import KnownSource
    from client.tasks.plan import Request

AT_ONCE = 32
"""Files that are read together."""
_NAMED = 3
"""So many folders with a ledger are named where another one has none."""
# A source that its run has not come to yet is as an earlier run found it.
_SOURCES = """
    SELECT name, columns, run, finished, sources.problem, gone, COALESCE(sources.sha256, uris.sha256), size, uris.kind,
        live_photo_of, finished AND sources.sha256 IS NULL, id, uri
    FROM sources LEFT JOIN uris USING (uri)"""
_ALL, _OF_RUN = " ORDER BY id", " WHERE run = ? ORDER BY position"
_OF_POSITIONS = " WHERE run = ? AND position IN (SELECT value FROM json_each(?)) ORDER BY position"
_SOME = " WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
_MEDIA = """
    SELECT sha256, facts, warnings, error, spent_s, json_extract(probe, '$.sound_warnings') FROM media
    WHERE sha256 IN (SELECT value FROM json_each(?))"""
_UNITS = """
    SELECT id, content, kind, start_us, end_us, inputs FROM units WHERE content IN (SELECT value FROM json_each(?))"""
# The oldest first.
_ANSWERS = """
    SELECT id, unit, task, prompt_hash, model, params, state, COALESCE(text, ''), finish_reason,
        COALESCE(generated_tokens, 0), COALESCE(request_s, 0.0), tokens_per_s, error, verdict, reasons, reasoning,
        updated
    FROM answers WHERE unit IN (SELECT value FROM json_each(?)) ORDER BY run, updated, id"""
_TRANSLATIONS = """
    SELECT answer, language, texts, doubts, verdicts FROM translations
    WHERE answer IN (SELECT value FROM json_each(?))"""
_PLAN = "SELECT plans.plan FROM runs JOIN plans ON plans.id = runs.plan WHERE runs.id = ?"
_IN_PARTS = "SELECT DISTINCT task FROM answers JOIN units ON units.id = unit WHERE kind NOT IN ('merge', 'digest')"


@dataclass(slots=True)
class FileResult:
    """What is known of a source."""

    name: str
    columns: dict[str, Any]
    """What else a manifest says."""
    run: int | None
    """The last one that named it; None in ledgers of old versions."""
    finished: bool
    """By that run."""
    problem: str | None
    """What that run could not do about it."""
    gone: bool
    sha256: str | None
    """Of its content; None where it was not read."""
    size: int | None
    kind: Kind | None
    live_photo_of: str | None = None
    """Of a video: the name of a picture beside it that is named like it."""
    number: int = 0
    """Its row in the ledger, the same in all runs."""
    uri: str = ""
    """Its URL, or its absolute path."""
    facts: Facts | None = None
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    """Why its content cannot be loaded."""
    spent_s: float = 0.0
    topics: list[TopicResult] = field(default_factory=list)
    failures: list[tuple[Topic, Failure]] = field(default_factory=list)
    """Topics that were asked and have no answer, and why."""
    review: Review | None = None
    """What a person thinks of it."""
    answered: set[RequestIdentity] = field(default_factory=set)
    """The `Request.identity` of all answers about it or a part of it, also of older ones."""


class Results:
    """A snapshot of a ledger, to be used in one thread."""

    def __init__(self, folder: Path, *, only_run: bool = False) -> None:
        """Open the ledger of an output folder, to read it only; `only_run`: what the last run was about alone.

        Raises:
            LedgerError: there is none, or one of a newer version of Babelview.
        """
        self._path, self.only_run = folder / LEDGER, only_run
        if not self._path.is_file():
            others = [str(path.parent) for path in sorted(folder.glob(f"*/{LEDGER}"))[:_NAMED]]
            there = f"; there is one in {', '.join(others)}" if others else ""
            raise LedgerError(f"there is no {LEDGER} in {folder}: nothing was ever asked with --output {folder}{there}")
        self._plans: dict[int | None, Plan | None] = {None: None}
        self._asked: dict[tuple[int | None, Kind | None], frozenset[RequestIdentity]] = {}
        with ledger_errors(self._path):
            self._connection = open_to_read(self._path)
        try:
            with ledger_errors(self._path):
                self._connection.execute("BEGIN")  # what others write meanwhile is not seen
                self._last_run, self.stats = self._run()
                self._topics = self._find_topics()
        except LedgerError:
            self._connection.close()
            raise

    def _run(self) -> tuple[int, dict[str, Any]]:
        row = self._connection.execute("SELECT id, stats FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        if row is None:
            raise LedgerError(f"{self._path} knows of no run: run the batch once more")
        return row[0], json.loads(row[1])

    def _find_topics(self) -> Topics:
        if not self.only_run:
            return Topics.of_ledger(self._connection)
        if (plan := self.plan_of(self._last_run)) is None:
            raise LedgerError(f"{self._path} was written by another version: run the batch once more")
        return Topics.of_plan(plan)

    def __enter__(self) -> Self:
        """Return the results themselves, which the `with` closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ledger."""
        self._connection.close()

    def topics(self) -> list[Topic]:
        """What was asked, with all languages of the answers.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if not self.only_run:
            with ledger_errors(self._path):
                self._topics.add_translated(self._connection)
        return self._topics.all

    def tasks_in_segments(self) -> set[str]:
        """The tasks of which some answer is about a part of a file.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            return {task for (task,) in self._connection.execute(_IN_PARTS)}

    def edited_tasks(self) -> set[str]:
        """The tasks of which a person changed some answer.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            return {task for (task,) in self._connection.execute("SELECT DISTINCT task FROM edits")}

    def is_reviewed(self) -> bool:
        """Whether a person accepted or flagged any file.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            return bool(self._connection.execute("SELECT EXISTS (SELECT * FROM reviews)").fetchone()[0])

    def columns(self) -> list[str]:
        """The columns of manifests that the files carry, in their order.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        where, values = (" AND run = ?", (self._last_run,)) if self.only_run else ("", ())
        found: dict[str, None] = {}
        with ledger_errors(self._path):
            for (columns,) in self._connection.execute(
                f"SELECT columns FROM sources WHERE columns IS NOT NULL{where} GROUP BY columns ORDER BY MIN(id)",  # noqa: S608
                values,
            ):
                found.update(dict.fromkeys(json.loads(columns)))
        return list(found)

    def changes(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Rows of the ledger as they are, for who wants to know whether anything has changed.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            yield from self._connection.execute(query)

    def known(self, uri: str) -> KnownSource | None:
        """What was at a path or URL when it was last looked at.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            return read_uri(self._connection, uri)

    @property
    def last_run(self) -> int:
        """The number of the last run."""
        return self._last_run

    def began(self) -> float | None:
        """When the first run began, seconds since 1970: the same however the folder grows or is moved.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            found: float | None = self._connection.execute("SELECT MIN(started) FROM runs").fetchone()[0]
        return found

    def plan_of(self, run: int | None) -> Plan | None:
        """What a run asked; None where that is not known, or was written by another version."""
        if run not in self._plans:
            with ledger_errors(self._path):
                row = self._connection.execute(_PLAN, (run,)).fetchone()
            try:
                self._plans[run] = Plan.from_json(row[0]) if row else None
            except (ValueError, TypeError, KeyError):
                self._plans[run] = None
        return self._plans[run]

    def _asked_by(self, run: int | None, kind: Kind | None) -> frozenset[RequestIdentity]:
        """What a run asks about files of a kind; nothing where that is not known."""
        if (run, kind) not in self._asked:
            plan = self.plan_of(run)
            requests = plan.requests[kind] if plan and kind else ()
            self._asked[run, kind] = frozenset(request.identity for request in requests)
        return self._asked[run, kind]

    def stored(self, file: FileResult, requests: list[Request]) -> StoredFile:
        """The answers to exactly these requests about a file whose content is known.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        assert file.sha256
        assert file.kind
        with ledger_errors(self._path):
            return read_file(self._connection, Identity(file.sha256, file.kind, None), requests)

    def files(
        self, numbers: Collection[int] | None = None, positions: Collection[int] | None = None
    ) -> Iterator[FileResult]:
        """All sources, as they were first seen; of the last run alone, in its order; or those of some `number`s.

        Or those that have some `positions` in the last run.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with ledger_errors(self._path):
            if numbers is not None:
                found = self._connection.execute(_SOURCES + _SOME, (orjson.dumps(list(numbers)).decode(),))
            elif positions is not None:
                wanted = orjson.dumps(list(positions)).decode()
                found = self._connection.execute(_SOURCES + _OF_POSITIONS, (self._last_run, wanted))
            elif self.only_run:
                found = self._connection.execute(_SOURCES + _OF_RUN, (self._last_run,))
            else:
                found = self._connection.execute(_SOURCES + _ALL)
            while rows := found.fetchmany(AT_ONCE):
                files = [_file(row, only_run=self.only_run) for row in rows]
                self._fill(files)
                yield from files

    def _fill(self, files: list[FileResult]) -> None:
        """Add what is known of their contents."""
        by_content: dict[str, list[FileResult]] = {}
        for file in files:
            if file.sha256 and file.kind:
                by_content.setdefault(file.sha256, []).append(file)
        contents = list(by_content)
        for sha256, facts, warnings, error, spent_s, of_sound in self._among(_MEDIA, contents):
            for file in by_content[sha256]:
                file.facts = Facts(**orjson.loads(facts)) if facts else None
                file.warnings, file.error, file.spent_s = orjson.loads(warnings), error, spent_s
                if of_sound:
                    file.warnings += [text for found in orjson.loads(of_sound).values() for text in found]
        answers: dict[str, list[tuple[ResultAnswer, UnitRow | None]]] = {sha256: [] for sha256 in contents}
        units = {row[0]: UnitRow(*row) for row in self._among(_UNITS, contents)}
        for row in self._among(_ANSWERS, [*contents, *units]):
            answer = ResultAnswer(*row)
            unit = units.get(answer.unit)
            answers[unit.content if unit else answer.unit].append((answer, unit))
        reviews = read_reviews(self._connection, contents)
        shown: list[TopicResult] = []
        for sha256, same in by_content.items():
            # Of one kind, but an animated picture may be asked about as either.
            for run, kind in {(file.run, file.kind) for file in same}:
                found = ContentAnswers(self._topics, answers[sha256], self._asked_by(run, kind))
                topics, failures = found.results(), found.failures()
                shown += topics
                for file in same:
                    file.review = reviews.get(sha256)
                    if (file.run, file.kind) == (run, kind):
                        file.topics, file.failures, file.answered = topics, failures, found.requests
        self._translate(shown)

    def _translate(self, results: list[TopicResult]) -> None:
        """Add the translations of answers, in the order in which their languages came up."""
        shown = {answer.id: answer for result in results for answer in result.answers()}
        stored: dict[int, dict[str, StoredTranslation]] = {}
        for answer, language, texts, doubts, verdicts in self._among(_TRANSLATIONS, list(shown)):
            stored.setdefault(answer, {})[language] = StoredTranslation(
                orjson.loads(texts),
                orjson.loads(doubts) if doubts != "[]" else [],
                orjson.loads(verdicts) if verdicts else {},
            )
        for number, found in stored.items():
            translations = shown[number].translations
            for language in self._topics.languages:
                if language in found:
                    translations[language] = found.pop(language)
            if not self.only_run:
                translations.update(found)
        add_edits(self._connection, shown.values())

    def _among(self, query: str, values: list[str] | list[int]) -> sqlite3.Cursor:
        return self._connection.execute(query, (orjson.dumps(values).decode(),))


def _file(row: tuple[Any, ...], *, only_run: bool) -> FileResult:
    name, columns, run, finished, problem, gone, sha256, size, kind, live_photo_of, unread, number, uri = row
    if only_run and unread:  # what an earlier run read is not of this one
        sha256 = size = kind = None
    return FileResult(
        name,
        orjson.loads(columns) if columns else {},
        run,
        bool(finished),
        problem,
        bool(gone),
        sha256,
        size,
        Kind(kind) if kind else None,
        live_photo_of,
        number,
        uri,
    )
