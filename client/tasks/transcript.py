"""A transcript as the ledger keeps it: the JSON of the task's schema, its times those of the whole file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from client.media.content import Span

MOST_CHARACTERS = 2000
"""Of what is said in a prompt, some 600 tokens: beside 16 frames of LLaVA-NeXT-Video they fit into its 4096."""
TALK_CHARACTERS = 200
"""In a minute, 40 words of English: less than half of what is said in a slow talk, in any script."""
NOTHING_SAID = '{"segments":[]}'
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

    Of more than `most` characters the first lines are taken, and it is said that there are more.
    """
    start_s, end_s = (span.start_us / 1e6, span.end_us / 1e6) if span else (0.0, float("inf"))
    heard = [each for each in said if each.start_s < end_s and each.end_s > start_s]
    if not heard:
        return NOTHING
    taken: list[str] = []
    left = most
    for each in heard:
        line = f"[{each.start_s:.1f} s] {each.text}"
        if len(line) + 1 > left:
            taken.append(f"[{len(heard) - len(taken)} more lines are left out]")
            break
        taken.append(line)
        left -= len(line) + 1
    return "\n".join(taken)


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
