"""`imagefolder/`, `videofolder/` and `audiofolder/`: what `load_dataset` of Hugging Face's datasets opens.

Each holds `metadata.jsonl`, a row for each file, and links to the files themselves. A row has `file_name`, `text` (the
caption), and the columns of the table. So that the types of all rows are the same, texts are never null.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import orjson

from client.export.atomic import replacing
from client.export.captions import as_text, captioned
from client.export.linked import LinkedFolder
from client.export.table import Cell, columns_of
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from client.export.captions import Choice
    from client.export.table import Column
    from client.ledger.results import Results
    from client.record import Record

METADATA = "metadata.jsonl"
FOLDERS = {Kind.IMAGE: "imagefolder", Kind.VIDEO: "videofolder", Kind.AUDIO: "audiofolder"}
_TAKEN = re.compile(r"image|video|audio|text|(?:.*_)?file_names?")
"""Columns that mean something to datasets, or are ours: a manifest must not name a file with one."""


def write(results: Results, folder: Path, choice: Choice, left_out: Counter[str]) -> Path:
    """Write them, as far as there are files of the kind; gives the output folder.

    Raises:
        UsageError: there is no such caption.
        LedgerError: the ledger cannot be read.
        OSError: it cannot be written.
    """
    columns = columns_of(results)
    open_folders: dict[Kind, tuple[LinkedFolder, IO[bytes]]] = {}
    with ExitStack() as stack:
        for one in captioned(results, choice, left_out):
            if one.path is None:
                left_out["not on this machine"] += 1
                continue
            kind = Kind(one.record["kind"])
            if kind not in open_folders:
                (folder / FOLDERS[kind]).mkdir(exist_ok=True)
                file = stack.enter_context(replacing(folder / FOLDERS[kind] / METADATA))
                open_folders[kind] = LinkedFolder(folder / FOLDERS[kind]), file
            links, file = open_folders[kind]
            row = {"file_name": links.add(one.record["sha256"], one.path), "text": one.caption}
            file.write(orjson.dumps(row | _cells(one.record, columns), option=orjson.OPT_APPEND_NEWLINE))
        for links, _ in open_folders.values():
            links.finish()
    return folder / next((FOLDERS[kind] for kind in open_folders), "")


def _cells(record: Record, columns: list[Column]) -> dict[str, Any]:
    return {_name(column.name): _cell(column, record) for column in columns}


def _name(name: str) -> str:
    return f"{name}_" if _TAKEN.fullmatch(name) else name


def _cell(column: Column, record: Record) -> Any:
    value = column.take(record)
    return value if column.cell in (Cell.WHOLE, Cell.NUMBER, Cell.TRUTH) else as_text(value)
