"""`results.jsonl`: one record a line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.ledger.results import Results
    from client.record import Record, TakeRecord


@contextmanager
def writing(results: Results, file: IO[bytes]) -> Iterator[TakeRecord]:
    """Takes a record at a time."""

    def add(record: Record) -> None:
        file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    yield add
