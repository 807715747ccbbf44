"""Answers that are data: JSON by the schema of a prompt's front matter, and what of it is text, time and title."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from client.tasks.schemas import applying, of_item, of_property, possible, problem_of, schema_of, types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIXED = frozenset({"enum", "const", "pattern", "format"})
"""A string whose schema says one of these is no text to be translated."""
_TRANSLATE = "x-translate"
"""`false`: nothing of the value is translated; `true`: it is, whatever else its schema says."""
_TEXTS = ("title", "text", "what", "description", "reason", "evidence", "name")
"""What a part with a time says, the first that it has."""
_SCORES = ("score", "confidence")
_LONGEST_REASON = 200
_DEEPEST = 64
"""Levels of arrays and objects in an answer; what writes results takes 254 in all."""
_INTEGER_DIGITS = 18
"""Integers of more are numbers with a fraction: 64 bits are what results can hold."""


class Timed(NamedTuple):
    """A part of a structured answer that has a time: seconds of the video."""

    start_s: float
    end_s: float | None
    text: str
    title: str | None
    score: float | None
    place: int
    """Among the parts of the answer, in the order of their starts."""
    more: dict[str, Any] | None = None
    """What else the answer says of it; None if nothing."""

    @property
    def begins_chapter(self) -> bool:
        """Whether it lasts until the next one begins: it has a title, and no end."""
        return self.title is not None and self.end_s is None


def read(reader: str, text: str) -> tuple[Any, str | None]:
    """The data of an answer, and None; or None, and why it is none: no JSON, or not by the schema."""
    plain = text.strip()
    if plain.startswith("```"):
        plain = plain.strip("`").removeprefix("json").strip()
    try:
        data = json.loads(plain, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is nothing that can be written
    except (ValueError, RecursionError) as error:
        return None, f"it is no JSON ({error})"[:_LONGEST_REASON]
    if _is_deeper(data, _DEEPEST):
        return None, f"its arrays and objects are more than {_DEEPEST} deep"
    problem = problem_of(reader, data)
    return (data, None) if problem is None else (None, problem[:_LONGEST_REASON])


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else _finite(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:10]} is no number of JSON, or too large a one")
    return number


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in inner)


def texts_in(reader: str, data: Any) -> list[str]:
    """The texts of an answer, in order: what is translated."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    _map(reader, data, schema_of(reader), note)
    return found


def with_texts(reader: str, data: Any, texts: list[str]) -> Any:
    """The data with other texts in the place of its own, as many and in the same order as `texts_in` gives them."""
    given = iter(texts)
    return _map(reader, data, schema_of(reader), lambda text: next(given, text))


def _map(reader: str, value: Any, schema: Any, change: Callable[[str], str]) -> Any:
    schemas = list(applying(reader, schema, value))
    said = [found[_TRANSLATE] for found in schemas if _TRANSLATE in found]
    if False in said:
        return value
    if isinstance(value, str):
        fixed = True not in said and any(_FIXED & found.keys() for found in schemas)
        return change(value) if value.strip() and not fixed else value
    if isinstance(value, list):
        return [_map(reader, item, of_item(schemas, at), change) for at, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: _map(reader, item, of_property(schemas, name), change) for name, item in value.items()}
    return value


@lru_cache(256)
def times_at(reader: str) -> str | None:
    """The property of answers by this schema that is an array of parts with a time; None if there is none.

    The time is a number `start`, in seconds.
    """
    for schema in possible(reader, schema_of(reader)):
        for name, part in schema.get("properties", {}).items():
            arrays = [found for found in possible(reader, part) if "items" in found or "array" in types_of([found])]
            items = [found for array in arrays for found in possible(reader, array.get("items"))]
            starts = [item["properties"]["start"] for item in items if "start" in item.get("properties", ())]
            types = types_of([found for start in starts for found in possible(reader, start)])
            if "array" in types_of(arrays) and starts and (not types or types & {"number", "integer"}):
                return str(name)
    return None


def timed(reader: str, data: Any) -> list[Timed] | None:
    """The parts of an answer that have times, by their starts; None if its schema knows none."""
    name = times_at(reader)
    if name is None:
        return None
    items = [item for item in data.get(name) or () if isinstance(item, dict) and _number(item.get("start")) is not None]
    return [_timed(item, place) for place, item in enumerate(sorted(items, key=lambda item: item["start"]))]


def _timed(item: dict[str, Any], place: int) -> Timed:
    title = item.get("title")
    said = next((name for name in _TEXTS if isinstance(item.get(name), str)), "")
    scored = next((name for name in _SCORES if _number(item.get(name)) is not None), "")
    used = {"start", "end", said, scored}
    return Timed(
        float(item["start"]),
        _number(item.get("end")),
        item.get(said, ""),
        title if isinstance(title, str) else None,
        _number(item.get(scored)),
        place,
        {name: value for name, value in item.items() if name not in used} or None,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def within(parts: list[Timed], start_s: float, end_s: float) -> Iterator[Timed]:
    """The parts of an answer about a span of time, as far as they lie in it.

    A chapter (a title and no end) lasts until the next one, others without an end until that of the span. The first
    chapter begins with the span.
    """
    parts = [part for part in parts if part.start_s < end_s and (start_s <= part.start_s or part.end_s is not None)]
    chapters = bool(parts) and all(part.begins_chapter for part in parts)
    for number, part in enumerate(parts):
        following = parts[number + 1].start_s if chapters and number + 1 < len(parts) else end_s
        start = start_s if chapters and number == 0 else max(part.start_s, start_s)
        end = min(following if part.end_s is None else part.end_s, end_s)
        if start < end:
            yield part._replace(start_s=start, end_s=end)


def placed(parts: list[Timed], windows: list[tuple[float, float]], duration_s: float) -> Iterator[Timed]:
    """The parts of an answer about a whole video, with spans within it.

    Parts with titles and without ends are chapters: they tile the video, from its beginning to its end, and begin with
    a window. Others without an end last as long as the window that they begin in. What is not in the video is left out.
    """
    starts = [start for start, _ in windows]
    if parts and all(part.begins_chapter for part in parts):
        at: dict[float, Timed] = {}
        for part in parts:
            at.setdefault(min(starts, key=lambda start: abs(start - part.start_s)) if starts else part.start_s, part)
        begins = sorted(start for start in at if 0 <= start < duration_s)
        for number, begin in enumerate(begins):
            end = begins[number + 1] if number + 1 < len(begins) else duration_s
            yield at[begin]._replace(start_s=begin if number else 0.0, end_s=end)
        return
    for part in parts:
        within = next(((start, end) for start, end in windows if start <= part.start_s < end), None)
        end = part.end_s if part.end_s is not None else within[1] if within else duration_s
        start, end = max(part.start_s, 0.0), min(end, duration_s)
        if start < end:
            yield part._replace(start_s=start, end_s=end)
