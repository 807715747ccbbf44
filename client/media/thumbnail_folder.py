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
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, NamedTuple, Self

import orjson
import pybase64

from client.media.strips import Strip, Thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = ".thumbnails"
PACK_BYTES = 1 << 20
"""A pack that has more gets nothing more: a page that shows one of its thumbnails reads all of it.

(To make a file, and later to lay it beside the page, takes as long as to write ten thumbnails.)"""
_LENGTH_DIGITS = 8
_CALL = b"babelview.thumbnail("
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


@dataclass(slots=True)
class OwnPack:
    """A pack that this process makes: who looks into it need not read it."""

    entries: list[Entry] = field(default_factory=list)
    """Where what is written is."""
    size: int = 0
    """In bytes, of what was written."""

    def entries_from(self, number: int) -> tuple[list[Entry], int]:
        """What was written from the one of that number on, and where it ends in the pack."""
        size = self.size
        return [entry for entry in self.entries[number:] if entry.end < size], size


def pack_line(sha256: str, thumbnail: Thumbnail) -> tuple[bytes, bytes, bytes]:
    """The line of a pack, in three parts, of which the second is the JPEG in base64."""
    width, height, times = thumbnail.strip
    jpeg = pybase64.b64encode(thumbnail.jpeg)
    rest = b",'%b',%b,'" % (sha256.encode(), orjson.dumps([width, height, *times]))
    length = len(_CALL) + _LENGTH_DIGITS + len(rest) + len(jpeg) + len(_TAIL)
    return b"%b%0*d%b" % (_CALL, _LENGTH_DIGITS, length, rest), jpeg, _TAIL


def entries_of(pack: Path, begin: int = 0, number: int = 0) -> tuple[list[Entry], int]:
    """The thumbnails of a pack, and where they end in it, in bytes: what is behind them is no line of `pack_line`.

    Args:
        pack: Its path.
        begin: Where to begin, in bytes.
        number: How many thumbnails are before that.
    """
    found: list[Entry] = []
    at = begin
    with suppress(OSError, ValueError), pack.open("rb") as file, _mapped(file) as data:
        while head := _HEAD.match(data, at):
            end = at + int(head[1])
            start, behind = head.end(), end - len(_TAIL)
            if behind < start or data[behind:end] != _TAIL:
                break
            pybase64.b64decode(data[start:behind], validate=True)  # a ValueError at a quote, and at all else
            width, height, *times = orjson.loads(head[3])
            strip = Strip(int(width), int(height), [float(time) for time in times])
            found.append(Entry(head[2].decode(), number + len(found), strip, start, behind))
            at = end
    return found, at


def _mapped(file: IO[bytes]) -> mmap.mmap:
    """The bytes of a file, however large it is.

    Raises:
        ValueError: there are none.
    """
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _write_all(file: IO[bytes], parts: Sequence[bytes], length: int) -> None:
    if os.writev(file.fileno(), parts) != length:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PackWriter:
    """Appends thumbnails to new packs of a folder. May be used by several threads, and beside other processes."""

    def __init__(self, folder: Path, prefix: str = "", *, remembers: bool = False) -> None:
        """Nothing is made before the first one is added; packs are called `prefix` and a number.

        `remembers` what is in them, in `made`.
        """
        self._folder, self._prefix, self._remembers = folder, prefix, remembers
        self._number, self._size, self._count = -1, 0, 0
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self.made: dict[str, OwnPack] = {}
        """The packs that it remembers, by the names of their files."""

    def add(self, thumbnails: Mapping[str, Thumbnail]) -> tuple[str, int]:
        """Append those of contents, by SHA-256; gives the name of their pack, and the place of the first, from 0.

        Raises:
            OSError: they cannot be written; nothing of them is.
        """
        lines = [pack_line(sha256, thumbnail) for sha256, thumbnail in thumbnails.items()]
        parts = [part for line in lines for part in line]
        length = sum(map(len, parts))
        with self._lock:
            if self._file is None or self._size >= PACK_BYTES:
                self._close()
                self._file = self._new()
                self._size = self._count = 0
            try:
                _write_all(self._file, parts, length)
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._size)
                self._close()
                raise
            if self._remembers:
                self._remember(thumbnails, lines)
            place = self._count
            self._size += length
            self._count += len(thumbnails)
            return f"{self._prefix}{self._number}", place

    def _remember(self, thumbnails: Mapping[str, Thumbnail], lines: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        pack, end = self.made[f"{self._prefix}{self._number}.js"], self._size
        for number, ((sha256, thumbnail), (head, jpeg, tail)) in enumerate(
            zip(thumbnails.items(), lines, strict=True), self._count
        ):
            begin = end + len(head)
            pack.entries.append(Entry(sha256, number, thumbnail.strip, begin, begin + len(jpeg)))
            end = begin + len(jpeg) + len(tail)
        pack.size = end  # the last of it: another thread may be looking

    def _new(self) -> IO[bytes]:
        while True:
            self._number += 1
            path = self._folder / f"{self._prefix}{self._number}.js"
            try:
                file = path.open("xb", buffering=0)
            except FileExistsError:
                continue
            except FileNotFoundError:
                self._folder.mkdir(parents=True, exist_ok=True)  # another process may just have made it
                self._number -= 1
            else:
                if self._remembers:
                    self.made[path.name] = OwnPack()
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

    def __init__(self, output: Path, *, remembers: bool = False) -> None:
        """Nothing is read or made before it is needed; `remembers` as of `PackWriter`."""
        self._folder = output / FOLDER
        self._packs = PackWriter(self._folder, remembers=remembers)
        self._known: set[bytes] | None = None
        self._lock = threading.Lock()

    def has(self, sha256: str) -> bool:
        """Whether there is one of a content."""
        with self._lock:
            if self._known is None:
                self._known = {bytes.fromhex(sha256) for sha256 in _kept(self._folder)}
            return bytes.fromhex(sha256) in self._known

    def keep(self, thumbnails: Mapping[str, Thumbnail]) -> None:
        """Keep those of contents, by SHA-256, instead of earlier ones; what cannot be written is only missing."""
        try:
            self._packs.add(thumbnails)
        except OSError as error:
            logger.warning("no thumbnail of %s: %s", ", ".join(thumbnails), error)
            return
        with self._lock:
            if self._known is not None:
                self._known.update(map(bytes.fromhex, thumbnails))

    @property
    def own_packs(self) -> Mapping[str, OwnPack]:
        """The packs that this process makes and remembers, by the names of their files; more come."""
        return self._packs.made

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
    """What was kept in an output folder, as it was when it was last looked at, to be read."""

    def __init__(self, output: Path, own: Mapping[str, OwnPack] | None = None) -> None:
        """Look into the packs; `own` are those that this process makes, and remembers."""
        self._folder, self._own = output / FOLDER, {} if own is None else own
        self._entries: dict[str, tuple[Path, Entry]] = {}
        self._counts: dict[Path, int] = {}
        self.whole_bytes: dict[Path, int] = {}
        """Of each pack: how many of its bytes are whole lines."""
        self.has_singles = any(self._folder.glob(_SINGLES))
        """Whether there are thumbnails that are a file each."""
        self.look()

    def look(self) -> None:
        """Look into the packs once more: what came to them since comes to what is known.

        Raises:
            OSError: they cannot be looked at.
        """
        for pack in packs_of(self._folder):
            known, count = self.whole_bytes.get(pack, 0), self._counts.get(pack, 0)
            if own := self._own.get(pack.name):
                entries, self.whole_bytes[pack] = own.entries_from(count)
            elif known and pack.stat().st_size == known:
                continue
            else:
                entries, self.whole_bytes[pack] = entries_of(pack, known, count)
            self._counts[pack] = count + len(entries)
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
    """The packs of a folder, the oldest first; links are none."""
    found = (path for path in folder.glob("*.js") if path.stem.isdecimal() and not path.is_symlink())
    return sorted(found, key=lambda path: int(path.stem))


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
