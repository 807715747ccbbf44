"""Keeps one part running: start, health, memory, restart with backoff, and giving up."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from server.errors import PartFailedError
from server.policy import Crashes, Policy
from server.sizing.machine import GIB, tree_memory
from server.supervision.heartbeat import forget_beats
from server.supervision.logs import PartLog
from server.supervision.process import Process, describe_exit, kill_group
from server.supervision.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from server.supervision.fork_server import ForkServers
    from server.supervision.part import Part
    from server.supervision.process import Fork
    from server.supervision.reaper import Reaper
    from server.supervision.sleep_group import SleepGroup


STARTING_GRACE_S = 1.0
"""How long a part may take to stop that was never ready: nobody waits for an answer of it."""
VERDICT_S = 1.0
"""The gateway learns a moment later than we do that a part has ended, and may know whose fault it was."""


class State(enum.Enum):
    """The state of a part."""

    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    """It runs, but fails its health checks; a few more and it is restarted."""
    RESTARTING = "restarting"
    """It has ended; the next start is waited for."""
    FAILED = "failed"
    """It crashed too often and was given up."""
    STOPPED = "stopped"


class Reporter(Protocol):
    """Is told what happens to the parts: the display, the log of events."""

    def changed(self, supervisor: ProcessSupervisor) -> None:
        """The state or the stage of a part has changed."""

    def crashed(self, supervisor: ProcessSupervisor, reason: str, tail: str) -> None:
        """A running part has ended or hangs; it will be restarted, or is given up."""


class ProcessSupervisor:
    """Supervises the process of one part: starts it, probes it, restarts it, gives it up."""

    def __init__(
        self,
        part: Part,
        log: Path,
        reaper: Reaper,
        reporter: Reporter,
        *,
        policy: Policy | None = None,
        sleep_group: SleepGroup | None = None,
        fork_servers: ForkServers | None = None,
    ) -> None:
        """`log` is the file that gets the output of the part.

        `sleep_group`: the engines that share its GPU; `fork_servers` fork it, if it can be forked.
        """
        self.part = part
        self.log = log
        self.state = State.STOPPED
        self.stage = part.first_stage
        self.start_s: float | None = None
        """From its start until it was ready, the last time."""
        self.ready_since: float | None = None
        """On the clock of `time.monotonic`; None while it is not ready."""
        self.restarts = 0
        self.memory_bytes = 0
        """Bytes of main memory at the last look, its children included."""
        self.reason: str | None = None
        """Why it ended the last time."""
        self.healthy = asyncio.Event()
        """Set once the part has been ready."""
        self._reaper = reaper
        self._reporter = reporter
        self._policy = policy or Policy()
        self._process: Process | None = None
        self._sleep_group = sleep_group
        self._fork: Fork | None = None
        if fork_servers is not None and part.forked is not None:
            self._fork = partial(fork_servers.fork, part.forked)
        self._recalled: str | None = None
        if sleep_group is not None:
            sleep_group.join(self)

    @property
    def pid(self) -> int | None:
        """Process id, while there is one."""
        return self._process.pid if self._process else None

    @property
    def given_up(self) -> bool:
        """Whether it crashed too often and is not started again."""
        return self.state is State.FAILED

    def recall(self, reason: str) -> None:
        """End it at once, to be started again; it is no crash of its own."""
        if self._process:
            self._recalled = reason
            kill_group(self._process.pid)

    async def run(self) -> None:
        """Start the part and restart it whenever it ends, hangs or takes too much memory.

        Raises:
            PartFailedError: its first start failed, or it crashed too often.
        """
        crashes = Crashes(self._policy)
        log = PartLog(self.log, self._policy, self._look_at)
        try:
            while True:
                self.reason, lived_s = await self._live_once(log)
                tail = log.tail()
                if self._recalled:
                    self.reason, self._recalled = self._recalled, None
                    self.restarts += 1
                    self._set(State.RESTARTING)
                    continue
                if not self.healthy.is_set():
                    self._set(State.FAILED)
                    raise PartFailedError(f"{self.part.name} did not start: {self.reason}\n{self._quoted(tail)}")
                wait_s = crashes.add(time.monotonic(), lived_s)
                if wait_s is None and self.part.poison_log:
                    await asyncio.sleep(VERDICT_S)
                wait_s = crashes.excuse(self.part.poisoned())
                if wait_s is None:
                    self._set(State.FAILED)
                    self._reporter.crashed(self, self.reason, tail)
                    raise PartFailedError(
                        f"{self.part.name} gave up after {len(crashes.times)} crashes, the last: {self.reason}\n"
                        f"{self._quoted(tail)}"
                    )
                self._set(State.RESTARTING)
                self._reporter.crashed(self, self.reason, tail)
                await asyncio.sleep(wait_s)
                self.restarts += 1
        finally:
            log.close()
            if self._sleep_group is not None:
                await self._sleep_group.leave(self, for_good=True)
            if not self.given_up:
                self._set(State.STOPPED)

    async def _live_once(self, log: PartLog) -> tuple[str, float]:
        """Start the part and watch it; returns why it ended and how long it was ready, in seconds."""
        part = self.part
        if self._sleep_group is not None:
            self.stage = "waiting for the GPU"
            self._set(State.STARTING)
            await self._sleep_group.wait_for_turn(self)
        started = time.monotonic()
        part.probe.forget()
        if part.heartbeat:
            forget_beats(part.heartbeat)
        self.stage, self.state = part.first_stage, State.STARTING  # on a busy machine it writes before it is held
        if self._fork is not None:
            self._set(State.STARTING)  # told twice: what it needs is imported first, and then there is a process
            self.stage = "starting"
        process = await Process.start(
            part.command, env=part.env, hidden=part.hidden, log=log, pass_fds=part.pass_fds, fork=self._fork
        )
        self._reaper.hold(process.pid)
        self._process = process
        self._set(State.STARTING)
        ended = asyncio.create_task(process.wait())
        try:
            if reason := await self._until_ready(ended, started):
                return reason, 0.0
            if self._sleep_group is not None and (reason := await self._sleep_group.put_to_sleep(self)):
                return reason, 0.0
            self.ready_since = time.monotonic()
            self.start_s = self.ready_since - started
            self.healthy.set()
            self._set(State.READY)
            reason = await self._until_ill(process, ended)
            return reason, time.monotonic() - self.ready_since
        except asyncio.CancelledError:
            await process.stop(part.stop_grace_s if self.ready_since is not None else STARTING_GRACE_S)
            raise
        finally:
            await process.kill()  # what it started itself may still run
            self._reaper.release(process.pid)
            part.probe.forget()
            self._process = None
            self.ready_since = None
            self.memory_bytes = 0
            ended.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ended
            if self._sleep_group is not None:
                await self._sleep_group.leave(self, for_good=False)

    async def _until_ready(self, ended: asyncio.Task[int], started: float) -> str | None:
        """Wait for the first good probe; otherwise the reason why there is none."""
        while not await self._probe(ended):
            await asyncio.wait([ended], timeout=self._policy.starting_probe_every_s)
            if ended.done():
                return describe_exit(ended.result())
            if time.monotonic() - started > self.part.start_timeout_s:
                return f"not ready after {self.part.start_timeout_s:.0f} s"
        return None

    async def _until_ill(self, process: Process, ended: asyncio.Task[int]) -> str:
        """Wait until the part ends, hangs or takes too much memory; returns which."""
        policy = self._policy
        progress = Progress(process.pid, self.part.heartbeat, policy.longest_step_s)
        failures = 0
        memory_at = 0.0
        while failures < policy.failures:
            await asyncio.wait([ended], timeout=policy.probe_every_s)
            if not ended.done():
                failures = 0 if await self._is_well(ended, progress) else failures + 1
            if ended.done():
                return describe_exit(ended.result())
            state = State.UNHEALTHY if failures else State.READY
            if state is not self.state:
                self._set(state)
            if time.monotonic() >= memory_at:
                memory_at = time.monotonic() + policy.memory_every_s
                if too_much := await self._memory_over_limit(process.pid):
                    await process.stop(self.part.stop_grace_s)
                    return too_much
        return f"it hangs: it runs, but failed {failures} health checks in a row"

    async def _is_well(self, ended: asyncio.Task[int], progress: Progress) -> bool:
        """Ask once; one that does not answer is well too while it works: it is slow, and does not hang."""
        asked = time.monotonic()
        if await self._probe(ended):
            progress.answered()
            return True
        silent = time.monotonic() - asked >= 0.9 * self._policy.probe_timeout_s  # timers are rounded
        return silent and not ended.done() and await asyncio.to_thread(progress.works)

    async def _probe(self, ended: asyncio.Task[int]) -> bool:
        """Ask once; an end of the process ends the waiting."""
        asking = asyncio.create_task(self.part.probe.healthy(self._policy.probe_timeout_s))
        try:
            await asyncio.wait([asking, ended], return_when=asyncio.FIRST_COMPLETED)
            return asking.done() and asking.result()
        finally:
            asking.cancel()

    async def _memory_over_limit(self, pid: int) -> str | None:
        # In a thread: the kernel walks all pages of a process to count them.
        self.memory_bytes = await asyncio.to_thread(tree_memory, pid)
        limit = self.part.memory_limit_gib
        if limit is None or self.memory_bytes <= limit * GIB:
            return None
        return f"it takes {self.memory_bytes / GIB:.1f} GiB of memory, its limit is {limit:g} GiB"

    def _look_at(self, line: str) -> None:
        if self.state is not State.STARTING:
            return
        stage = self.part.stage(line)
        if stage and stage != self.stage:
            self.stage = stage
            if self._process:  # else it is told once it is held
                self._reporter.changed(self)

    def _set(self, state: State) -> None:
        self.state = state
        self._reporter.changed(self)

    def _quoted(self, tail: str) -> str:
        return f"the end of {self.log}:\n{tail}"
