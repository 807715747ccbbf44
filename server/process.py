"""One child process in a process group of its own, writing to a log; nothing of it outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
"""Where our packages are, for `python -m`."""


class Process:
    """A started child; its process group is all that it started in turn."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        """Start `command` with `env` on top of our environment, both its outputs appended to `log`."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, "PYTHONPATH": path, **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the child itself to end; its exit code, negative for a signal."""
        return await self._process.wait()

    async def stop(self, grace_s: float) -> None:
        """SIGTERM to the child, which may end in order; within `grace_s`, SIGKILL to the whole group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL to the whole group, at once."""
        kill_group(self.pid)
        await self._process.wait()


def kill_group(group: int) -> None:
    """SIGKILL to a process group; nothing if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"it ended by itself with exit code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"


def log_tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, lines)).rstrip()
    except OSError as error:
        return f"(no log: {error})"


class Lifeline:
    """Kills the process groups named to it when the process that holds it ends, however it ends.

    A process of its own waits at the other end of a pipe: the kernel closes our end even after SIGKILL.
    `PR_SET_PDEATHSIG` would reach our children only, not theirs.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is removed with the groups."""
        self._folder = folder
        self._pipe: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("lifeline.py")),
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
        """This group must not outlive us."""
        self._say(f"+{group}\n")

    def release(self, group: int) -> None:
        """This group is gone; its number may be given to others."""
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        assert self._pipe is not None
        self._pipe.write(line.encode())
