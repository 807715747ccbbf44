"""Writes the report: the page as it was built, its data, and links to the thumbnails."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.endpoints.language_names import known_codes
from client.errors import BabelviewError
from client.ledger.edits import ENGLISH
from client.ledger.results import Results
from client.media.strips import read_strip
from client.media.thumbnail_folder import Thumbnails
from client.report.chunks import Chunks
from client.report.items import Schemas, item_of, language, report_id, row_of_strip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.media.strips import Strip
    from client.report.items import Item

FOLDER, INDEX = "report", "index.html"
"""Where the report of an output folder is, and its page."""
BUNDLE = Path(__file__).with_name("static")
"""The page as `scripts.build_report` made it."""
PER_CHUNK = 500
"""Files whose texts lie in one script: the first ones are there soon."""
PER_FOLDER = 1000
"""Thumbnails that lie in one folder."""


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
    named = copy_of or str(output.resolve())
    lies = page or (None if "://" in named else Path(named, FOLDER))
    page = page or output / FOLDER
    with Results(output, only_run=only_run) as results:
        page.mkdir(parents=True, exist_ok=True)
        for asset in sorted(BUNDLE.iterdir(), key=lambda path: path.name == INDEX):
            _copy(asset, page / asset.name)
        chunks = Chunks(page / "data")
        named = named.rstrip("/").rpartition("/")[2]
        chunks.finish({"title": named} | _core(results, output, page, lies, chunks))
    return page / INDEX


def _core(results: Results, output: Path, page: Path, lies: Path | None, chunks: Chunks) -> dict[str, Any]:
    """What the page reads first; the chunks that it names are written. `lies` is where the page is in the end."""
    thumbnails = Thumbnails(output)
    columns: dict[str, list[Any]] = {name: [] for name in ("id", "name", "kind", "duration", "flags", "thumbnail")}
    names: dict[str, list[str | None]] = {ENGLISH: []}
    schemas = Schemas()
    for items in _batches(results, lies, schemas):
        for item in items:
            strip = _link(thumbnails, item, page)
            row = (item.number, item.name, item.kind, item.duration_s, item.flags, row_of_strip(strip))
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
        number = len(names[ENGLISH])
        names[ENGLISH].append(chunks.write(f"{ENGLISH}-{number:03}", [item.details for item in items]))
        for code in dict.fromkeys(code for item in items for code in item.translations):
            earlier = names.setdefault(code, [])
            earlier += [None] * (number - len(earlier))
            texts = [item.translations.get(code, {}) for item in items]
            earlier.append(chunks.write(f"{_safe(code)}-{number:03}", texts))
    topics = results.topics()
    return {
        "report": report_id(results),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": metadata.version("babelview"),
        "stats": results.stats,
        "languages": [language(code) for code in names],
        "tasks": [{"key": topic.key, "task": topic.task, "question": topic.question} for topic in topics],
        "schemas": schemas.all(),
        "columns": results.columns(),
        "per_chunk": PER_CHUNK,
        "per_folder": PER_FOLDER,
        "chunks": names,
        "items": columns,
    }


def _batches(results: Results, page: Path | None, schemas: Schemas) -> Iterator[list[Item]]:
    """The files, as many at a time as there are in a chunk."""
    items: list[Item] = []
    for file in results.files():
        items.append(item_of(file, results, page, schemas))
        if len(items) == PER_CHUNK:
            yield items
            items = []
    if items:
        yield items


def _safe(code: str) -> str:
    """A language's code as a part of a file's name; what a translator that is not ours called it, else."""
    return code if code in known_codes() else "x" + sha256(code.encode()).hexdigest()[:8]


def _link(thumbnails: Thumbnails, item: Item, page: Path) -> Strip | None:
    """Lay the thumbnail of an item beside the page; None if there is none."""
    if not item.sha256 or (strip := read_strip(source := thumbnails.path(item.sha256))) is None:
        return None
    target = page / "thumbnails" / str(item.number // PER_FOLDER) / f"{item.number}.jpg"
    try:
        os.link(source, target)
    except FileExistsError:
        if not _is_same(source, target):
            target.unlink()
            _lay(source, target)
    except OSError:
        target.parent.mkdir(parents=True, exist_ok=True)
        _lay(source, target)
    return strip


def _lay(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def _is_same(source: Path, target: Path) -> bool:
    """Whether the target is a link to the source, or a copy of it."""
    try:
        first, second = source.stat(), target.stat()
    except OSError:
        return False
    return first.st_ino == second.st_ino or (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def _copy(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if not target.exists() or target.read_bytes() != data:
        target.write_bytes(data)
