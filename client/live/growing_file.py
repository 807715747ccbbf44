"""A file that another program is writing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_S = 0.05
"""How often it is looked at."""


class GrowingFile:
    """Reads a file from its beginning, and waits at its end for more: an input of PyAV's, which cannot seek."""

    def __init__(self, path: Path, idle_s: float) -> None:
        """It ends when nothing was added for `idle_s`.

        Raises:
            OSError: it cannot be opened.
        """
        self.name = str(path)
        self._file = path.open("rb")
        self._idle_s = idle_s

    def read(self, size: int) -> bytes:
        """Up to so many bytes, as soon as there are any; none at its end."""
        since_s = time.monotonic()
        while not (found := self._file.read(size)) and time.monotonic() - since_s < self._idle_s:
            time.sleep(_LOOK_S)
        return found
