"""What a run finds out, for the ledger to keep: plain values that can be logged, compared and pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.ledger.edits import FileReviewed, TextEdited

if TYPE_CHECKING:
    from client.endpoints.completion import Answer
    from client.ledger.rows import StoredTranslation
    from client.media.content import Facts, Probe
    from client.media.load import Identity
    from client.sources.source import KnownSource
    from client.tasks.plan import UnitRequest


@dataclass(frozen=True, slots=True)
class UriSeen:
    """What is at a path or URL."""

    uri: str
    known: KnownSource


@dataclass(frozen=True, slots=True)
class MediaProbed:
    """What the packets of a video told."""

    identity: Identity
    probe: Probe
    seconds: float
    """That it took."""


@dataclass(frozen=True, slots=True)
class MediaLoaded:
    """A file was decoded, or cannot be: then there is an `error` and nothing else."""

    identity: Identity
    seconds: float
    """That it took."""
    facts: Facts | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """So much more time went into a content."""

    sha256: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AnswerStored:
    """A model answered; what hung on an earlier answer to the same goes."""

    ask: UnitRequest
    answer: Answer


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request failed, `final` if it would fail again. An answer that is there stays."""

    ask: UnitRequest
    error: str
    final: bool


@dataclass(frozen=True, slots=True)
class TranslationsStored:
    """The translations of an answer that is stored, by language."""

    ask: UnitRequest
    translations: dict[str, StoredTranslation]


@dataclass(frozen=True, slots=True)
class SourceCompleted:
    """The run has finished with the source at this position; `sha256` is None where it could not be read."""

    position: int
    sha256: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """How the run went."""

    stats: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RedoEnded:
    """A `--redo` came to its end with the sources of this run: the next one begins anew."""

    what: str


Event = (
    UriSeen
    | MediaProbed
    | MediaLoaded
    | TimeSpent
    | AnswerStored
    | RequestFailed
    | TranslationsStored
    | SourceCompleted
    | RunEnded
    | RedoEnded
    | TextEdited
    | FileReviewed
)
