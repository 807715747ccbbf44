"""What comes of a live session: captions, what is said, alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from client.record import said_of, translation_of
from client.tasks import transcript
from client.tasks.readers import reader_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from client.endpoints.completion import Answer
    from client.endpoints.translation import Translated
    from client.tasks.plan import UnitRequest


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A part of a run, an hour or so, that is kept as one file is."""

    id: str
    began: datetime
    offset_us: int = 0
    """When it began, on the clock of the run."""

    @property
    def content(self) -> str:
        """What stands for it where a file's sha256 does."""
        return f"stream:{self.id}"

    def follows(self, other: LiveSession | None) -> bool:
        """Whether it is the later one: events of a session still come when the next one has begun."""
        return other is None or self.offset_us > other.offset_us

    def when(self, at_us: int) -> str:
        """A time of the run's clock as ISO 8601, UTC."""
        return (
            (self.began + timedelta(microseconds=at_us - self.offset_us)).astimezone(UTC).isoformat("T", "milliseconds")
        )


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """The answer to a request, and its translations."""

    ask: UnitRequest
    answer: Answer
    translations: Mapping[str, list[Translated]] = field(default_factory=dict)
    """By language, of each of its parts."""

    def record(self) -> dict[str, Any]:
        """As a record of a batch has it."""
        request, answer = self.ask.request, self.answer
        reading = reader_of(request.answer)(answer.text)
        said: dict[str, Any] = {"question": request.question} if request.question else {}
        others = {code: translation_of(reading, [it.text for it in found]) for code, found in self.translations.items()}
        return {
            **said,
            **said_of(request.task, reading),
            "verdict": answer.verdict,
            **({"reasons": list(answer.reasons)} if answer.reasons else {}),
            **({"translations": others} if others else {}),
            "generated_tokens": answer.generated_tokens,
            "request_time_sec": round(answer.request_s, 3),
            "model": request.model,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCaption:
    """What was answered about the newest frames of a moment."""

    session: LiveSession
    start_us: int
    """With `end_us` the time that it is about, on the clock of the run; the newest frame is shown at its end."""
    end_us: int
    answers: tuple[LiveAnswer, ...]
    lag_s: float
    """How old the newest frame was when all of it was answered."""
    error: str | None = None
    """What went wrong, if anything did: then some answers, or translations, are missing."""
    skipped: int = 0
    """Steps so far that were left out, because the model was not done with the one before."""
    dropped: int = 0
    """Frames so far of times that no caption is about."""

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """The answers by their tasks, as a record of a batch has them."""
        return {answer.ask.request.key: answer.record() for answer in self.answers}

    @property
    def text(self) -> str:
        """The first answer, as it came; empty where there is none."""
        return self.answers[0].answer.text if self.answers else ""

    def to_json(self) -> dict[str, Any]:
        """A line of the JSONL file."""
        return {
            "kind": "caption",
            **_times(self.session, self.start_us, self.end_us),
            "tasks": self.tasks,
            "lag_sec": round(self.lag_s, 3),
            "skipped": self.skipped,
            "dropped": self.dropped,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSaid:
    """What was said, as a speech model heard it."""

    session: LiveSession
    start_us: int
    end_us: int
    answer: LiveAnswer

    @property
    def text(self) -> str:
        """All of it, in the language that it was said in."""
        return " ".join(said.text for said in transcript.read(self.answer.answer.text))

    @property
    def language(self) -> str | None:
        """Its FLORES code, if the speech model told it."""
        return transcript.language_of(self.answer.answer.text)

    @property
    def translations(self) -> dict[str, str]:
        """By language."""
        return {code: " ".join(it.text for it in parts) for code, parts in self.answer.translations.items()}

    def to_json(self) -> dict[str, Any]:
        """A line of the JSONL file."""
        return {
            "kind": "said",
            **_times(self.session, self.start_us, self.end_us),
            "text": self.text,
            "language": self.language,
            "verdict": self.answer.answer.verdict,
            **({"translations": self.translations} if self.translations else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAlert:
    """The answer to a question has changed."""

    session: LiveSession
    start_us: int
    """Of the frames that it was told by, as `end_us`."""
    end_us: int
    question: str
    answer: bool
    """Yes, or no."""
    lag_s: float
    ask: UnitRequest
    said: Answer
    stills: tuple[bytes | None, bytes]
    """The newest frame before the change, if there was one, and after it: JPEGs."""
    before: Path | None = None
    """Where these are kept, if they are."""
    after: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """A line of the JSONL file; also what commands and webhooks are told."""
        return {
            "kind": "alert",
            **_times(self.session, self.start_us, self.end_us),
            "question": self.question,
            "answer": "yes" if self.answer else "no",
            "before": str(self.before) if self.before else None,
            "after": str(self.after) if self.after else None,
            "lag_sec": round(self.lag_s, 3),
        }


LiveEvent: TypeAlias = LiveCaption | LiveSaid | LiveAlert


def _times(session: LiveSession, start_us: int, end_us: int) -> dict[str, Any]:
    return {
        "session": session.id,
        "at": session.when(end_us),
        "start": round(start_us / 1e6, 3),
        "end": round(end_us / 1e6, 3),
    }
