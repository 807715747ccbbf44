"""Sentences with translations, read from JSON lines."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_pairs(path: Path) -> Iterator[dict[str, str]]:
    """The objects of a file with one JSON object a line, gzipped if it is called `.gz`."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
