"""The segments of a record: parts of a video's time, and what was said about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from client.tasks import structured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from client.tasks.answers import Reading
    from client.tasks.structured import Timed

Span = tuple[float, float]
"""Seconds of the video, half open."""
_NEW = -1
"""The place of a part that a person wrote, and nobody has translated."""


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """An answer about a part of a video, as it was read, and its translations: the texts of its parts by language."""

    span: Span
    reading: Reading
    translations: Mapping[str, list[str]]
    verdict: Mapping[str, Any]
    """What stands in the record of the verdict on it."""
    own: Reading | None = None
    """As the model said it, where a person may have changed it: what is translated are the model's words."""


def of_window(answer: TimedAnswer) -> Iterator[dict[str, Any]]:
    """The segments of an answer about a window: one; or, of data whose parts have times, one for each of them."""
    reading, (start, end) = answer.reading, answer.span
    if reading.schema is None or reading.data is None:
        texts = {code: ", ".join(texts) for code, texts in answer.translations.items()}
        yield _segment(answer.span, {"text": reading.text}, answer.verdict, texts)
        return
    others = _translated(answer)
    parts = _parts(answer)
    if parts is None:
        yield _segment(answer.span, {"data": reading.data}, answer.verdict, others)
        return
    if start > 0 and all(part.start_s < start and (part.end_s or 0) <= end - start for part in parts):
        # A model that counts from the beginning of what it sees, not of the video.
        parts = [_moved(part, start) for part in parts]
    for part in structured.within(parts, start, end):
        yield _of_part(part, reading.schema, others, answer.verdict)


def left_out(answer: TimedAnswer, segments: list[dict[str, Any]]) -> str | None:
    """A warning where parts of an answer with times have no segment: they lie outside of its time."""
    name, data = answer.reading.schema, answer.reading.data
    parts = structured.timed(name, data) if name and data is not None else None
    missing = len(parts or ()) - len(segments)
    if missing <= 0:
        return None
    start, end = answer.span
    return (
        f"{missing} of {len(parts or ())} parts left out: they are not within {start:.3f}-{end:.3f} s, or are doubled"
    )


def of_whole(answer: TimedAnswer, windows: list[Span]) -> list[dict[str, Any]] | None:
    """The segments of data about a whole video that was gone through in `windows`; None if its parts have no times."""
    name, parts = answer.reading.schema, _parts(answer)
    if name is None or parts is None:
        return None
    others = _translated(answer)
    return [_of_part(part, name, others, {}) for part in structured.placed(parts, windows, answer.span[1])]


def joined(answer: Mapping[str, Any], language: str | None = None) -> str | None:
    """What the segments of an answer in a record say, in English or a language: a line each; None if nothing."""
    segments: list[dict[str, Any]] = answer.get("segments") or []
    if language is None:
        said = [segment.get("text", segment.get("data")) for segment in segments]
    else:
        said = [segment.get("translations", {}).get(language) for segment in segments]
    lines = [text if isinstance(text, str) else orjson.dumps(text).decode() for text in said if text is not None]
    return "\n".join(lines) if lines else None


def _parts(answer: TimedAnswer) -> list[Timed] | None:
    """The parts with times, each with its place among those of the model; None where there is none, or no data."""
    name, data = answer.reading.schema, answer.reading.data
    parts = structured.timed(name, data) if name and data is not None else None
    if parts is None or name is None or answer.own is None:
        return parts
    places = {(part.start_s, part.text): part.place for part in structured.timed(name, answer.own.data) or ()}
    return [part._replace(place=places.get((part.start_s, part.text), _NEW)) for part in parts]


def _translated(answer: TimedAnswer) -> dict[str, Any]:
    """The model's data in other languages."""
    name, data = answer.reading.schema or "", (answer.own or answer.reading).data
    return {code: structured.with_texts(name, data, texts) for code, texts in answer.translations.items()}


def _of_part(part: Timed, name: str, others: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"text": part.text}
    if part.title is not None:
        said["title"] = part.title
    if part.score is not None:
        said["score"] = part.score
    if part.more:
        said["data"] = part.more
    texts = {code: text for code, data in others.items() if (text := _same(part, name, data))}
    return _segment((part.start_s, part.end_s or part.start_s), said, verdict, texts)


def _same(part: Timed, name: str, translated: Any) -> str | None:
    """The text of the part in translated data, where parts have the same places."""
    found = structured.timed(name, translated) or []
    return found[part.place].text if 0 <= part.place < len(found) else None


def _moved(part: Timed, by_s: float) -> Timed:
    return part._replace(start_s=part.start_s + by_s, end_s=None if part.end_s is None else part.end_s + by_s)


def _segment(
    span: Span, said: Mapping[str, Any], verdict: Mapping[str, Any], translations: Mapping[str, Any]
) -> dict[str, Any]:
    start, end = span
    times = {"start": round(start, 3), "end": round(end, 3)}
    return {**times, **said, **verdict, **({"translations": dict(translations)} if translations else {})}
