"""`results_opensora.csv`: the table that Open-Sora's data sets are read from.

`path` and `text` come first; the others are those that its own tools add: `num_frames`, `height`, `width`,
`aspect_ratio` (height by width), `fps`, `resolution` (pixels). A text is one line. One that a spreadsheet would take
for a formula has a space before it, which changes nothing for who learns of it.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from client.export.atomic import replacing
from client.export.captions import captioned
from client.export.csv_file import FORMULA
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from client.export.captions import Choice
    from client.ledger.results import Results
    from client.record import Record

NAME = "results_opensora.csv"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


def write(results: Results, folder: Path, choice: Choice, left_out: Counter[str]) -> Path:
    """Write it row by row; gives its path.

    Raises:
        UsageError: there is no such caption.
        LedgerError: the ledger cannot be read.
        OSError: it cannot be written.
    """
    with replacing(folder / NAME) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "text", "num_frames", "height", "width", "aspect_ratio", "fps", "resolution"])
        for one in captioned(results, choice, left_out):
            if one.record["kind"] == Kind.AUDIO:
                left_out["of sound alone"] += 1
                continue
            path = _cell(str(one.path or one.uri))
            writer.writerow([path, _cell(_CONTROL.sub(" ", one.caption)), *_facts(one.record)])
        text.flush()
        text.detach()
    return folder / NAME


def _cell(text: str) -> str:
    return f" {text}" if FORMULA.match(text) else text


def _facts(record: Record) -> list[Any]:
    height, width = record.get("height"), record.get("width")
    shape = [round(height / width, 4), record.get("fps"), height * width] if height and width else [None] * 3
    return [record.get("frames") or 1, height, width, *shape]
