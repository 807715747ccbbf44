"""`results.parquet`: a typed row for each file, for pandas, polars and DuckDB; needs pyarrow.

The columns are those of the CSV. Lists are lists; segments are JSON. What a manifest carries is text, and JSON where
it was not text. The statistics of the last run are in the file's metadata, as `babelview.stats`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import orjson

from client.export.table import Cell, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.ledger.results import Results
    from client.record import Record, TakeRecord

ROWS_AT_ONCE = 5000
"""A row group: few enough to be held in memory, enough to be read quickly."""


@contextmanager
def writing(results: Results, file: IO[bytes]) -> Iterator[TakeRecord]:
    """Takes a record at a time, and writes a row group at a time."""
    import pyarrow as pa  # noqa: PLC0415 (optional)
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        Cell.TEXT: pa.string(),
        Cell.LIST: pa.list_(pa.string()),
        Cell.WHOLE: pa.int64(),
        Cell.NUMBER: pa.float64(),
        Cell.TRUTH: pa.bool_(),
        Cell.ANY: pa.string(),
    }
    columns = columns_of(results)
    schema = pa.schema(
        [(column.name, types[column.cell]) for column in columns],
        metadata={"babelview.stats": orjson.dumps(results.stats)},
    )
    rows: list[Record] = []
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write_group() -> None:
            cells = {
                column.name: [_text(column.take(row)) if column.cell is Cell.ANY else column.take(row) for row in rows]
                for column in columns
            }
            writer.write_table(pa.table(cells, schema=schema))
            rows.clear()

        def add(record: Record) -> None:
            rows.append(record)
            if len(rows) == ROWS_AT_ONCE:
                write_group()

        yield add
        if rows:
            write_group()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
