"""Terms that a translation must keep or has set translations for, read from a file for the translation service.

The service knows what a glossary means and checks it; here the file alone is read, in the forms that the service's own
`--keep` takes: one term a line, a table (CSV, TSV) with the columns `term` and language codes, or JSON.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import orjson

from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MOST_BYTES = 4 << 20


def read_glossary(file: Path) -> list[Any]:
    """What a file lists, as requests to the service have it.

    Raises:
        UsageError: it cannot be read, or is not of one of the forms; the message says why.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise UsageError(f"--glossary {file}: is larger than {_MOST_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--glossary {file}: cannot be read: {error}") from error
    suffix = file.suffix.lower()
    if suffix == ".json":
        return _from_json(file, text)
    if suffix in (".csv", ".tsv"):
        try:
            return _from_table(file, text, "\t" if suffix == ".tsv" else ",")
        except csv.Error as error:
            raise UsageError(f"--glossary {file}: cannot be read: {error}") from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("# ")]


def _from_json(file: Path, text: str) -> list[Any]:
    try:
        listed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"--glossary {file}: is not JSON: {error}") from error
    if not isinstance(listed, list):
        raise UsageError(f"--glossary {file}: must hold a list")
    return listed


def _from_table(file: Path, text: str, delimiter: str) -> list[Any]:
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    names = [name.strip() for name in next(rows, [])]
    if not names or names[0].lower() != "term":
        raise UsageError(f"--glossary {file}: the first column must be named 'term', the others are language codes")
    return [
        {"term": row[0], "translations": _said(zip(names[1:], row[1:], strict=False))}
        for row in rows
        if row and row[0].strip()
    ]


def _said(cells: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {code: said for code, said in cells if code and said.strip()}
