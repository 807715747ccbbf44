"""`results.xlsx`: the table for Excel and the like; needs XlsxWriter.

Texts are written as texts, never as formulas, links or numbers. A cell holds 32,767 UTF-16 characters: of a longer text
its beginning, and how long it is. What fits on no sheet goes on to the next.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from client.errors import UsageError
from client.export.captions import as_text
from client.export.table import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.export.table import Column
    from client.ledger.results import Results
    from client.record import Record, TakeRecord

CELL, ROWS, COLUMNS = 32_767, 1_048_576, 16_384
"""What Excel allows: characters in a cell, and cells on a sheet."""
_WIDTHS = {"file": 40, "kind": 8}
_WIDTH = 24
"""Of a column, in characters."""
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@contextmanager
def writing(results: Results, file: IO[bytes]) -> Iterator[TakeRecord]:
    """Takes a record at a time.

    Raises:
        UsageError: it has more columns than a sheet.
    """
    import xlsxwriter  # noqa: PLC0415 (optional)

    columns = columns_of(results)
    if len(columns) > COLUMNS:
        raise UsageError(f"--format xlsx: {len(columns):,} columns do not fit on a sheet, which has {COLUMNS:,}")
    workbook = xlsxwriter.Workbook(file, {"constant_memory": True})
    sheet, row = _sheet(workbook, columns), 1

    def add(record: Record) -> None:
        nonlocal sheet, row
        if row == ROWS:
            sheet, row = _sheet(workbook, columns), 1
        for number, column in enumerate(columns):
            _write(sheet, row, number, column.take(record))
        row += 1

    yield add
    workbook.close()


def _sheet(workbook: Any, columns: list[Column]) -> Any:
    """A sheet with the names of the columns, which stay in sight."""
    sheet, bold = workbook.add_worksheet(), workbook.add_format({"bold": True})
    sheet.freeze_panes(1, 1)
    for number, column in enumerate(columns):
        sheet.set_column(number, number, _WIDTHS.get(column.name, _WIDTH))
        sheet.write_string(0, number, _cell(column.name), bold)
    return sheet


def _write(sheet: Any, row: int, column: int, value: Any) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value)
    elif value is not None:
        sheet.write_string(row, column, _cell(as_text(value)))


def _cell(text: str) -> str:
    text = _UNWRITABLE.sub(" ", text)
    length = len(text.encode("utf-16-le")) // 2
    if length <= CELL:
        return text
    note = f" … ({len(text):,} characters)"
    kept = text.encode("utf-16-le")[: 2 * (CELL - len(note))].decode("utf-16-le", errors="ignore")
    return kept + note
