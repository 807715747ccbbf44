"""The formats that results can have."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from client.export import json_file
from client.export.atomic import replacing
from client.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Writer(Protocol):
    """Writes all results to a file."""

    def __call__(self, results: Results, file: IO[bytes], /) -> None:
        """Write them."""


class Format(NamedTuple):
    """A format: the name of its file in the output folder, and what writes it."""

    file: str
    write: Writer


FORMATS = {"json": Format("results.json", json_file.write)}


def export(folder: Path, formats: Iterable[str]) -> list[Path]:
    """Write the results of the last run in an output folder, in each format, from its ledger.

    Raises:
        LedgerError: the ledger cannot be read.
        OSError: a file cannot be written; an earlier one is as it was.
    """
    paths = []
    with Results(folder) as results:
        for name in formats:
            path = folder / FORMATS[name].file
            with replacing(path) as file:
                FORMATS[name].write(results, file)
            paths.append(path)
    return paths
