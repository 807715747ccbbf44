"""Keeps one part running: start, health, restart with backoff, and giving up."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from server.errors import PartFailedError
from server.process import Lifeline, Process, describe_exit, log_tail

if TYPE_CHECKING:
    from pathlib import Path

    from server.part import Part


@dataclass(frozen=True)
class Policy:
    """How patient the supervisor is, in seconds."""

    probe_every_s: float = 2.0
    starting_probe_every_s: float = 0.1
    probe_timeout_s: float = 10.0
    """An engine may be slow to answer while it computes."""
    failures: int = 3
    """Probes in a row that must fail before a running part counts as hung."""
    backoff_s: float = 0.5
    """Before the first restart; doubles with each quick crash."""
    longest_backoff_s: float = 30.0
    quick_s: float = 30.0
    """A part that ends sooner after it became healthy has crashed quickly."""
    quick_crashes: int = 5
    """Quick crashes in a row after which it gives up."""


class State(enum.Enum):
    """Where a part is in its life."""

    STARTING = "starting"
    HEALTHY = "healthy"
    WAITING = "waiting to be restarted"
    STOPPED = "stopped"


class Reporter(Protocol):
    """Who is told what happens."""

    def changed(self, keeper: Keeper) -> None:
        """State or stage of a part is another."""

    def crashed(self, keeper: Keeper, reason: str, tail: str) -> None:
        """A running part has ended or hangs; it will be restarted."""


class Keeper:
    """Keeps one part running until it is cancelled."""

    def __init__(
        self, part: Part, log: Path, lifeline: Lifeline, reporter: Reporter, policy: Policy | None = None
    ) -> None:
        """`log` gets the output of the part."""
        self.part = part
        self.log = log
        self.state = State.STOPPED
        self.stage = part.first_stage
        self.start_seconds: float | None = None
        """From its start until it was healthy, the last time."""
        self.healthy = asyncio.Event()
        """Set once it has been healthy."""
        self._lifeline = lifeline
        self._reporter = reporter
        self._policy = policy or Policy()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id, while there is one."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Start the part and restart it whenever it ends or hangs.

        Raises:
            PartFailedError: its first start failed, or it crashed quickly too often.
        """
        policy = self._policy
        quick_crashes = 0
        self.log.write_bytes(b"")
        while True:
            reason, lived = await self._live_once()
            tail = log_tail(self.log)
            if not self.healthy.is_set():
                raise PartFailedError(f"{self.part.name} did not start: {reason}\n{self._quoted(tail)}")
            quick_crashes = quick_crashes + 1 if lived < policy.quick_s else 1
            if quick_crashes >= policy.quick_crashes:
                raise PartFailedError(
                    f"{self.part.name} gave up after {quick_crashes} quick crashes, the last: {reason}\n"
                    f"{self._quoted(tail)}"
                )
            self._reporter.crashed(self, reason, tail)
            self._set(State.WAITING)
            await asyncio.sleep(min(policy.backoff_s * 2 ** (quick_crashes - 1), policy.longest_backoff_s))

    async def _live_once(self) -> tuple[str, float]:
        """Start the part and watch it; returns why it ended and how long it was healthy, in seconds."""
        part = self.part
        started = time.monotonic()
        if part.probe.socket:
            part.probe.socket.unlink(missing_ok=True)  # left by one that was killed
        offset = self.log.stat().st_size
        process = await Process.start(part.command, env=part.env, log=self.log, pass_fds=part.pass_fds)
        self._lifeline.hold(process.pid)
        self._process = process
        self.stage = part.first_stage
        self._set(State.STARTING)
        ended = asyncio.create_task(process.wait())
        became_healthy = None
        try:
            if reason := await self._until_healthy(ended, started, offset):
                return reason, 0.0
            became_healthy = time.monotonic()
            self.start_seconds = became_healthy - started
            self.healthy.set()
            self._set(State.HEALTHY)
            return await self._until_ill(ended), time.monotonic() - became_healthy
        except asyncio.CancelledError:
            await process.stop(part.stop_grace_s)
            self._set(State.STOPPED)
            raise
        finally:
            await process.kill()  # what it started itself may still run
            self._lifeline.release(process.pid)
            self._process = None
            ended.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ended

    async def _until_healthy(self, ended: asyncio.Task[int], started: float, offset: int) -> str | None:
        """Wait for the first good probe; otherwise the reason why there is none."""
        policy = self._policy
        while not await self.part.probe.healthy(policy.probe_timeout_s):
            await asyncio.wait([ended], timeout=policy.starting_probe_every_s)
            if ended.done():
                return describe_exit(ended.result())
            if time.monotonic() - started > self.part.start_timeout_s:
                return f"not healthy after {self.part.start_timeout_s:.0f} s"
            self._look_at_log(offset)
        return None

    async def _until_ill(self, ended: asyncio.Task[int]) -> str:
        """Wait until the part ends or hangs; returns which."""
        policy = self._policy
        failures = 0
        while failures < policy.failures:
            await asyncio.wait([ended], timeout=policy.probe_every_s)
            if ended.done():
                return describe_exit(ended.result())
            failures = 0 if await self.part.probe.healthy(policy.probe_timeout_s) else failures + 1
        return f"it runs but failed {failures} health checks in a row"

    def _look_at_log(self, offset: int) -> None:
        if not self.part.stages:
            return
        with self.log.open("rb") as file:
            file.seek(offset)
            stage = self.part.stage(file.read().decode(errors="replace"))
        if stage != self.stage:
            self.stage = stage
            self._reporter.changed(self)

    def _set(self, state: State) -> None:
        self.state = state
        self._reporter.changed(self)

    def _quoted(self, tail: str) -> str:
        return f"the end of {self.log}:\n{tail}"
