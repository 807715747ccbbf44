"""Settings as typed data: the base of their classes, and errors of TOML files that name the key and what is known."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from server.errors import ProfileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RENAMED = {"card": "sleep_group", "turns": "model_swap"}
"""Keys of earlier versions, and what they are called now."""

_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TYPE = re.compile(r"Expected `(.*?)`, got `.*`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")
_TYPES = {"array": "a list", "object": "a table"}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of settings: its fields are its keys, and `__post_init__` raises ValueError for a wrong value."""


Built = TypeVar("Built", bound=Settings)


def read_toml(path: Path, kind: type[Built]) -> Built:
    """Read a TOML file into settings.

    Raises:
        FileNotFoundError: there is no such file.
        ProfileError: it is not right; names the file, the key, and what would be right.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{path}: {error}") from error
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise ProfileError(f"{path}: {_in_words(str(error), data, kind)}") from error


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean X?` if a known word is close to the wrong one, whatever its case; else nothing."""
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(wrong.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def _in_words(message: str, data: Mapping[str, Any], kind: type[Settings]) -> str:
    """What msgspec says of a value, in the words of a TOML file: `engines[0].max_frames must be of type int`."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None
    what, path = match["what"], match["path"] or ""
    where, value, table = _follow(path, data, kind)
    prefix = f"{where}." if where else ""
    if unknown := _UNKNOWN.fullmatch(what):
        key, known = unknown[1], table.__struct_fields__ if table else ()
        if (new := RENAMED.get(key)) in known:
            return f"unknown key {prefix}{key}: it is called {new} now"
        return f"unknown key {prefix}{key} (known: {', '.join(known)}{did_you_mean(key, known)})"
    if missing := _MISSING.fullmatch(what):
        return f"missing key {prefix}{missing[1]}"
    if wrong := _TYPE.fullmatch(what):
        expected = wrong[1].partition(" | ")[0]
        return f"{where} must be {_TYPES.get(expected, f'of type {expected}')}, not {value!r}"
    return f"{where}: {what}" if where else what


def _follow(path: str, data: Any, kind: type[Settings]) -> tuple[str, Any, type[msgspec.Struct] | None]:
    """Where a path of msgspec's leads: the path as one writes it, the value there, and the settings that it holds."""
    where, value = "", data
    table: Any = msgspec.inspect.type_info(kind)
    for name, index, in_any in ((match[1], match[2], match[0] == "[...]") for match in _STEP.finditer(path)):
        if in_any:  # msgspec does not tell which key; the one whose value is of another type than text
            name = next((key for key, entry in value.items() if not isinstance(entry, str)), "")  # noqa: PLW2901
        if index is not None:
            where, value, table = f"{where}[{index}]", value[int(index)], getattr(table, "item_type", None)
        else:
            where, value = f"{where}.{name}".removeprefix("."), value[name]
            table = next((f.type for f in getattr(table, "fields", ()) if f.encode_name == name), None)
        table = next((t for t in getattr(table, "types", ()) if not isinstance(t, msgspec.inspect.NoneType)), table)
    return where, value, table.cls if isinstance(table, msgspec.inspect.StructType) else None
