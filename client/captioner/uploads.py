"""Uploads on the disk: a private folder, a folder in it for each request, bounded together, and gone in the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from client.errors import RejectedError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from client.captioner.config import Limits

RETRY_AFTER_S = 5
_LOCK, _REQUESTS = "captioner.lock", "requests"
"""The lock also tells a folder of ours from others, in which nothing may be removed."""


class Uploads:
    """The folder of all uploads."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        """Nothing is made or removed before it is opened."""
        self.folder, self._limits = folder, limits
        self.held_bytes = 0
        """Of all requests and jobs."""
        self._requests = folder / _REQUESTS
        self._lock: IO[bytes] | None = None

    def open(self) -> None:
        """Make the folder, and remove what a service that was killed left of its requests.

        Raises:
            UsageError: it cannot be used, it has files of others, or another service uses it.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self.folder / _LOCK).exists() and any(self.folder.iterdir()):
                raise UsageError(f"--folder {self.folder}: has other files; give a new or empty folder")
            self.folder.chmod(0o700)  # it may have been made by others, for all to read
            self._lock = (self.folder / _LOCK).open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self._requests, ignore_errors=True)
            self._requests.mkdir(mode=0o700)
        except BlockingIOError:
            raise UsageError(f"--folder {self.folder}: another captioner uses it; give each its own") from None
        except OSError as error:
            raise UsageError(f"--folder {self.folder}: cannot be used: {error.strerror or error}") from error

    def close(self) -> None:
        """Unlock it."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def check(self, size: int, had: int = 0) -> None:
        """Refuse what would not fit if it came now, to a request that `had` so many bytes before.

        Raises:
            RejectedError: 413, a request may not have so many bytes; 429, there is no room for them now.
        """
        if had + size > self._limits.upload_bytes:
            raise too_large(self._limits.upload_bytes)
        if self.held_bytes + size > self._limits.uploads_bytes:
            raise RejectedError(
                429,
                f"the captioner holds as many uploads as it may: try again in {RETRY_AFTER_S} s",
                code="rate_limit_exceeded",
                retry_after_s=RETRY_AFTER_S,
            )

    def request(self) -> Upload:
        """A folder for the files of one request, to be used with `with`."""
        return Upload(self, Path(tempfile.mkdtemp(dir=self._requests)))


class Upload:
    """The files of one request. They go at the end of the `with`, unless they were kept."""

    def __init__(self, uploads: Uploads, folder: Path, size: int = 0) -> None:
        """`size` bytes are in it already."""
        self._uploads, self.folder, self.size = uploads, folder, size
        uploads.held_bytes += size
        self._kept = False

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        if not self._kept:
            self.remove()

    def take(self, size: int) -> None:
        """Take room for `size` further bytes.

        Raises:
            RejectedError: as for `Uploads.check`.
        """
        self._uploads.check(size, self.size)
        self.give_back(-size)

    def give_back(self, size: int) -> None:
        """So many bytes are gone."""
        self.size -= size
        self._uploads.held_bytes -= size

    def keep(self, folder: Path) -> None:
        """Move the files to another folder of the same disk, from where `remove` takes them."""
        self.folder.rename(folder)
        self.folder, self._kept = folder, True

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.give_back(self.size)


def too_large(most: int) -> RejectedError:
    """More bytes than a request may have."""
    return RejectedError(413, f"the request is too large: at most {most >> 20} MiB are taken", code="request_too_large")


def held_in(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(
        entry.stat(follow_symlinks=False).st_size
        for path, _, names in os.walk(folder)
        for entry in map(Path(path).joinpath, names)
    )
