"""Manifests: lists of files and URLs, with further columns that are carried through to the results.

CSV (comma, semicolon, tab or bar between the values, whichever the first line holds most of) and TSV, with the names of
the columns in the first line; JSONL, an object a line.
"""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TextIO

import orjson

from client.errors import UsageError
from client.sources.source import public
from client.sources.stores import open_store

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
    if "://" in text:
        return not text.lower().startswith(("http://", "https://", "file://")) and has_suffix(text)
    return has_suffix(text) and Path(text).is_file()


def has_suffix(text: str) -> bool:
    """Whether a path or URL ends as those of manifests do."""
    return PurePosixPath(text).suffix.lower() in SUFFIXES


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
    return list(rows_of(path, column))


def rows_of(path: Path | str, column: str | None) -> Iterator[Row]:
    """The rows of a manifest, which may be of any size: a path, or the URL of an object in a store.

    Raises:
        UsageError: see `read_manifest`.
    """
    empty, shown = True, path if isinstance(path, Path) else public(path)
    suffix = PurePosixPath(path).suffix.lower()
    try:
        with _opened(path) as text:
            lines = _json_lines(shown, text) if suffix in _JSON_LINES else _csv_lines(shown, suffix, text)
            for number, values in lines:
                row = _row(shown, column, number, values)
                empty = False
                yield row
    except UsageError:
        raise
    except UnicodeDecodeError as error:
        raise UsageError(f"manifest {shown}: it is not UTF-8: save it as that (spreadsheets: CSV UTF-8)") from error
    except OSError as error:
        raise UsageError(f"manifest {shown}: {error.strerror or error}") from error
    except Exception as error:
        if isinstance(path, Path):
            raise
        # Drivers raise what they like: of a store that is not there, or takes a key.
        raise UsageError(f"manifest {shown}: {str(error) or type(error).__name__}") from error
    if empty:
        raise UsageError(f"manifest {shown}: it is empty")


def _opened(path: Path | str) -> TextIO:
    if isinstance(path, Path):
        file: IO[bytes] = path.open("rb")
    else:
        store, name = open_store(path)
        file = store.open(name, "rb")
    if not file.seekable():  # a pipe: `--manifest <(make-list)`
        with file as pipe:
            file = TemporaryFile()  # noqa: SIM115  # the caller closes it
            shutil.copyfileobj(pipe, file)
        file.seek(0)
    # Spreadsheets write "Unicode text" as UTF-16, and UTF-8 with a mark before it.
    encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    file.seek(0)
    lines = PurePosixPath(path).suffix.lower() in _JSON_LINES
    return io.TextIOWrapper(file, encoding, newline="\n" if lines else "")  # line ends within quotes stay as they are


def _row(path: Path | str, column: str | None, number: int, values: dict[str, Any]) -> Row:
    chosen = _choose(path, column, values)
    uri = values.pop(chosen)
    if not isinstance(uri, str) or not uri.strip():
        raise UsageError(f"manifest {path}, line {number}: {chosen} holds no path or URL")
    return Row(uri.strip(), values)


def _choose(path: Path | str, column: str | None, values: dict[str, Any]) -> str:
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


def _csv_lines(path: Path | str, suffix: str, text: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    first = next(filter(str.strip, text), "")
    text.seek(0)
    delimiter = "\t" if suffix == ".tsv" else max(_DELIMITERS, key=first.count)
    csv.field_size_limit(_LARGEST_FIELD)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
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


def _json_lines(path: Path | str, text: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            values = orjson.loads(line)  # strict: no half surrogates, which no output could hold
        except ValueError as error:
            raise UsageError(f"manifest {path}, line {number}: this is no JSON ({error})") from error
        if not isinstance(values, dict):
            raise UsageError(f"manifest {path}, line {number}: this is no JSON object, {{...}}")
        yield number, values
