"""`results.jsonl`: one record a line."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import orjson

from client.record import records

if TYPE_CHECKING:
    from client.ledger.results import Results


def write(results: Results, file: IO[bytes]) -> None:
    """Write it record by record."""
    for record in records(results):
        file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
