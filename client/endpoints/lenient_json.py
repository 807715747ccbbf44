"""JSON as servers really send it: with a byte order mark, NaN, halves of surrogate pairs, bytes that are not UTF-8."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(content: bytes) -> Any:
    """The value of a JSON document; what is no character stands as U+FFFD.

    Raises:
        ValueError: it is none.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        return _whole(json.loads(content.decode(json.detect_encoding(content), "replace"), strict=False))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole(value: Any) -> Any:
    """The same without halves of surrogate pairs, which neither SQLite nor JSON can keep."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(inner) for name, inner in value.items()}
    return value
