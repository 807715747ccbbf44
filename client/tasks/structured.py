"""Answers that are data: JSON by the schema of a prompt's front matter, and what of it is text, time and title.

The name of the reader holds the schema (`json {"type": ...}`), so that the ledger can read such an answer by itself.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jsonschema import Draft202012Validator

PREFIX = "json "
_FIXED = frozenset({"enum", "const", "pattern", "format", "x-translate"})
"""A string whose schema says one of these is no text to be translated; `x-translate: false` says just that."""
_TEXTS = ("title", "text", "what", "description", "reason", "evidence", "name")
"""What a part with a time says, the first that it has."""
_SCORES = ("score", "confidence")
_LONGEST_REASON = 200


class Timed(NamedTuple):
    """A part of a structured answer that has a time: seconds of the video."""

    start_s: float
    end_s: float | None
    text: str
    title: str | None
    score: float | None
    place: int
    """Among the parts of the answer, in the order of their starts."""


def reader_name(schema: dict[str, Any]) -> str:
    """The name of the reader of answers by a schema.

    Raises:
        UsageError: it is no JSON schema of an object.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # runs without such tasks need not wait for it
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"schema is no JSON schema: {error.message[:_LONGEST_REASON]}") from error
    if schema.get("type") != "object":
        raise UsageError("schema must be that of an object (type: object)")
    try:
        return PREFIX + json.dumps(schema, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:  # YAML knows dates and infinity
        raise UsageError(f"schema holds what JSON cannot: {error}") from error


def is_structured(reader: str) -> bool:
    """Whether this is the name of a reader of answers by a schema."""
    return reader.startswith(PREFIX)


@lru_cache(256)
def schema_of(reader: str) -> dict[str, Any]:
    """The schema that the name of a reader holds."""
    schema: dict[str, Any] = json.loads(reader.removeprefix(PREFIX))
    return schema


@lru_cache(256)
def sent_schema(reader: str) -> dict[str, Any]:
    """The schema as endpoints get it: without what is ours alone (`x-...`)."""
    sent: dict[str, Any] = _without_ours(schema_of(reader))
    return sent


def _without_ours(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_ours(part) for name, part in value.items() if not name.startswith("x-")}
    return [_without_ours(part) for part in value] if isinstance(value, list) else value


@lru_cache(256)
def _validator(reader: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # see above

    return Draft202012Validator(schema_of(reader))


def read(reader: str, text: str) -> tuple[Any, str | None]:
    """The data of an answer, and None; or None, and why it is none: no JSON, or not by the schema."""
    plain = text.strip()
    if plain.startswith("```"):
        plain = plain.strip("`").removeprefix("json").strip()
    try:
        data = json.loads(plain)
    except (ValueError, RecursionError) as error:
        return None, f"it is no JSON ({error})"[:_LONGEST_REASON]
    if (problem := next(iter(_validator(reader).iter_errors(data)), None)) is not None:
        where = "/".join(map(str, problem.absolute_path))
        return None, f"it is not by its schema{f' at {where}' if where else ''}: {problem.message}"[:_LONGEST_REASON]
    return data, None


def texts_in(reader: str, data: Any) -> list[str]:
    """The texts of an answer, in order: what is translated."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    _map(data, schema_of(reader), note)
    return found


def with_texts(reader: str, data: Any, texts: list[str]) -> Any:
    """The data with other texts in the place of its own, as many and in the same order as `texts_in` gives them."""
    given = iter(texts)
    return _map(data, schema_of(reader), lambda text: next(given, text))


def _map(value: Any, schema: Any, change: Callable[[str], str]) -> Any:
    schema = schema if isinstance(schema, dict) else {}
    if isinstance(value, str):
        return change(value) if value.strip() and not _FIXED & schema.keys() else value
    if isinstance(value, list):
        return [_map(item, _item_schema(schema, at), change) for at, item in enumerate(value)]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {name: _map(item, properties.get(name, {}), change) for name, item in value.items()}
    return value


def _item_schema(schema: dict[str, Any], at: int) -> Any:
    first = schema.get("prefixItems", [])
    return first[at] if at < len(first) else schema.get("items", {})


@lru_cache(256)
def times_at(reader: str) -> str | None:
    """The property of answers by this schema that is an array of parts with a time (`start`); None if there is none."""
    for name, part in schema_of(reader).get("properties", {}).items():
        items = part.get("items", {}) if isinstance(part, dict) and part.get("type") == "array" else {}
        if isinstance(items, dict) and "start" in items.get("properties", {}):
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
    text = next((item[name] for name in _TEXTS if isinstance(item.get(name), str)), "")
    score = next((number for name in _SCORES if (number := _number(item.get(name))) is not None), None)
    return Timed(float(item["start"]), _number(item.get("end")), text, title, score, place)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def placed(parts: list[Timed], windows: list[tuple[float, float]], duration_s: float) -> Iterator[Timed]:
    """The parts with spans within the video.

    Parts with titles and without ends are chapters: they tile the video, from its beginning to its end, and begin with
    a window. Others without an end last as long as the window that they begin in. What is not in the video is left out.
    """
    starts = [start for start, _ in windows]
    if parts and all(part.title is not None and part.end_s is None for part in parts):
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
