"""One child process in a process group of its own, writing to a log; nothing of it outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from server.supervision.logs import LogPipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from server.supervision.logs import PartLog

    Fork = Callable[[Mapping[str, str], int], Awaitable["Child | None"]]
    """Makes a child with this environment, and this file descriptor as both outputs; None: it cannot."""

ROOT = Path(__file__).resolve().parents[2]
"""Where our packages are, for `python -m`."""


def child_environment(env: Mapping[str, str], hidden: Collection[str] = ()) -> dict[str, str]:
    """The environment of a part: ours without what is `hidden`, `env` on top, and a safe path.

    Our packages come first on the path, and the current folder is not on it, in the part as in every Python process
    that it starts in turn: a user's own `server.py` there is not imported instead of our `server`.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep))))
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**inherited, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **env}


class Child(Protocol):
    """A child, as `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""

    async def wait(self) -> int:
        """Wait for its end; its exit code."""

    def terminate(self) -> None:
        """Send SIGTERM; a ProcessLookupError if it is gone."""


class Process:
    """A started child; its process group is all that it started in turn."""

    def __init__(self, process: Child, output: LogPipe) -> None:
        self._process = process
        self._output = output

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        hidden: Collection[str] = (),
        log: PartLog,
        pass_fds: Sequence[int] = (),
        fork: Fork | None = None,
    ) -> Process:
        """Start `command` in the environment of a part (`child_environment`), both its outputs going to `log`.

        Or have it forked, if that can be done.
        """
        log.begin()
        output = LogPipe(log)
        environment = child_environment(env, hidden)
        try:
            forked = await fork(environment, output.writing) if fork else None
            process = forked or await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.writing,
                stderr=output.writing,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        finally:
            output.started()
        return cls(process, output)

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
        """SIGKILL to the whole group, at once; returns when its last words are in the log."""
        kill_group(self.pid)
        await self._process.wait()
        await self._output.drain()


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
