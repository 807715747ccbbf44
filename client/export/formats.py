"""The formats that results can have."""

from __future__ import annotations

import importlib.util
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from client.errors import UsageError
from client.export import (
    csv_file,
    fiftyone,
    imagefolder,
    json_file,
    jsonl_file,
    label_studio,
    opensora_file,
    parquet_file,
    reference_file,
    subtitles,
    webdataset,
    xlsx_file,
)
from client.export.atomic import replacing
from client.export.captions import Choice
from client.export.sidecars import TXT
from client.export.xmp import XMP
from client.hints import did_you_mean, install
from client.ledger.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path


class Format(NamedTuple):
    """A format: the name of its file in the output folder, what writes it, and the package that that needs."""

    file: str
    write: Callable[[Results, IO[bytes]], None]
    package: str | None = None


class ToolFormat(NamedTuple):
    """A format of another tool, of any number of files: what writes it into the output folder, and gives its path."""

    write: Callable[[Results, Path, Choice], Path]
    package: str | None = None


FORMATS = {
    "json": Format("results.json", json_file.write),
    "jsonl": Format("results.jsonl", jsonl_file.write),
    "csv": Format("results.csv", csv_file.write),
    "parquet": Format("results.parquet", parquet_file.write, "pyarrow"),
    "xlsx": Format("results.xlsx", xlsx_file.write, "xlsxwriter"),
    "reference": Format("results_reference.json", reference_file.write),
}
"""Those that are one file."""
TOOLS = {
    "txt": ToolFormat(TXT.write),
    "xmp": ToolFormat(XMP.write),
    "imagefolder": ToolFormat(imagefolder.write),
    "webdataset": ToolFormat(webdataset.write),
    "opensora": ToolFormat(opensora_file.write),
    "label-studio": ToolFormat(label_studio.write),
    "fiftyone": ToolFormat(fiftyone.write),
}
"""Those that other tools open."""
NAMES = (*FORMATS, *subtitles.WRITERS, *TOOLS)


def check(formats: Collection[str]) -> None:
    """Make sure that all of these can be written.

    Raises:
        UsageError: there are none, one is unknown, or its package is missing.
    """
    if not formats:
        raise UsageError(f"--format: no format is named; there are: {', '.join(NAMES)}")
    for name in formats:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES)
            raise UsageError(f"--format: unknown format {name!r}{hint}; there are: {', '.join(NAMES)}")
        package = (FORMATS | TOOLS)[name].package if name in FORMATS | TOOLS else None
        if package and importlib.util.find_spec(package) is None:
            raise UsageError(f"--format {name} needs the package {package}: {install(name)}")


def export(
    folder: Path,
    formats: Iterable[str],
    stats: dict[str, Any] | None = None,
    *,
    only_run: bool = False,
    choice: Choice | None = None,
) -> list[Path]:
    """Write all that an output folder knows, in each format, from its ledger; `only_run`: the last run alone.

    While a run goes on, its `stats` stand for those that the ledger gets at the end; formats of other tools, which may
    be as many files as there are pictures, are left for the end then. `choice` is what these take.

    Raises:
        UsageError: there is nothing of that choice.
        LedgerError: the ledger cannot be read.
        OSError: a file cannot be written; an earlier one is as it was.
    """
    paths = []
    formats = list(formats)
    with Results(folder, only_run=only_run) as results:
        going = stats is not None
        results.stats = stats or results.stats
        for name in formats:
            if name in FORMATS:
                path = folder / FORMATS[name].file
                with replacing(path) as file:
                    FORMATS[name].write(results, file)
                paths.append(path)
            elif name in TOOLS and not going:
                paths.append(TOOLS[name].write(results, folder, choice or Choice()))
        if names := [name for name in formats if name in subtitles.WRITERS]:
            paths.append(subtitles.write(results, folder, names))
    return paths
