"""Downloads: bytes that are written to a temporary file and hashed as they come."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
import time
from typing import TYPE_CHECKING, Self

from client.errors import MediaError
from client.media.kinds import HEAD_BYTES, Animated
from client.media.load import counted_as, recognise
from client.sources.source import Found, KnownSource, LocalFile, url_suffix

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SLOW_AFTER_S, SLOWEST = 60.0, 1000.0
"""Bytes a second, on average, that a download has to come with after the first minute."""


class Downloads:
    """A folder for files that are needed for moments only; what an earlier run left there goes."""

    def __init__(self, folder: Path, most_bytes: int, animated: Animated = Animated.VIDEO) -> None:
        """The folder is made with the first file; `most_bytes` is the size of the largest file that is taken.

        `animated` says of which kind pictures are that move.
        """
        self._folder, self.most_bytes, self._animated = folder, most_bytes, animated
        self._numbers = itertools.count()
        self.close()

    def begin(self, url: str, size: int | None) -> Download:
        """A new download; `size` in bytes, where it is told beforehand.

        Raises:
            MediaError: it is too large, or there is no place for it.
        """
        suffix = url_suffix(url)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{next(self._numbers)}{suffix}"
            return Download(path, suffix, self.most_bytes, size, self._animated)
        except OSError as error:
            raise MediaError(f"cannot be stored in {self._folder}: {error.strerror or error}") from error

    def close(self) -> None:
        """Remove the folder with all downloads."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Download:
    """One file on its way; gone again if anything goes wrong within the `with`."""

    def __init__(self, path: Path, suffix: str, most_bytes: int, size: int | None, animated: Animated) -> None:
        """Open `path` for writing; the other arguments are those of `Downloads.begin`, which calls this."""
        self._path, self._suffix, self._most, self._animated = path, suffix, most_bytes, animated
        self._check(size or 0)
        self._size, self._head, self._digest = 0, b"", hashlib.sha256()
        self._began = time.monotonic()
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        """Return the download, which the `with` ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; remove it if it is not whole."""
        with contextlib.suppress(OSError):  # a full disk, told before
            self._file.close()
        if error:
            self._path.unlink(missing_ok=True)

    def write(self, block: bytes) -> None:
        """The next bytes.

        Raises:
            MediaError: they are too many, come too slowly, or cannot be written.
        """
        self._size += len(block)
        self._check(self._size)
        seconds = time.monotonic() - self._began
        if seconds > SLOW_AFTER_S and self._size < SLOWEST * seconds:
            raise MediaError(f"the download is too slow: {self._size} bytes in {seconds:.0f} s")
        if len(self._head) < HEAD_BYTES:
            self._head += block[: HEAD_BYTES - len(self._head)]
        self._digest.update(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise MediaError(f"cannot be stored in {self._path.parent}: {error.strerror or error}") from error

    def found(self, fingerprint: str | None) -> Found:
        """What came, once it is all there.

        Raises:
            MediaError: it cannot be written.
        """
        try:
            self._file.close()
        except OSError as error:
            raise MediaError(f"cannot be stored in {self._path.parent}: {error.strerror or error}") from error
        identity = counted_as(recognise(self._head, self._digest.hexdigest(), self._suffix), self._path, self._animated)
        return Found(KnownSource(fingerprint, self._size, identity), LocalFile(self._path, temporary=True))

    def _check(self, size: int) -> None:
        if size > self._most:
            raise MediaError(f"larger than {self._most / 1e6:g} MB (--max-download-mb)")
