"""How large a JSON schema may be: engines compile each into a grammar, on threads that all requests share."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from server.errors import RequestError
from server.gateway.body import DEEPEST, is_deep

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_BYTES = 64 << 10
LONGEST_PATTERN = 256
MOST_CHOICES = 1000
"""Entries of a list in a schema, as OpenAI takes them."""
MOST_PROPERTIES = 400
"""Of all objects of a schema together: llguidance gives up at 500 that may be left out."""
MOST_REPEATS = 4096
"""A grammar is unrolled that often: what a count in a schema may be, and the characters of a pattern with its counted
repetitions written out. Three nested `{60}` would be 216,000 of them: seconds for each token of the answer."""
MOST_REMAINDERS = 10_000
"""States of the automaton for `multipleOf`, one for each remainder; llguidance takes 15 s for ten million."""
_REPEATS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_PATTERN_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:(,)(\d*))?\}|.", re.DOTALL)


def check_schema(name: str, schema: Any) -> None:
    """Check a JSON schema of a parameter.

    Raises:
        RequestError: 400 or 413, it is too large to be compiled while others wait.
    """
    if is_deep(schema):
        raise _refusal(name, f"a schema may be {DEEPEST} levels deep at most")
    check_size(name, schema)
    properties, remainders = 0, 1
    for key, value in _entries(schema):
        if key == "properties" and isinstance(value, dict):
            properties += len(value)
        if key in _REPEATS and isinstance(value, int | float) and value > MOST_REPEATS:
            raise _refusal(name, f"{key} may be {MOST_REPEATS} at most")
        if isinstance(value, list | dict) and len(value) > MOST_CHOICES:
            raise _refusal(name, f"{key} has {len(value)} entries: {MOST_CHOICES} are taken")
        if key == "multipleOf" and isinstance(value, int | float):
            remainders = math.lcm(remainders, _digits(value))
        for pattern in _patterns(key, value):
            if len(pattern) > LONGEST_PATTERN or written_out(pattern) > MOST_REPEATS:
                raise _refusal(name, "this pattern is too long, or repeats too often")
    if properties > MOST_PROPERTIES:
        raise _refusal(name, f"{properties} properties: {MOST_PROPERTIES} are taken")
    if remainders > MOST_REMAINDERS:
        raise _refusal(name, f"multipleOf: {MOST_REMAINDERS} is the most, zeros at the end and the point not counted")


def check_size(name: str, value: Any) -> None:
    """Check the size of a parameter with a schema.

    Raises:
        RequestError: 413.
    """
    if len(orjson.dumps(value)) > SCHEMA_BYTES:
        raise RequestError(413, f"{name} is larger than {SCHEMA_BYTES >> 10} KiB", param=name, code="request_too_large")


def written_out(pattern: str) -> int:
    """How many characters a regular expression has, about, if `a{3}` is written as `aaa`."""
    before: list[int] = []
    """Characters of each group that is open, up to the one within it."""
    total = last = 0
    for token in _PATTERN_TOKEN.finditer(pattern):
        if token[0] == "(":
            before.append(total)
            total = last = 0
        elif token[0] == ")" and before:
            last = total
            total += before.pop()
        elif token[1]:
            times = max(int(token[1]), int(token[3] or 0))
            total += last * max(times - 1, 0)
            last *= max(times, 1)
        else:
            last = 1
            total += 1
        if total > MOST_REPEATS or len(token[0]) > LONGEST_PATTERN:
            return MOST_REPEATS + 1
    return total + sum(before)


def _patterns(key: str, value: Any) -> list[str]:
    """The regular expressions of an entry of a schema."""
    if key == "pattern" and isinstance(value, str):
        return [value]
    return list(value) if key == "patternProperties" and isinstance(value, dict) else []


def _digits(number: float) -> int:
    """The digits of a number as a number: 25 of 0.25 and of 2500."""
    if not math.isfinite(number) or not number:
        return 1  # the compiler says what is wrong with it
    return int("".join(map(str, Decimal(repr(number)).normalize().as_tuple().digits)))


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _entries(child)


def _refusal(name: str, message: str) -> RequestError:
    return RequestError(400, f"{name}: {message}", param=name, code="invalid_parameter")
