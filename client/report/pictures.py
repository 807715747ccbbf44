"""The thumbnails of a page: links to the packs in which they were kept, beside it.

A page reads a pack as a script, all of it or nothing. So it gets a link only to one that is full: of any other, to
which a run may just be adding, and of one that holds something else, a copy of its whole lines. What older runs kept
in a file each goes into packs of the page's own.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from client.export.atomic import own_folder, replacing
from client.media.thumbnail_folder import PackWriter

if TYPE_CHECKING:
    from pathlib import Path

    from client.media.strips import Strip
    from client.media.thumbnail_folder import KeptThumbnails

_OWN = "single-"
_OURS = re.compile(r"(single-)?\d+\.js")
_EARLIER = "[0-9]*/[0-9]*.jpg"
"""What earlier versions laid there."""


class Picture(NamedTuple):
    """A thumbnail, as the page gets it."""

    strip: list[float]
    """The sizes of a tile, then the time of each."""
    pack: int
    """The place of its pack among all."""
    place: int
    """Its place in the pack."""


class Pictures:
    """Those of a page, as its files come."""

    def __init__(self, kept: KeptThumbnails, folder: Path) -> None:
        """`folder` is where the page looks for packs.

        Raises:
            OSError: it cannot be made, or written to.
        """
        self._kept, self._folder = kept, folder
        own_folder(folder)
        self._own = PackWriter(folder, _OWN)
        self.discard()
        self._singles: dict[str, Picture | None] = {}
        self._packs: dict[str, int] = {}
        """The names of packs, each with its place in the page's list of them."""
        self._kept_packs: dict[Path, int] = {}

    def discard(self) -> None:
        """Take away the packs of the page's own.

        Raises:
            OSError: one cannot be.
        """
        self._own.close()
        for path in self._folder.glob(f"{_OWN}*.js"):
            path.unlink(missing_ok=True)

    def of(self, sha256: str) -> Picture | None:
        """The thumbnail of a content; None if there is none.

        Raises:
            OSError: it cannot be copied.
        """
        if found := self._kept.packed(sha256):
            path, entry = found
            if (pack := self._kept_packs.get(path)) is None:
                pack = self._kept_packs[path] = self._packs.setdefault(path.stem, len(self._packs))
            return Picture(_row(entry.strip), pack, entry.number)
        if self._kept.has_singles and sha256 not in self._singles:
            self._singles[sha256] = self._copied(sha256)
        return self._singles.get(sha256)

    def _copied(self, sha256: str) -> Picture | None:
        if (thumbnail := self._kept.read(sha256)) is None:
            return None
        name, place = self._own.add({sha256: thumbnail})
        return Picture(_row(thumbnail.strip), self._packs.setdefault(name, len(self._packs)), place)

    def finish(self) -> list[str]:
        """Lay the packs beside the page, and take away those of earlier reports; gives the names of all.

        Raises:
            OSError: one cannot be laid.
        """
        self._own.close()
        for path in self._kept_packs:
            self._lay(path, self._folder / path.name)
        names = {f"{name}.js" for name in self._packs}
        for path in self._folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in names:
                path.unlink(missing_ok=True)
        for path in self._folder.glob(_EARLIER):
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()
        return list(self._packs)

    def _lay(self, pack: Path, target: Path) -> None:
        linked = _is_same(pack, target)
        if self._kept.is_done(pack):
            if linked:
                return
            with suppress(OSError):  # another disk, or one without links
                _link(pack, target)
                return
        with pack.open("rb") as source:
            lines = source.read(self._kept.whole_bytes[pack])
        if linked or not _holds(target, lines):
            with replacing(target, lasting=False) as file:
                file.write(lines)


def _row(strip: Strip) -> list[float]:
    return [strip.width, strip.height, *strip.times]


def _is_same(source: Path, target: Path) -> bool:
    try:
        return not target.is_symlink() and source.samefile(target)
    except OSError:
        return False


def _link(source: Path, target: Path) -> None:
    """Put a link in the place of what a page may just be reading."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.link(source, partial)
    partial.replace(target)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return not path.is_symlink() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
