"""The log of one part: lines from a pipe into a file that is rotated, as text or as JSON lines."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.policy import Policy

LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
LEVEL_WITHIN = 80
"""Characters at the beginning of a line in which its level stands."""
LONGEST_LINE = 1 << 20
TAIL_LINES = 20
DRAIN_S = 2.0


class PartLog:
    """Writes what a part says, and remembers the last lines of it."""

    def __init__(self, path: Path, policy: Policy, on_line: Callable[[str], None] | None = None) -> None:
        """`path` is begun anew, what it held is kept beside it; `on_line` is told every line."""
        self.path = path
        self._policy = policy
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._rest = b""
        self._file = RotatingFileHandler(
            path, maxBytes=policy.log_max_mib << 20, backupCount=policy.log_keep, encoding="utf-8"
        )
        if path.stat().st_size:
            self._file.doRollover()

    def tail(self) -> str:
        """The last lines since the latest start."""
        return "\n".join(self._tail)

    def begin(self) -> None:
        """The part is started (again): what comes now is of another life."""
        self._tail.clear()

    def feed(self, data: bytes) -> None:
        """Take a piece of output, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._write(line.decode(errors="replace").rstrip("\r"))

    def flush(self) -> None:
        """Write what came without an end of line."""
        if self._rest:
            self.feed(b"\n")

    def write_event(self, **content: object) -> None:
        """Write a line of our own; it is JSON whatever the policy says."""
        self._emit(orjson.dumps({"time": _now(), **content}).decode())

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._file.close()

    def _write(self, line: str) -> None:
        self._tail.append(line)
        self._emit(self._as_json(line) if self._policy.log_json else line)
        if self._on_line:
            self._on_line(line)

    def _as_json(self, line: str) -> str:
        level = LEVEL.search(line, 0, LEVEL_WITHIN)
        content: dict[str, object] = {"level": level[1] if level else "INFO", "message": line}
        if line.startswith("{"):
            with suppress(orjson.JSONDecodeError):
                content = orjson.loads(line)  # it speaks JSON itself
        return orjson.dumps({"time": _now(), "part": self.path.stem, **content}).decode()

    def _emit(self, text: str) -> None:
        self._file.handle(logging.makeLogRecord({"msg": text}))


class LogPipe:
    """A pipe into a log: its writing end is given to a process as its output.

    A pipe of our own and not asyncio's, whose `wait()` would wait for everybody who holds the writing end.
    """

    def __init__(self, log: PartLog) -> None:
        self._log = log
        self._ended = asyncio.Event()
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def started(self) -> None:
        """The process has its own copy of the writing end now."""
        os.close(self.writing)

    async def drain(self) -> None:
        """Wait until all has been read, or until it is plain that somebody keeps the pipe open."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), DRAIN_S)
        if not self._ended.is_set():
            self._close()
        self._log.flush()

    def _read(self) -> None:
        data = os.read(self._reading, 1 << 16)
        if data:
            self._log.feed(data)
        else:
            self._close()

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        self._ended.set()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
