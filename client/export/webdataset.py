"""`webdataset/00000.tar`, ...: shards for WebDataset, with the files themselves.

A sample is the picture or video, its caption (`.txt`) and its record (`.json`), of one name; what they are called says
nothing, as WebDataset takes a name apart at its first point. The same ledger and files make the same bytes.
"""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import orjson

from client.export.atomic import replacing
from client.export.captions import captioned
from client.export.places import stem_and_suffix

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path
    from typing import IO

    from client.export.captions import Captioned, Choice
    from client.ledger.results import Results

FOLDER = "webdataset"
SHARD_BYTES, SHARD_SAMPLES = 1_000_000_000, 10_000
"""What a shard holds at most, but for a sample that is larger."""
_OURS = ("txt", "json")


def write(results: Results, folder: Path, choice: Choice, left_out: Counter[str]) -> Path:
    """Write the shards; those of an earlier export go. Gives the folder.

    Raises:
        UsageError: there is no such caption.
        LedgerError: the ledger cannot be read.
        OSError: one cannot be written.
    """
    shards = _Shards(folder / FOLDER)
    with shards:
        for one in captioned(results, choice, left_out):
            if one.path is None:
                left_out["not on this machine"] += 1
                continue
            try:
                media = one.path.open("rb")
            except OSError as error:
                left_out[f"that cannot be read: {error.strerror or error}"] += 1
                continue
            with media:
                shards.add(one, media, one.path)
    shards.remove_others()
    return folder / FOLDER


class _Shards:
    """The shards, one of which is open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._tar: tarfile.TarFile | None = None
        self._shards = self._samples = self._bytes = self._all = 0

    def __enter__(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._stack.__enter__()

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, one: Captioned, media: IO[bytes], path: Path) -> None:
        """Write a sample."""
        size = os.fstat(media.fileno()).st_size
        full = self._samples == SHARD_SAMPLES or self._bytes + size > SHARD_BYTES
        if self._tar is None or (self._samples and full):
            self._tar = self._next()
        key = f"{self._all:09}"
        record = orjson.dumps(one.record)
        _add(self._tar, f"{key}.{_suffix(path)}", media, size)
        for suffix, content in (("txt", one.caption.encode(errors="replace")), ("json", record)):
            _add(self._tar, f"{key}.{suffix}", io.BytesIO(content), len(content))
        self._samples, self._bytes, self._all = self._samples + 1, self._bytes + size, self._all + 1

    def _next(self) -> tarfile.TarFile:
        self._stack.close()
        file = self._stack.enter_context(replacing(self._folder / f"{self._shards:05}.tar"))
        self._shards, self._samples, self._bytes = self._shards + 1, 0, 0
        return self._stack.enter_context(tarfile.open(fileobj=file, mode="w"))

    def remove_others(self) -> None:
        """Remove shards that this export did not write."""
        for path in self._folder.glob("?????.tar"):
            if path.stem.isdigit() and int(path.stem) >= self._shards:
                path.unlink()


def _suffix(path: Path) -> str:
    suffix = stem_and_suffix(path.name)[1].lower().lstrip(".")
    return suffix if suffix and suffix not in _OURS else "bin"


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    tar.addfile(entry, content)
