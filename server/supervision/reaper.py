"""Sees to it that no process of a stack outlives the supervisor, even one that is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Self

SCRIPT = Path(__file__).with_name("reaper_process.py")


class Reaper:
    """Kills the process groups named to it when the process that holds it ends, however it ends.

    A process of its own waits at the other end of a pipe: the kernel closes our end even after SIGKILL.
    `PR_SET_PDEATHSIG` would reach our children only, not theirs.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is removed when the groups are killed."""
        self._folder = folder
        self._pipe: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(SCRIPT)),
            str(self._folder),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._pipe = self._process.stdin
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._pipe is not None
        assert self._process is not None
        self._pipe.close()
        await self._process.wait()

    def hold(self, group: int) -> None:
        """Kill this process group when we end."""
        self._say(f"+{group}\n")

    def release(self, group: int) -> None:
        """Forget this process group: it is gone, and its number may be given to others."""
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        assert self._pipe is not None
        self._pipe.write(line.encode())
