"""Parts that import the same for seconds are forked from one process that has imported it, at each of their starts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import orjson

from server.errors import ForkError
from server.supervision import fork_server_process
from server.supervision.part import PYTHON
from server.supervision.process import kill_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.supervision.part import Forked
    from server.supervision.reaper import Reaper

LONGEST_IMPORT_S = 300.0
LONGEST_FORK_S = 30.0
"""How long a part waits to be forked while all is imported, and once it is; then it is started by its command."""
TOLD_WITHIN_S = 5.0
"""After which the end of a part counts as a kill if nothing is told of it."""
_LONGEST_ANSWER = 1 << 10
"""In bytes."""


class Child:
    """A forked process, as `asyncio.subprocess.Process` would have it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        code: int | None = self.ended.result() if self.ended.done() else None
        return code

    async def wait(self) -> int:
        """Wait for it to end; its exit code."""
        code: int = await asyncio.shield(self.ended)
        return code

    def terminate(self) -> None:
        """Send SIGTERM.

        Raises:
            ProcessLookupError: it is gone.
        """
        os.kill(self.pid, signal.SIGTERM)


class ForkServer:
    """One process that has imported a module, at the other end of a socket."""

    def __init__(self, process: asyncio.subprocess.Process, orders: socket.socket) -> None:
        self._process, self._orders = process, orders
        self._waiting: deque[asyncio.Future[Child]] = deque()
        self._children: dict[int, Child] = {}
        self.is_there = True
        """Whether it can still be forked."""
        self._has_forked = False
        asyncio.get_running_loop().add_reader(orders, self._read)

    @classmethod
    async def start(cls, module: str, env: Mapping[str, str]) -> Self:
        """Start one, which begins to import; `env` is its whole environment."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(*PYTHON, "-m", fork_server_process.__name__, str(theirs.fileno()), module),
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self._process.pid

    async def fork(self, arguments: Sequence[str], env: Mapping[str, str], output: int) -> Child:
        """Fork a part, in a process group of its own, once all is imported.

        Args:
            arguments: What the module's `run` gets.
            env: The whole environment of the part.
            output: A file descriptor, for both outputs.

        Raises:
            ForkError: the process has ended, takes no such order, or does not answer.
        """
        if not self.is_there:
            raise ForkError("the process that has imported what is needed has ended")
        started = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(self._orders, [orjson.dumps({"arguments": arguments, "env": env})], [output])
        except OSError as error:
            raise ForkError(str(error)) from error
        self._waiting.append(started)
        try:
            async with asyncio.timeout(LONGEST_FORK_S if self._has_forked else LONGEST_IMPORT_S):
                child: Child = await started
        except TimeoutError as error:
            kill_group(self.pid)  # stopped, or stuck: it would not tell of its children's ends either
            raise ForkError("the process that has imported what is needed does not answer") from error
        return child

    def _read(self) -> None:
        try:
            message = self._orders.recv(_LONGEST_ANSWER)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._ended()
            return
        what, pid, *code = orjson.loads(message)
        if what == "started":
            self._started(pid)
        elif child := self._children.pop(pid, None):
            child.ended.set_result(*code)

    def _started(self, pid: int) -> None:
        waiting = self._waiting.popleft()
        self._has_forked = True
        if waiting.cancelled():
            kill_group(pid)
            return
        self._children[pid] = Child(pid)
        waiting.set_result(self._children[pid])
        with suppress(ProcessLookupError):  # it has ended already, and that is told next
            end = os.pidfd_open(pid)
            asyncio.get_running_loop().add_reader(end, self._has_gone, pid, end)

    def _has_gone(self, pid: int, end: int) -> None:
        """A child has ended; how is told at once, unless the process that would tell is stuck."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(end)
        os.close(end)
        loop.call_later(TOLD_WITHIN_S, self._is_not_told, pid)

    def _is_not_told(self, pid: int) -> None:
        if child := self._children.pop(pid, None):
            child.ended.set_result(-signal.SIGKILL)

    def _ended(self) -> None:
        """Nobody would tell when its children end: they go with it."""
        self.is_there = False
        asyncio.get_running_loop().remove_reader(self._orders)
        self._orders.close()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(ForkError("the process that imports what is needed has ended"))
        for pid, child in self._children.items():
            kill_group(pid)
            child.ended.set_result(-signal.SIGKILL)
        self._waiting.clear()
        self._children.clear()

    async def stop(self) -> None:
        """Kill it, whatever it imports, and with it all that it has forked."""
        if self._process.returncode is None:  # else its number may be another's
            kill_group(self.pid)
        await self._process.wait()
        while self.is_there:  # what it had written before
            self._read()
            await asyncio.sleep(0)


@dataclass
class ForkServers:
    """Those of a stack: one for all parts whose imports are the same."""

    reaper: Reaper
    _servers: dict[tuple[str, frozenset[tuple[str, str]]], ForkServer] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fork(self, part: Forked, env: Mapping[str, str], output: int) -> Child | None:
        """As `ForkServer.fork`, of one that is started if there is none yet, or has ended; None: it cannot be done."""
        early = {name: value for name, value in env.items() if name not in part.late}
        key = part.module, frozenset(early.items())
        async with self._lock:
            server = self._servers.get(key)
            if server is None or not server.is_there:
                if server is not None:
                    await self._end(server)
                server = self._servers[key] = await ForkServer.start(part.module, early)
                self.reaper.hold(server.pid)
        try:
            return await server.fork(part.arguments, env, output)
        except ForkError:
            return None

    async def stop(self) -> None:
        """End them all; their parts have ended before."""
        for server in self._servers.values():
            await self._end(server)
        self._servers.clear()

    async def _end(self, server: ForkServer) -> None:
        await server.stop()
        self.reaper.release(server.pid)
