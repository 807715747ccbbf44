"""`results.json`: `{"files": [record, ...], "stats": {...}}`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.ledger.results import Results
    from client.record import Record, TakeRecord


@contextmanager
def writing(results: Results, file: IO[bytes]) -> Iterator[TakeRecord]:
    """Takes a record at a time, so that memory does not grow with their number."""
    file.write(b'{\n  "files": [')
    separator = b"\n    "

    def add(record: Record) -> None:
        nonlocal separator
        file.write(separator + _indented(record, 4))
        separator = b",\n    "

    yield add
    file.write(b'\n  ],\n  "stats": ' + _indented(results.stats, 2) + b"\n}\n")


def _indented(value: dict[str, Any], spaces: int) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n" + b" " * spaces)
