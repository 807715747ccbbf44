"""The heartbeat of a process that may be silent for long: whether it lives, and how long its present step has taken.

A small file, mapped into the memory of the process. A thread writes the time into it twice a second, also while a step
of minutes runs; not while the process is stopped. Times are of `time.monotonic`, one clock for all processes.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEAT_EVERY_S = 0.5
_LAYOUT = struct.Struct("<qdqd")
"""Process id, time of the last beat, steps that have ended, when the present one began (0: there is none)."""


class Beat(NamedTuple):
    """What a heartbeat says."""

    pid: int
    at: float
    """When it was written."""
    steps: int
    """That have ended."""
    step_began: float
    """When the present step began; 0: there is none."""


class Heartbeat:
    """Writes the heartbeat of this process."""

    def __init__(self, prefix: str) -> None:
        """The file is `prefix`, a dot and the process id.

        Raises:
            OSError: it cannot be made.
        """
        self._steps, self._step_began = 0, 0.0
        file = os.open(f"{prefix}.{os.getpid()}", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(file, _LAYOUT.size)
            self._map = mmap.mmap(file, _LAYOUT.size)
        finally:
            os.close(file)
        self._write()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def step_begins(self) -> None:
        """A step begins."""
        self._step_began = time.monotonic()
        self._write()

    def step_ends(self) -> None:
        """It has ended."""
        self._step_began = 0.0
        self._steps += 1

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_EVERY_S)
            self._write()

    def _write(self) -> None:
        _LAYOUT.pack_into(self._map, 0, os.getpid(), time.monotonic(), self._steps, self._step_began)


def read_beats(prefix: Path) -> Iterator[Beat]:
    """What all processes say that write to `prefix`; those that have died as well."""
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        with suppress(OSError, struct.error):  # gone meanwhile, or not yet written
            yield Beat(*_LAYOUT.unpack(path.read_bytes()))


def write_beat(path: Path, beat: Beat) -> None:
    """Write what another process says, as it would itself."""
    path.write_bytes(_LAYOUT.pack(*beat))


def forget_beats(prefix: Path) -> None:
    """Remove what an earlier process left."""
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        path.unlink(missing_ok=True)
