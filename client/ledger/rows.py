"""What the ledger holds about a content, and how it is read from it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Self

from client.ledger.redo import Redo
from client.ledger.schema import MIGRATIONS, migrate
from client.media.content import Facts, Probe
from client.media.kinds import Kind
from client.media.load import Identity
from client.sources.source import KnownSource
from client.tasks import transcript
from client.tasks.merge import merges_of
from client.tasks.plan import expand, needs_probe, unknown_scenes, unknown_sound
from client.tasks.steps import OverKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from client.endpoints.translation import Translated
    from client.tasks.merge import Merge
    from client.tasks.plan import AnswerKey, Request, UnitRequest
    from client.tasks.transcript import Said

SELECT_ANSWER = """
    SELECT id, state, text, finish_reason, prompt_tokens, generated_tokens, request_s, tokens_per_s, error, verdict,
        run, updated
    FROM answers WHERE unit = ? AND task = ? AND prompt_hash = ? AND model = ? AND params = ?"""

# Not by `json_each`, which has nothing of a URL with a zero byte.
_URIS = "SELECT uri, fingerprint, size, sha256, kind, problem FROM uris WHERE uri IN "
_KNOWN = """
    WITH wanted AS (SELECT value FROM json_each(?))
    SELECT sha256 FROM media WHERE sha256 IN wanted UNION SELECT unit FROM answers WHERE unit IN wanted
    UNION SELECT content FROM units WHERE content IN wanted"""


class StoredTranslation(NamedTuple):
    """An answer in another language: its text, or one for each item of a list."""

    texts: list[str]
    doubts: list[str]
    """Why sentences are doubtful."""
    verdicts: dict[str, int]
    """How many sentences are `ok`, `retried`, `doubtful`."""

    @classmethod
    def joined(cls, parts: list[Translated]) -> Self:
        """What the ledger keeps of an answer whose parts these are."""
        doubts = [doubt for part in parts for doubt in part.doubts]
        return cls([part.text for part in parts], doubts, sum((part.verdicts for part in parts), Counter()))


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A row of the ledger, with its translations by language."""

    state: str
    text: str
    finish_reason: str
    prompt_tokens: int
    generated_tokens: int
    request_s: float
    tokens_per_s: float | None
    """As the server tells it; None where it does not."""
    error: str | None
    verdict: str | None
    """`ok`, `retried` or `doubtful`; None where there is no answer."""
    translations: dict[str, StoredTranslation]
    run: int
    """The one that asked; 0 where that is not known."""
    updated: float
    """When it was answered, or failed: seconds since 1970."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """All that the ledger knows about a content, as far as some requests want to know it."""

    sha256: str
    kind: Kind
    facts: Facts | None = None
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    """Why it cannot be loaded."""
    spent_s: float = 0.0
    """Over all runs."""
    probe: Probe | None = None
    asks: list[UnitRequest] = field(default_factory=list)
    """The requests by units, of merges those whose inputs are answered; none where it takes a probe to know them, and
    no merges and none about scenes where these are not known yet."""
    merges: list[Merge] = field(default_factory=list)
    answers: dict[AnswerKey, StoredAnswer] = field(default_factory=dict)
    said: list[Said] | None = None
    """What is said in it; None where that is not wanted, or not all of it is transcribed."""


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a ledger, also one that a run is writing to, and leave nothing behind.

    One of an earlier version is read from a copy in memory that is brought up to date; the file stays as it is.

    Raises:
        LedgerError: it was written by a newer version of Babelview.
        sqlite3.Error: it cannot be opened.
    """
    # Only a ledger in use, or one whose run was killed, has a log beside it. Opened in the usual way, any other would
    # be given one, and could not be read where nothing may be written.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    try:
        if connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),):
            return connection
        copy = sqlite3.connect(":memory:", isolation_level=None)
        try:
            connection.backup(copy)
            migrate(copy)
        except BaseException:
            copy.close()
            raise
    except BaseException:
        connection.close()
        raise
    connection.close()
    return copy


def read_uri(connection: sqlite3.Connection, uri: str) -> KnownSource | None:
    """What was at a path or URL when it was last looked at.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    row = connection.execute(
        "SELECT fingerprint, size, sha256, kind, problem FROM uris WHERE uri = ?", (uri,)
    ).fetchone()
    return KnownSource(row[0], row[1], Identity(row[2], Kind(row[3]), row[4])) if row else None


def read_uris(connection: sqlite3.Connection, uris: Sequence[str]) -> dict[str, KnownSource]:
    """What was at paths or URLs when they were last looked at, of those that ever were.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    rows = connection.execute(f"{_URIS} ({', '.join('?' * len(uris))})", uris)
    return {
        uri: KnownSource(fingerprint, size, Identity(sha256, Kind(kind), problem))
        for uri, fingerprint, size, sha256, kind, problem in rows
    }


def known_contents(connection: sqlite3.Connection, contents: Sequence[str]) -> set[str]:
    """Those of contents, by their sha256, of which anything is known.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    return {content for (content,) in connection.execute(_KNOWN, (json.dumps(contents),))}


def read_redo(connection: sqlite3.Connection, uri: str, what: str) -> Redo:
    """The `--redo` of a path or URL: one that has begun and not ended, else a new one.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    row = connection.execute("SELECT run FROM redo WHERE uri = ? AND what = ?", (uri, what)).fetchone()
    return Redo(what, *row) if row else Redo(what)


def read_file(connection: sqlite3.Connection, identity: Identity, requests: list[Request]) -> StoredFile:
    """What is known of a content: its facts, and the answers to `requests`.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    row = connection.execute(
        "SELECT facts, warnings, error, spent_s, probe FROM media WHERE sha256 = ?", (identity.sha256,)
    ).fetchone()
    facts, warnings, error, spent_s, probe = row or (None, "[]", None, 0.0, None)
    stored = StoredFile(
        identity.sha256,
        identity.kind,  # an animated picture may have counted as the other one
        Facts(**json.loads(facts)) if facts else None,
        json.loads(warnings),
        error,
        spent_s,
        Probe(**json.loads(probe)) if probe else None,
    )
    if stored.probe or not needs_probe(requests, identity.kind):
        return _with_answers(connection, stored, requests)
    return stored


def new_file(identity: Identity, requests: list[Request]) -> StoredFile:
    """What is known of a content of which no ledger tells."""
    stored = StoredFile(identity.sha256, identity.kind)
    if not needs_probe(requests, identity.kind):
        stored.asks.extend(expand(requests, identity.sha256, None))
        stored.merges.extend(merge for merge in merges_of(requests, stored.asks) if merge.inputs)
    return stored


def _with_answers(connection: sqlite3.Connection, stored: StoredFile, requests: list[Request]) -> StoredFile:
    about_sound = [request for request in requests if request.over.kind is OverKind.AUDIO]
    _read_all(connection, stored, expand(about_sound, stored.sha256, stored.probe))
    stored = replace(stored, said=_said(stored, about_sound))
    others = [request for request in requests if request not in about_sound]
    asks = expand(others, stored.sha256, stored.probe, stored.said)
    _read_all(connection, stored, asks)
    if unknown_scenes(requests, stored.kind, stored.probe):
        return stored
    # Of what is told what is said there is nothing to be merged as long as that is not known.
    stored.merges.extend(merge for merge in merges_of(requests, asks) if merge.inputs)
    for merge in stored.merges:
        level: Merge | None = merge
        while level:
            texts = {key: answer.text for key, answer in stored.answers.items() if answer.state == "done"}
            asks, level = level.follow(texts)
            _read_all(connection, stored, asks)
    return stored


def _said(stored: StoredFile, about_sound: list[Request]) -> list[Said] | None:
    """What is said in a file; None as long as a piece of its sound has yet to be transcribed."""
    if not about_sound or unknown_sound(about_sound, stored.probe):
        return None
    found = [stored.answers.get(ask.key) for ask in stored.asks if ask.request == about_sound[0]]
    if any(answer is None for answer in found):
        return None
    return [each for answer in found if answer and answer.state == "done" for each in transcript.read(answer.text)]


def _read_all(connection: sqlite3.Connection, stored: StoredFile, asks: list[UnitRequest]) -> None:
    stored.asks.extend(asks)
    for ask in asks:
        if (answer := read_answer(connection, ask)) is not None:
            stored.answers[ask.key] = answer


def read_answer(connection: sqlite3.Connection, ask: UnitRequest) -> StoredAnswer | None:
    """The answer to a request about a unit, with its translations; None if it was never asked.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    row = connection.execute(SELECT_ANSWER, ask.key).fetchone()
    if row is None:
        return None
    (
        answer,
        state,
        text,
        finish_reason,
        prompt_tokens,
        generated_tokens,
        request_s,
        tokens_per_s,
        error,
        verdict,
        run,
        updated,
    ) = row
    translations = connection.execute(
        "SELECT language, texts, doubts, verdicts FROM translations WHERE answer = ?", (answer,)
    ).fetchall()
    return StoredAnswer(
        state,
        text or "",
        finish_reason or "",
        prompt_tokens or 0,
        generated_tokens or 0,
        request_s or 0.0,
        tokens_per_s,
        error,
        verdict,
        {
            language: StoredTranslation(json.loads(texts), json.loads(doubts), json.loads(verdicts or "{}"))
            for language, texts, doubts, verdicts in translations
        },
        run,
        updated,
    )
