"""`results.json`: `{"files": [record, ...], "stats": {...}}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from client.export.atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from client.record import Record

NAME = "results.json"


def write(folder: Path, records: list[Record], stats: dict[str, Any]) -> Path:
    """Write the file; an earlier one stays as it was until the new one is complete.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / NAME
    content = {"files": records, "stats": stats}
    write_atomically(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path
