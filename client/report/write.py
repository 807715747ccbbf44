"""Writes the report: the page as it was built, its data, and links to the packs of thumbnails."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from client.endpoints.language_names import known_codes
from client.errors import BabelviewError
from client.ledger.edits import ENGLISH
from client.ledger.results import Results
from client.media.thumbnail_folder import KeptThumbnails
from client.record import record_of
from client.report.chunks import Chunks
from client.report.items import Schemas, item_of, language, report_id
from client.report.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.ledger.results import FileResult
    from client.record import Record

FOLDER, INDEX = "report", "index.html"
"""Where the report of an output folder is, and its page."""
BUNDLE = Path(__file__).with_name("static")
"""The page as `scripts.build_report` made it."""
PER_CHUNK = 500
"""Files whose texts lie in one script: the first ones are there soon."""


def check_built() -> None:
    """Make sure that the page is there.

    Raises:
        BabelviewError: it was not built.
    """
    if not (BUNDLE / INDEX).is_file():
        raise BabelviewError(
            "the report's page is not built: run python -m scripts.build_report in Babelview's own folder, as make "
            "setup does; it fetches a few packages from npm"
        )


def write_report(output: Path, page: Path | None = None, *, only_run: bool = False, copy_of: str | None = None) -> Path:
    """Write the report of an output folder into `page` (default: `report` in it); gives the file to open.

    `copy_of`: the folder is a copy of this folder or URL, to which a page in it will be brought.

    Raises:
        BabelviewError: the page was not built; the ledger cannot be read.
        OSError: something cannot be written.
    """
    check_built()
    with Results(output, only_run=only_run) as results, writing_report(results, output, page, copy_of=copy_of) as add:
        for file in results.files():
            add(file, record_of(file, results))
    return (page or output / FOLDER) / INDEX


@contextmanager
def writing_report(
    results: Results, output: Path, page: Path | None = None, *, copy_of: str | None = None
) -> Iterator[Callable[[FileResult, Record], None]]:
    """Takes the files of an output folder's results, with their records, and writes the report as `write_report`.

    Raises:
        LedgerError: the ledger cannot be read.
        OSError: something cannot be written.
    """
    named = copy_of or str(output.resolve())
    lies = page or (None if "://" in named else Path(named, FOLDER))
    page = page or output / FOLDER
    page.mkdir(parents=True, exist_ok=True)
    for asset in sorted(BUNDLE.iterdir(), key=lambda path: path.name == INDEX):
        _copy(asset, page / asset.name)
    data = _Data(KeptThumbnails(output), page, lies)
    try:
        yield data.add
        data.finish(results, named.rstrip("/").rpartition("/")[2])
    except BaseException:
        data.discard()
        raise


class _Data:
    """The data of a page, as the files come."""

    def __init__(self, thumbnails: KeptThumbnails, page: Path, lies: Path | None) -> None:
        """`lies` is where the page is in the end; None: not on a disk."""
        self._lies = os.fsencode(lies.absolute()) if lies else None
        self._chunks = Chunks(page / "data")
        self._pictures = Pictures(thumbnails, page / "thumbnails")
        self._schemas = Schemas()
        columns = ("id", "name", "kind", "duration", "flags", "thumbnail", "pack", "place")
        self._columns: dict[str, list[Any]] = {name: [] for name in columns}
        self._names: dict[str, list[str | None]] = {ENGLISH: []}
        self._texts: dict[str, list[bytes]] = {ENGLISH: []}
        """By language, of the chunk that is not written yet: JSON of each file."""

    def add(self, file: FileResult, record: Record) -> None:
        """Take a file."""
        item = item_of(file, record, self._lies, self._schemas)
        picture = self._pictures.of(item.sha256) if item.sha256 else None
        row = (item.number, item.name, item.kind, item.duration_s, item.flags, *(picture or (None, None, None)))
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        count = len(self._texts[ENGLISH])
        self._texts[ENGLISH].append(orjson.dumps(item.details))
        for code, texts in item.translations.items():
            earlier = self._texts.setdefault(code, [])
            earlier += [b"{}"] * (count - len(earlier))
            earlier.append(orjson.dumps(texts))
        if count + 1 == PER_CHUNK:
            self._write_chunk()

    def _write_chunk(self) -> None:
        number, count = len(self._names[ENGLISH]), len(self._texts[ENGLISH])
        for code, texts in self._texts.items():
            earlier = self._names.setdefault(code, [])
            earlier += [None] * (number - len(earlier))
            rest = [b"{}"] * (count - len(texts))
            earlier.append(self._chunks.write(f"{_safe(code)}-{number:03}", [*texts, *rest]))
        self._texts = {ENGLISH: []}

    def discard(self) -> None:
        """Take away what was written, and is of no earlier report: this one came to no end."""
        self._chunks.discard()
        self._pictures.discard()

    def finish(self, results: Results, title: str) -> None:
        """Write what the page reads first, the last of all."""
        if self._texts[ENGLISH]:
            self._write_chunk()
        core = {
            "report": report_id(results),
            "title": title,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": metadata.version("babelview"),
            "stats": results.stats,
            "languages": [language(code) for code in self._names],
            "tasks": [{"key": it.key, "task": it.task, "question": it.question} for it in results.topics()],
            "schemas": self._schemas.all(),
            "columns": results.columns(),
            "per_chunk": PER_CHUNK,
            "packs": self._pictures.finish(),
            "chunks": self._names,
            "items": self._columns,
        }
        self._chunks.finish(core)


def _safe(code: str) -> str:
    """A language's code as a part of a file's name; what a translator that is not ours called it, else."""
    return code if code in known_codes() else "x" + sha256(code.encode()).hexdigest()[:8]


def _copy(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if not target.exists() or target.read_bytes() != data:
        target.write_bytes(data)
