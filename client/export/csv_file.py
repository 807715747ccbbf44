"""`results.csv`: a row for each file, made for spreadsheets.

UTF-8 with the mark by which Excel knows it, commas, CRLF line ends, quotes where they are needed (RFC 4180). Lists are
joined by `; `. A text that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line end) has an
apostrophe before it, as OWASP advises: pictures can make a model say anything. So that the texts can be had back, one
that begins with apostrophes and then such a character gets one more: take away one apostrophe from what matches
`GUARDED`, or use another format.
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import orjson

from client.export.table import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.ledger.results import Results
    from client.record import Record, TakeRecord

FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 (full-width signs count too)
GUARDED = re.compile(f"'{FORMULA.pattern}")
"""What a guarded cell looks like."""


@contextmanager
def writing(results: Results, file: IO[bytes]) -> Iterator[TakeRecord]:
    """Takes a record at a time."""
    columns = columns_of(results)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow([_cell(column.name) for column in columns])

    def add(record: Record) -> None:
        writer.writerow([_cell(column.take(record)) for column in columns])

    yield add
    text.detach()  # flushes, and leaves the file open


def _cell(value: Any) -> Any:
    if isinstance(value, bool | dict):
        return orjson.dumps(value).decode()
    if isinstance(value, list):
        simple = all(isinstance(item, str) for item in value)
        value = "; ".join(value) if simple else orjson.dumps(value).decode()
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value
