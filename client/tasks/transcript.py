"""A transcript as the ledger keeps it: the JSON of the task's schema, its times those of the whole file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from client.media.content import Span

MOST_CHARACTERS = 2000
"""Of what is said in a prompt, some 600 tokens: beside 16 frames of LLaVA-NeXT-Video they fit into its 4096."""
TALK_CHARACTERS = 200
"""In a minute, 40 words of English: less than half of what is said in a slow talk, in any script."""
NOTHING_SAID = '{"segments":[]}'
MORE = "[more lines are left out]"
NOTHING = "Nothing is said."
"""In the place of a transcript in a prompt."""


@dataclass(frozen=True, slots=True)
class Said:
    """A segment of a transcript: seconds of the file."""

    start_s: float
    end_s: float
    text: str
    words: tuple[tuple[float, float, str], ...] = ()
    """(start, end, word), where the endpoint tells them."""


def to_text(said: list[Said], language: str | None) -> str:
    """What the ledger keeps; `language` is a FLORES code, or what the endpoint calls it, None where it is not known."""
    segments: list[dict[str, Any]] = []
    for each in said:
        segment: dict[str, Any] = {"start": round(each.start_s, 3), "end": round(each.end_s, 3), "text": each.text}
        if language:
            segment["language"] = language
        if each.words:
            segment["words"] = [
                {"start": round(start, 3), "end": round(end, 3), "word": word} for start, end, word in each.words
            ]
        segments.append(segment)
    return orjson.dumps({"segments": segments}).decode()


def read(text: str) -> list[Said]:
    """The segments of a transcript that the ledger keeps, without their words."""
    return [Said(part["start"], part["end"], part["text"]) for part in orjson.loads(text)["segments"]]


def lines(said: list[Said], span: Span | None, most: int = MOST_CHARACTERS) -> str:
    """What is said in a span of time, or in all of it, a line each with its time, as a prompt has it.

    Of more than `most` characters the first lines are taken, and it is said that there are more; how many is not, so
    that nobody has to wait for the last one.
    """
    start_s, end_s = (span.start_us / 1e6, span.end_us / 1e6) if span else (0.0, float("inf"))
    heard = [each for each in said if each.start_s < end_s and each.end_s > start_s]
    taken, fit = _taken(heard, most)
    return "\n".join(taken if fit else [*taken, MORE]) or NOTHING


def fills(said: list[Said], most: int = MOST_CHARACTERS) -> bool:
    """Whether what is said up to some time is more than a prompt holds: what is said after it makes no difference."""
    return not _taken(said, most)[1]


def _taken(said: Iterable[Said], most: int) -> tuple[list[str], bool]:
    """The first lines, as many as fit into so many characters, and whether these are all of them."""
    taken: list[str] = []
    for each in said:
        line = f"[{each.start_s:.1f} s] {each.text}"
        most -= len(line) + 1
        if most < 0:
            return taken, False
        taken.append(line)
    return taken, True


def people_talk(said: list[Said], span: Span) -> bool:
    """Whether so much is said in a span of time that it is what it is about: `TALK_CHARACTERS` a minute."""
    start_s, end_s = span.start_us / 1e6, span.end_us / 1e6
    characters = 0.0
    for each in said:
        within_s = min(each.end_s, end_s) - max(each.start_s, start_s)
        if within_s > 0:
            characters += len(each.text) * within_s / (each.end_s - each.start_s)
    return characters >= TALK_CHARACTERS * (end_s - start_s) / 60


def language_of(text: str) -> str | None:
    """The language of a transcript that the ledger keeps; None where nothing was said, or it is not known."""
    segments = orjson.loads(text)["segments"]
    found: str | None = segments[0].get("language") if segments else None
    return found
