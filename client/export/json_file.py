"""`results.json`: `{"files": [record, ...], "stats": {...}}`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import orjson

from client.record import records

if TYPE_CHECKING:
    from client.ledger.results import Results


def write(results: Results, file: IO[bytes]) -> None:
    """Write it record by record, so that memory does not grow with their number."""
    file.write(b'{\n  "files": [')
    separator = b"\n    "
    for record in records(results):
        file.write(separator + _indented(record, 4))
        separator = b",\n    "
    file.write(b'\n  ],\n  "stats": ' + _indented(results.stats, 2) + b"\n}\n")


def _indented(value: dict[str, Any], spaces: int) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n" + b" " * spaces)
