"""Thumbnails beside the ledger, in packs that the report's page reads as they are: `.thumbnails/0.js`, `1.js`, ...

A pack is a script that only grows, one call a line:

    babelview.thumbnail(00009539,'SHA-256 of the file',[240,160,0.0],'JPEG in base64');

The length of the line in bytes comes first, so that a reader goes from one to the next; the list is the size of a tile
and the time of each. What a killed run leaves of its last line counts as nothing. As a page runs what is in a pack, and
a folder may come from anyone, each byte is checked: behind a line that is not exactly such a call nothing counts. Older
runs kept a file for each thumbnail, `.thumbnails/ab/abcd....jpg`, whose comment (COM) says what it holds; those are
read, too.
"""

from __future__ import annotations

import binascii
import errno
import json
import logging
import mmap
import os
import re
import struct
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple, Self

import orjson
import pybase64

from client.media.strips import Strip, Thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = ".thumbnails"
PACK_BYTES = 256 << 10
"""A pack that has more gets nothing more: a page that shows one of its thumbnails reads all of it."""
_LENGTH_DIGITS = 8
_HEAD = re.compile(rb"babelview\.thumbnail\((\d{%d}),'([0-9a-f]{64})',(\[[\d.,]+\]),'" % _LENGTH_DIGITS)
_TAIL = b"');\n"
_SINGLES = "[0-9a-f][0-9a-f]/*.jpg"
_SINGLE_START, _COMMENT = b"\xff\xd8", b"\xff\xfe"
_SINGLE_HEAD = struct.Struct(">2s2sH")
_MOST_COMMENT_BYTES = 2048


class Entry(NamedTuple):
    """A thumbnail in a pack."""

    sha256: str
    number: int
    """Its place among those of the pack, from 0."""
    strip: Strip
    begin: int
    end: int
    """Where its base64 is, in bytes."""


def pack_line(sha256: str, thumbnail: Thumbnail) -> bytes:
    """The line of a pack."""
    width, height, times = thumbnail.strip
    rest = b",'%b',%b,'%b%b" % (
        sha256.encode(),
        orjson.dumps([width, height, *times]),
        pybase64.b64encode(thumbnail.jpeg),
        _TAIL,
    )
    head = b"babelview.thumbnail("
    return b"%b%0*d%b" % (head, _LENGTH_DIGITS, len(head) + _LENGTH_DIGITS + len(rest), rest)


def entries_of(pack: Path) -> tuple[list[Entry], int]:
    """The thumbnails of a pack, and how many of its bytes they take: what is behind them is no line of `pack_line`."""
    found: list[Entry] = []
    at = 0
    with suppress(OSError, ValueError), pack.open("rb") as file, _mapped(file) as data:
        while head := _HEAD.match(data, at):
            end = at + int(head[1])
            begin, behind = head.end(), end - len(_TAIL)
            if behind < begin or data[behind:end] != _TAIL:
                break
            pybase64.b64decode(data[begin:behind], validate=True)  # a ValueError at a quote, and at all that is none
            width, height, *times = orjson.loads(head[3])
            strip = Strip(int(width), int(height), [float(time) for time in times])
            found.append(Entry(head[2].decode(), len(found), strip, begin, behind))
            at = end
    return found, at


def _mapped(file: IO[bytes]) -> mmap.mmap:
    """The bytes of a file, however large it is.

    Raises:
        ValueError: there are none.
    """
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _write_all(file: IO[bytes], data: bytes) -> None:
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PackWriter:
    """Appends thumbnails to new packs of a folder. May be used by several threads, and beside other processes."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        """Nothing is made before the first one is added; packs are called `prefix` and a number."""
        self._folder, self._prefix = folder, prefix
        self._number = self._size = self._count = 0
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def add(self, sha256: str, thumbnail: Thumbnail) -> tuple[str, int]:
        """Append one; gives the name of its pack, and its place in there, from 0.

        Raises:
            OSError: it cannot be written; nothing of it is.
        """
        line = pack_line(sha256, thumbnail)
        with self._lock:
            if self._file is None or self._size >= PACK_BYTES:
                self._close()
                self._file = self._new()
            try:
                _write_all(self._file, line)
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._size)
                self._close()
                raise
            self._size += len(line)
            self._count += 1
            return f"{self._prefix}{self._number}", self._count - 1

    def _new(self) -> IO[bytes]:
        while True:
            path = self._folder / f"{self._prefix}{self._number}.js"
            try:
                file = path.open("xb", buffering=0)
            except FileExistsError:
                self._number += 1
            except FileNotFoundError:
                self._folder.mkdir(parents=True, exist_ok=True)  # another process may just have made it
            else:
                self._size = self._count = 0
                return file

    def _close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None

    def close(self) -> None:
        """Close the pack; one that is added later begins another one."""
        with self._lock:
            self._close()


class Thumbnails:
    """Those of an output folder, to be added to. May be used by several threads."""

    def __init__(self, output: Path) -> None:
        """Nothing is read or made before it is needed."""
        self._folder = output / FOLDER
        self._packs = PackWriter(self._folder)
        self._known: set[bytes] | None = None
        self._lock = threading.Lock()

    def has(self, sha256: str) -> bool:
        """Whether there is one of a content."""
        with self._lock:
            if self._known is None:
                self._known = {bytes.fromhex(sha256) for sha256 in _kept(self._folder)}
            return bytes.fromhex(sha256) in self._known

    def keep(self, sha256: str, thumbnail: Thumbnail) -> None:
        """Keep the thumbnail of a content instead of an earlier one; one that cannot be written is only missing."""
        try:
            self._packs.add(sha256, thumbnail)
        except OSError as error:
            logger.warning("no thumbnail of %s: %s", sha256, error)
            return
        with self._lock:
            if self._known is not None:
                self._known.add(bytes.fromhex(sha256))

    def close(self) -> None:
        """Close the pack that is written to; it can be gone on with."""
        self._packs.close()

    def __enter__(self) -> Self:
        """Return itself, which the `with` closes."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the pack that is written to."""
        self.close()


class KeptThumbnails:
    """What was kept in an output folder, as it is now, to be read."""

    def __init__(self, output: Path) -> None:
        """Look into the packs."""
        self._folder = output / FOLDER
        self._entries: dict[str, tuple[Path, Entry]] = {}
        self.whole_bytes: dict[Path, int] = {}
        """Of each pack: how many of its bytes are whole lines."""
        self.has_singles = any(self._folder.glob(_SINGLES))
        """Whether there are thumbnails that are a file each."""
        for pack in packs_of(self._folder):
            entries, self.whole_bytes[pack] = entries_of(pack)
            self._entries.update({entry.sha256: (pack, entry) for entry in entries})

    def is_done(self, pack: Path) -> bool:
        """Whether all of a pack is whole lines, and nothing comes to it any more."""
        return pack.stat().st_size == self.whole_bytes[pack] >= PACK_BYTES

    def packed(self, sha256: str) -> tuple[Path, Entry] | None:
        """The pack of a content's thumbnail, and where it is in there."""
        return self._entries.get(sha256)

    def read(self, sha256: str) -> Thumbnail | None:
        """The thumbnail of a content; None where there is none, or it cannot be read."""
        if (found := self._entries.get(sha256)) is None:
            return read_single(self._folder, sha256)
        pack, entry = found
        try:
            with pack.open("rb") as file:
                file.seek(entry.begin)
                return Thumbnail(pybase64.b64decode(file.read(entry.end - entry.begin), validate=True), entry.strip)
        except (OSError, binascii.Error):
            return None

    def stamp(self, sha256: str) -> int | None:
        """What differs when a thumbnail was made anew; None where there is none."""
        if found := self._entries.get(sha256):
            pack, entry = found
            return int(pack.stem) << 32 | entry.begin
        with suppress(OSError):
            return _single(self._folder, sha256).stat().st_mtime_ns
        return None


def packs_of(folder: Path) -> list[Path]:
    """The packs of a folder, the oldest first."""
    return sorted((path for path in folder.glob("*.js") if path.stem.isdecimal()), key=lambda path: int(path.stem))


def _kept(folder: Path) -> Iterator[str]:
    """The contents that have a thumbnail in the folder."""
    for pack in packs_of(folder):
        yield from (entry.sha256 for entry in entries_of(pack)[0])
    yield from (path.stem for path in folder.glob(_SINGLES) if re.fullmatch("[0-9a-f]{64}", path.stem))


def _single(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / f"{sha256}.jpg"


def read_single(folder: Path, sha256: str) -> Thumbnail | None:
    """A thumbnail as older runs kept it; None where there is none, or it does not say what it holds."""
    try:
        jpeg = _single(folder, sha256).read_bytes()
        start, mark, length = _SINGLE_HEAD.unpack_from(jpeg)
        if (start, mark) != (_SINGLE_START, _COMMENT) or length > _MOST_COMMENT_BYTES:
            return None
        said = json.loads(jpeg[_SINGLE_HEAD.size : _SINGLE_HEAD.size + length - 2])
        strip = Strip(int(said["width"]), int(said["height"]), [float(time) for time in said["times"]])
    except (OSError, struct.error, ValueError, TypeError, KeyError):
        return None
    return Thumbnail(jpeg, strip) if strip.times and strip.width > 0 and strip.height > 0 else None
