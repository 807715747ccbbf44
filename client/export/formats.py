"""The formats that results can have."""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from contextlib import ExitStack
from functools import partial
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
from client.record import record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from client.ledger.results import FileResult
    from client.record import Record, TakeRecord

    TakeFile = Callable[[FileResult, Record], None]
    Open = Callable[[Results], AbstractContextManager[TakeFile]]

logger = logging.getLogger(__name__)


class Format(NamedTuple):
    """A format: the name of its file in the output folder, what writes it as records come, and the package it needs."""

    file: str
    writing: Callable[[Results, IO[bytes]], AbstractContextManager[TakeRecord]]
    package: str | None = None


class ToolFormat(NamedTuple):
    """A format of another tool, of any number of files: what writes it into the output folder, and gives its path."""

    write: Callable[[Results, Path, Choice, Counter[str]], Path]
    """Counts why files are left out, by the words that follow "3 files"."""
    package: str | None = None


FORMATS = {
    "json": Format("results.json", json_file.writing),
    "jsonl": Format("results.jsonl", jsonl_file.writing),
    "csv": Format("results.csv", csv_file.writing),
    "parquet": Format("results.parquet", parquet_file.writing, "pyarrow"),
    "xlsx": Format("results.xlsx", xlsx_file.writing, "xlsxwriter"),
    "reference": Format("results_reference.json", reference_file.writing),
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
    also: Sequence[Open] = (),
) -> list[Path]:
    """Write all that an output folder knows, in each format, from its ledger; `only_run`: the last run alone.

    Records are made once for all; `also` open what else takes them, to be looked at and not changed. What cannot be
    written costs only itself: the rest is there when the error is raised, the first of several.

    While a run goes on, its `stats` stand for those that the ledger gets at the end; formats of other tools, which may
    be as many files as there are pictures, are left for the end then. `choice` is what these take.

    Raises:
        UsageError: there is nothing of that choice.
        LedgerError: the ledger cannot be read.
        OSError: a file cannot be written; an earlier one is as it was.
    """
    formats = list(dict.fromkeys(formats))
    left_out: Counter[str] = Counter()
    with Results(folder, only_run=only_run) as results:
        going = stats is not None
        results.stats = stats or results.stats
        paths, parts = _in_one_go(results, folder, [name for name in formats if name in FORMATS], also)
        if not going:
            tools = [TOOLS[name] for name in formats if name in TOOLS]
            parts += [partial(_write_tool, tool, results, folder, choice, left_out) for tool in tools]
        if names := [name for name in formats if name in subtitles.WRITERS]:
            parts.append(lambda: [subtitles.write(results, folder, names)])
        errors: list[Exception] = []
        for write in parts:
            try:
                paths += write()
            except Exception as error:  # noqa: BLE001  # whatever it is: it is raised after the rest
                errors.append(error)
    for why, count in left_out.items():
        logger.warning("left out: %d file%s %s", count, "" if count == 1 else "s", why)
    for other in errors[1:]:
        logger.warning("not written either: %s", other)
    if errors:
        raise errors[0]
    return paths


def _in_one_go(
    results: Results, folder: Path, formats: Sequence[str], also: Sequence[Open]
) -> tuple[list[Path], list[Callable[[], list[Path]]]]:
    """Write what takes records; gives the files, and, where that failed, what writes each of them alone instead."""
    alone: list[Callable[[], list[Path]]] = [
        *(partial(_write_records, results, folder, [name], ()) for name in formats),
        *(partial(_write_records, results, folder, (), [open_]) for open_ in also),
    ]
    if len(alone) == 1:
        return [], alone
    try:
        return _write_records(results, folder, formats, also), []
    except Exception as error:  # noqa: BLE001  # whatever it is: what it is about raises it again
        logger.info("results are written one by one: %s", error)
        return [], alone


def _write_tool(
    tool: ToolFormat, results: Results, folder: Path, choice: Choice | None, left_out: Counter[str]
) -> list[Path]:
    """Write a format of another tool; what several of them leave out for the same reason is counted once."""
    own: Counter[str] = Counter()
    try:
        return [tool.write(results, folder, choice or Choice(), own)]
    finally:
        left_out |= own


def _write_records(
    results: Results,
    folder: Path,
    formats: Sequence[str],
    also: Sequence[Open],
) -> list[Path]:
    """Write those formats that are one file each, and what else takes records, in one go: an error ends all."""
    paths: list[Path] = []
    takers: list[TakeRecord] = []
    with ExitStack() as stack:
        others = [stack.enter_context(open_(results)) for open_ in also]  # first, as what is first ends last
        for name in formats:
            path = folder / FORMATS[name].file
            file = stack.enter_context(replacing(path))
            takers.append(stack.enter_context(FORMATS[name].writing(results, file)))
            paths.append(path)
        if takers or others:
            for result in results.files():
                record = record_of(result, results)
                for take in takers:
                    take(record)
                for take_file in others:
                    take_file(result, record)
    return paths
