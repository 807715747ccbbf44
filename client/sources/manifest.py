"""Manifests: lists of files and URLs, with further columns that are carried through to the results.

CSV (comma, semicolon, tab or bar between the values, whichever the first line holds most of) and TSV, with the names of
the columns in the first line; JSONL, an object a line.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
# fmt: off
COLUMNS = (
    "file", "path", "filename", "file_name", "filepath", "file_path", "url", "uri", "image", "video", "media",
    "image_file", "video_file", "image_path", "video_path", "image_url", "video_url",
)
# fmt: on
"""Where paths and URLs are looked for unless told, in this order; case does not matter."""
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_DELIMITERS = ",;\t|"
_LARGEST_FIELD = 1 << 27


def is_manifest(text: str) -> bool:
    """Whether a PATH is a list of files."""
    path = Path(text)
    return "://" not in text and path.suffix.lower() in SUFFIXES and path.is_file()


class Row(NamedTuple):
    """A line of a manifest."""

    uri: str
    """A path or URL, as it stands there."""
    columns: dict[str, Any]
    """The other columns."""


def read_manifest(path: Path, column: str | None) -> list[Row]:
    """Read a manifest; `column` is where the paths or URLs are, None to look for it.

    Raises:
        UsageError: it cannot be read, a line is broken, or it has no such column or no rows; the message says where.
    """
    try:
        text = _decode(path.read_bytes())
    except UnicodeDecodeError as error:
        raise UsageError(f"manifest {path}: it is not UTF-8: save it as that (spreadsheets: CSV UTF-8)") from error
    except OSError as error:
        raise UsageError(f"manifest {path}: {error.strerror or error}") from error
    lines = _json_lines(path, text) if path.suffix.lower() in _JSON_LINES else _csv_lines(path, text)
    rows: list[Row] = []
    for number, values in lines:
        chosen = _choose(path, column, values)
        uri = values.pop(chosen)
        if not isinstance(uri, str) or not uri.strip():
            raise UsageError(f"manifest {path}, line {number}: {chosen} holds no path or URL")
        rows.append(Row(uri.strip(), values))
    if not rows:
        raise UsageError(f"manifest {path}: it is empty")
    return rows


def _decode(content: bytes) -> str:
    # Spreadsheets write "Unicode text" as UTF-16, and UTF-8 with a mark before it.
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _choose(path: Path, column: str | None, values: dict[str, Any]) -> str:
    """The column of a row that holds its path or URL; if several may, the first that is not empty."""
    by_name = {name.lower(): name for name in reversed(values)}
    wanted = [column] if column else COLUMNS
    there = [name if name in values else by_name[name.lower()] for name in wanted if name.lower() in by_name]
    if there:
        return next((name for name in there if values[name]), there[0])
    known = ", ".join(values) or "none"
    if column:
        raise UsageError(f"manifest {path}: there is no column {column}; there are: {known}")
    raise UsageError(f"manifest {path}: which column holds the files? Say --column NAME; there are: {known}")


def _csv_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    first = text.lstrip().partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=first.count)
    csv.field_size_limit(_LARGEST_FIELD)
    # newline="" leaves line ends within quotes as they are.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(_filled(reader), [])]
        if len(set(names)) != len(names):
            raise UsageError(f"manifest {path}: two columns have the same name: {', '.join(names)}")
        for values in _filled(reader):
            if len(values) != len(names):
                raise UsageError(
                    f"manifest {path}, line {reader.line_num}: {len(values)} values, but {len(names)} columns"
                )
            yield reader.line_num, dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise UsageError(f"manifest {path}, line {reader.line_num}: {error}") from error


def _filled(lines: Iterable[list[str]]) -> Iterator[list[str]]:
    return (values for values in lines if any(value.strip() for value in values))


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = orjson.loads(line)  # strict: no half surrogates, which no output could hold
        except ValueError as error:
            raise UsageError(f"manifest {path}, line {number}: this is no JSON ({error})") from error
        if not isinstance(values, dict):
            raise UsageError(f"manifest {path}, line {number}: this is no JSON object, {{...}}")
        yield number, values
