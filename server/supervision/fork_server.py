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
    from collections.abc import Callable, Mapping, Sequence

    from server.supervision.part import Forked
    from server.supervision.reaper import Reaper

LONGEST_IMPORT_S = 300.0
LONGEST_FORK_S = 30.0
"""How long a part waits to be forked while all is imported, and once it is; then it is started by its command.

An import that is stuck cannot be told from one from a slow disk, and is waited for as long."""
TOLD_WITHIN_S = 5.0
"""After which the end of a part counts as a kill if nothing is told of it."""
_LONGEST_ANSWER = 1 << 10
"""In bytes."""


class Child:
    """A forked process, as `asyncio.subprocess.Process` would have it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = asyncio.get_running_loop().create_future()
        self._pidfd: int | None = None

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        code: int | None = self._ended.result() if self._ended.done() else None
        return code

    async def wait(self) -> int:
        """Wait for it to end; its exit code."""
        code: int = await asyncio.shield(self._ended)
        return code

    def terminate(self) -> None:
        """Send SIGTERM.

        Raises:
            ProcessLookupError: it is gone.
        """
        os.kill(self.pid, signal.SIGTERM)

    def watch(self, when_gone: Callable[[Child], None]) -> None:
        """Have the kernel tell that it has ended, which the process that would tell how may not, being stuck."""
        with suppress(OSError):  # it is gone, and that is told next; or no descriptor is free, and it is told as ever
            self._pidfd = os.pidfd_open(self.pid)
            asyncio.get_running_loop().add_reader(self._pidfd, self._has_gone, when_gone)

    def _has_gone(self, when_gone: Callable[[Child], None]) -> None:
        self._watch_no_more()
        when_gone(self)

    def _watch_no_more(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def end(self, code: int) -> None:
        """It has ended, with this exit code."""
        self._watch_no_more()
        self._ended.set_result(code)


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
        try:
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
        except BaseException:
            ours.close()
            raise
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
            ForkError: the process has ended, takes no such order, cannot fork, or does not answer.
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
            self._kill()  # stopped, or stuck: it would not tell of its children's ends either
            self._ended()
            raise ForkError("the process that has imported what is needed does not answer") from error
        except asyncio.CancelledError:
            if not started.cancelled() and not started.exception():  # it was forked just before
                kill_group(started.result().pid)
            raise
        return child

    def _read(self) -> bool:
        """Take a message; False: there is none yet, or none any more."""
        try:
            message = self._orders.recv(_LONGEST_ANSWER)
        except BlockingIOError:
            return False
        except OSError:
            message = b""
        if not message:
            self._ended()
            return False
        what, *more = orjson.loads(message)
        if what == "started":
            self._started(*more)
        elif what == "refused":
            self._refused(*more)
        else:
            self._told(*more)
        return True

    def _started(self, pid: int) -> None:
        waiting = self._waiting.popleft()
        self._has_forked = True
        if waiting.cancelled():
            kill_group(pid)
            return
        child = self._children[pid] = Child(pid)
        waiting.set_result(child)
        child.watch(self._has_gone)

    def _refused(self, why: str) -> None:
        waiting = self._waiting.popleft()
        if not waiting.cancelled():
            waiting.set_exception(ForkError(f"the process that has imported what is needed cannot be forked: {why}"))

    def _told(self, pid: int, code: int) -> None:
        if child := self._children.pop(pid, None):
            child.end(code)

    def _has_gone(self, child: Child) -> None:
        """How it has ended is told at once, unless the process that would tell is stuck."""
        asyncio.get_running_loop().call_later(TOLD_WITHIN_S, self._is_not_told, child)

    def _is_not_told(self, child: Child) -> None:
        if self._children.get(child.pid) is child:  # else its number may be another's by now
            self._told(child.pid, -signal.SIGKILL)

    def _kill(self) -> None:
        if self._process.returncode is None:  # else its number may be another's
            kill_group(self.pid)

    def _ended(self) -> None:
        """Nobody would tell when its children end: they go with it."""
        if not self.is_there:
            return
        self.is_there = False
        asyncio.get_running_loop().remove_reader(self._orders)
        self._orders.close()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(ForkError("the process that imports what is needed has ended"))
        for pid, child in self._children.items():
            kill_group(pid)
            child.end(-signal.SIGKILL)
        self._waiting.clear()
        self._children.clear()

    async def stop(self) -> None:
        """Kill it, whatever it imports, and with it all that it has forked."""
        self._kill()
        await self._process.wait()
        while self.is_there and self._read():  # what it had written before
            pass
        self._ended()  # also where something that it has started holds the other end


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
