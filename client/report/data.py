"""What the page shows, as the files of a folder come: its columns, its texts in scripts, its thumbnails.

While a run goes on the page is written again and again. What is finished does not change any more, so that a script of
which all files are is made once, as is one of files that nothing was done about yet.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import metadata
from typing import TYPE_CHECKING, Any

import orjson

from client.endpoints.language_names import known_codes
from client.ledger.edits import ENGLISH
from client.media.thumbnail_folder import KeptThumbnails
from client.report.chunks import Chunks
from client.report.items import Schemas, item_of, language, report_id
from client.report.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from client.ledger.results import FileResult, Results
    from client.media.thumbnail_folder import OwnPack
    from client.record import Record

PER_CHUNK = 500
"""Files whose texts lie in one script: the first ones are there soon."""
AT_ONCE = 32
"""Files that are made ready together: so few, so soon after they were read, that no new memory is taken for them."""
_COLUMNS = ("id", "name", "kind", "duration", "flags", "thumbnail", "pack", "place")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The files of a script: their rows, and the names of the scripts by language."""

    files: list[int]
    rows: list[tuple[Any, ...]]
    names: dict[str, str]


@dataclass(slots=True)
class _Growing:
    """A script that is not full yet: as of `_Chunk`, and the texts of its files by language."""

    files: list[int] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    texts: dict[str, list[bytes]] = field(default_factory=lambda: {ENGLISH: []})


@dataclass(slots=True)
class _Shown:
    """What is in the page that is just being written."""

    waiting: list[tuple[FileResult, Record]] = field(default_factory=list)
    """Files that are not in a script yet."""
    growing: _Growing = field(default_factory=_Growing)
    chunks: list[_Chunk] = field(default_factory=list)


class PageData:
    """The data of a page, which may be written several times: each time all files come, and then the end."""

    def __init__(
        self,
        output: Path,
        page: Path,
        lies: Path | None,
        own_packs: Mapping[str, OwnPack] | None,
        *,
        takes_changes: bool,
    ) -> None:
        """`lies` is where the page is in the end; None: not on a disk. `own_packs` as of `KeptThumbnails`.

        Where nothing can be brought into the ledger the page `takes_changes` from nobody.
        """
        self._takes_changes = takes_changes
        self._lies = os.fsencode(lies.absolute()) if lies else None
        self._thumbnails = KeptThumbnails(output, own_packs)
        self._chunks = Chunks(page / "data")
        self._pictures = Pictures(self._thumbnails, page / "thumbnails")
        self._schemas = Schemas()
        self._lasting: dict[int, _Chunk] = {}
        """By their numbers, chunks that stay as they are as long as they are about the same files in the same state."""
        self._topics: list[str] = []
        self._run = 0
        self._shown = _Shown()
        self.spent_s = 0.0
        """CPU seconds, of the threads that wrote."""

    def begin(self, results: Results) -> None:
        """Write it once more, for results that are open: what was decoded for these is kept already.

        Raises:
            LedgerError: the ledger cannot be read.
            OSError: the thumbnails cannot be looked at.
        """
        topics = [topic.key for topic in results.topics()]
        if topics != self._topics:  # files may say the same under other keys
            self._topics, self._lasting = topics, {}
        self._run = results.last_run
        self._thumbnails.look()
        self._shown = _Shown()

    def add(self, file: FileResult, record: Record) -> None:
        """Take a file.

        Raises:
            OSError: something cannot be written.
        """
        shown = self._shown
        shown.waiting.append((file, record))
        is_full = len(shown.growing.files) + len(shown.waiting) == PER_CHUNK
        # Where there is a script of an earlier time, it takes all of its files to know whether that one still stands.
        if is_full or (len(shown.waiting) >= AT_ONCE and len(shown.chunks) not in self._lasting):
            began = time.thread_time()
            if is_full:
                self._end_chunk()
            else:
                self._make()
            self.spent_s += time.thread_time() - began

    def _end_chunk(self) -> None:
        """What waits is the end of a script: write it, unless it is there."""
        shown, number = self._shown, len(self._shown.chunks)
        chunk = self._lasting.get(number)
        if (
            chunk is None
            or chunk.files != [self._state(file) for file, _ in shown.waiting]
            or not self._chunks.keep(chunk.names.values())
        ):
            self._make()
            chunk = self._written(number, shown.growing)
            if 0 not in chunk.files:
                self._lasting[number] = chunk
        shown.chunks.append(chunk)
        shown.waiting, shown.growing = [], _Growing()

    def _state(self, file: FileResult) -> int:
        """What tells whether a file's part of the page may have changed: 0: that is always so.

        Of one that the run has finished its number, and of one that it did nothing about yet the same below 0. Those of
        earlier runs may have the content of a file that is just asked about.
        """
        if file.run != self._run:
            return 0
        if file.finished:
            return file.number
        return 0 if file.sha256 or file.problem else -file.number

    def _make(self) -> None:
        """Make what the page gets of the files that wait."""
        growing = self._shown.growing
        rows, texts = growing.rows, growing.texts
        for file, record in self._shown.waiting:
            item = item_of(file, record, self._lies, self._schemas)
            if not self._takes_changes:
                item.details.pop("editable", None)
            picture = self._pictures.of(item.sha256) if item.sha256 else None
            for code, said in item.translations.items():
                earlier = texts.setdefault(code, [])
                earlier += [b"{}"] * (len(rows) - len(earlier))
                earlier.append(orjson.dumps(said))
            texts[ENGLISH].append(orjson.dumps(item.details))
            growing.files.append(self._state(file))
            rows.append(
                (item.number, item.name, item.kind, item.duration_s, item.flags, *(picture or (None, None, None)))
            )
        self._shown.waiting = []

    def _written(self, number: int, growing: _Growing) -> _Chunk:
        """Write the scripts of files."""
        files, rows, texts = growing.files, growing.rows, growing.texts
        names = {
            code: self._chunks.write(f"{_safe(code)}-{number:03}", said + [b"{}"] * (len(rows) - len(said)))
            for code, said in texts.items()
        }
        return _Chunk(files, rows, names)

    def discard(self) -> None:
        """Take away what was written, and is of no earlier report: this one came to no end."""
        self._chunks.discard()
        self._pictures.discard()

    def finish(self, results: Results, title: str) -> None:
        """Write what the page reads first, the last of all.

        Raises:
            LedgerError: the ledger cannot be read.
            OSError: something cannot be written.
        """
        began = time.thread_time()
        if self._shown.waiting or self._shown.growing.files:
            self._end_chunk()
        chunks = self._shown.chunks
        languages = dict.fromkeys([ENGLISH, *(code for chunk in chunks for code in chunk.names)])
        columns = zip(*(row for chunk in chunks for row in chunk.rows), strict=True)
        core = {
            "report": report_id(results),
            "title": title,
            "takes_changes": self._takes_changes,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": _version(),
            "stats": results.stats,
            "languages": [language(code) for code in languages],
            "tasks": [{"key": it.key, "task": it.task, "question": it.question} for it in results.topics()],
            "schemas": self._schemas.all(),
            "columns": results.columns(),
            "per_chunk": PER_CHUNK,
            "packs": self._pictures.finish(),
            "chunks": {code: [chunk.names.get(code) for chunk in chunks] for code in languages},
            "items": dict.fromkeys(_COLUMNS, ()) | dict(zip(_COLUMNS, columns, strict=False)),
        }
        self._chunks.finish(core)
        self._shown = _Shown()
        self.spent_s += time.thread_time() - began


@cache
def _version() -> str:
    """Ours; `metadata.version` parses our whole README for it, in some milliseconds."""
    package = metadata.distribution("babelview")
    found = re.search(r"^Version: (\S+)$", package.read_text("METADATA") or "", re.MULTILINE)
    return found[1] if found else package.version


def _safe(code: str) -> str:
    """A language's code as a part of a file's name; what a translator that is not ours called it, else."""
    return code if code in known_codes() else "x" + sha256(code.encode()).hexdigest()[:8]
