"""Folders for what a process needs for moments only."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_HELD = ".held"
"""A file in the folder that is locked while its process lives, on whichever machine or in whichever container."""


class OwnFolder:
    """A new folder of this process in the system's temporary one, whose path is `path`."""

    def __init__(self, prefix: str) -> None:
        """Make it; those of the same prefix whose processes were killed are removed."""
        _remove_left(prefix)
        self.path = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
        self._held = _hold(self.path)

    def remove(self) -> None:
        """Remove it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def _hold(folder: Path) -> int:
    """Lock a file in it, which is found by its name only once it is locked; returns its descriptor."""
    new = folder / f"{_HELD}.new"
    file = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(OSError):  # a file system without locks: then nobody else removes the folder
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / _HELD)
    return file


def _remove_left(prefix: str) -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # it is held, gone, another user's, or cannot be locked
            file = os.open(left / _HELD, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(file)
