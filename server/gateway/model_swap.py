"""Models that share a GPU, by vLLM's sleep mode: one is awake, the others have left the GPU's memory.

Their engines need `--enable-sleep-mode` and `VLLM_SERVER_DEV_MODE=1`, which gives them `/sleep`, `/wake_up` and
`/is_sleeping` (and more that nobody but the gateway may reach: Unix sockets). At level 1 the weights wait in main
memory; the KV cache is thrown away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import aiohttp

from server.gateway.refusals import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.gateway.config import ModelSwap

logger = logging.getLogger(__name__)

_NO_ANSWER = (aiohttp.ClientError, OSError, TimeoutError)


class Sleeper(Protocol):
    """An engine that can sleep."""

    name: str

    async def command(self, path: str, timeout_s: float) -> int:
        """POST to `path`; the status."""

    def abort_all(self) -> None:
        """End all requests that it is answering."""


class ModelSwapper:
    """Swaps the models of one sleep group: wakes the one that is asked, when the others sleep."""

    def __init__(self, settings: ModelSwap) -> None:
        self.switches = 0
        self._settings = settings
        self._awake: Sleeper | None = None
        self._members: list[Sleeper] = []
        self._users = 0
        self._since = 0.0
        self._idle_since = 0.0
        self._closing = False
        self._changed = asyncio.Event()
        self._queue: dict[asyncio.Future[None], Sleeper] = {}
        """Requests that wait for their model, in the order of coming."""
        self._switching: asyncio.Task[None] | None = None

    def join(self, member: Sleeper) -> None:
        """Add an engine to the group."""
        self._members.append(member)

    @asynccontextmanager
    async def lease(self, member: Sleeper) -> AsyncIterator[None]:
        """Inside the block `member` is awake, and stays so.

        Raises:
            RequestError: 503, it could not be woken.
        """
        await self._wait_for(member)
        try:
            yield
        finally:
            self._users -= 1
            self._idle_since = time.monotonic()
            self._changed.set()

    def lost(self, member: Sleeper) -> None:
        """Note that an engine is down; it will come back asleep."""
        if self._awake is member:
            self._awake = None

    async def close(self) -> None:
        """Stop swapping."""
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.gather(self._switching, return_exceptions=True)

    async def _wait_for(self, member: Sleeper) -> None:
        if self._awake is member and not self._closing:
            self._users += 1
            return
        ticket = asyncio.get_running_loop().create_future()
        self._queue[ticket] = member
        if self._switching is None or self._switching.done():
            self._switching = asyncio.create_task(self._switch())
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled() and ticket.exception() is None:
                self._users -= 1  # it had just been let in
                self._changed.set()
            raise
        finally:
            self._queue.pop(ticket, None)

    async def _switch(self) -> None:
        """Wake the model of whoever waits longest, until nobody waits."""
        while self._queue:
            following = next(iter(self._queue.values()))
            try:
                if following is not self._awake:
                    await self._end_turn()
                    await self._hand_over(following)
                self._let_in(following)
            except _NO_ANSWER as error:
                logger.warning("%s could not be woken: %s", following.name, error or type(error).__name__)
                for ticket in self._tickets(following):
                    ticket.set_exception(unavailable(following.name))
            self._closing = False
            await asyncio.sleep(0)

    async def _end_turn(self) -> None:
        """Wait until the one that is awake has had its time, then for what it still does."""
        settings = self._settings
        while self._awake is not None and (now := time.monotonic()) < self._since + settings.least_s:
            left_s = self._since + settings.least_s - now
            if self._users == 0:
                if now >= self._idle_since + settings.idle_s:
                    break
                left_s = min(left_s, self._idle_since + settings.idle_s - now)
            await self._change_within(left_s)
        self._closing = True
        end = time.monotonic() + settings.longest_drain_s
        while self._users and time.monotonic() < end:
            await self._change_within(end - time.monotonic())
        if self._users and self._awake is not None:
            logger.warning("%s has not finished in time: what it does is ended", self._awake.name)
            self._awake.abort_all()
            while self._users:
                await self._change_within(settings.switch_timeout_s)

    async def _change_within(self, limit_s: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(max(limit_s, 0)):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _hand_over(self, following: Sleeper) -> None:
        """Send the others to sleep, then wake one: never two at a time."""
        asleep = [self._awake] if self._awake else [m for m in self._members if m is not following]
        self._awake = None
        for member in asleep:
            try:
                await self._command(member, "/sleep?level=1")
            except aiohttp.ClientConnectorError:
                logger.warning("%s is down: its GPU is taken as free", member.name)
        await self._command(following, "/wake_up")
        self._awake = following
        self._since = self._idle_since = time.monotonic()
        self.switches += 1
        logger.info("%s is awake", following.name)

    async def _command(self, member: Sleeper, path: str) -> None:
        status = await member.command(path, self._settings.switch_timeout_s)
        if status != 200:
            raise aiohttp.ClientError(f"{member.name} answered {status} to {path}; does it run in sleep mode?")

    def _let_in(self, member: Sleeper) -> None:
        for ticket in self._tickets(member):
            self._users += 1
            ticket.set_result(None)

    def _tickets(self, member: Sleeper) -> list[asyncio.Future[None]]:
        tickets = [ticket for ticket, of in self._queue.items() if of is member and not ticket.done()]
        for ticket in tickets:
            del self._queue[ticket]
        return tickets
