"""The servers of one model: which one is asked, and what happens when it fails."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import random
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from server.errors import NotBegunError
from server.gateway.crash_memory import CrashMemory, IdentifiedRequest
from server.gateway.decoding import Decoding
from server.gateway.forward_attempt import ForwardAttempt
from server.gateway.health import HealthState
from server.gateway.refusals import unavailable
from server.gateway.request_context import HOLD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from aiohttp import web

    from server.gateway.config import Timeouts
    from server.gateway.decoding import Room
    from server.gateway.forward_attempt import Call
    from server.gateway.upstream import Upstream

LOAD_BOUND = 1.25
"""A server gets a request for its content's sake only while it has at most this many times the mean load
(Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2017)."""

logger = logging.getLogger(__name__)


class Pool:
    """The servers of one model, or of the translator."""

    def __init__(
        self,
        name: str,
        upstreams: Sequence[Upstream],
        timeouts: Timeouts,
        most_pixels: int = 0,
        *,
        crash_memory_s: float = 3600.0,
    ) -> None:
        """`name` is what people read when there is none; `most_pixels` are decoded by one server at a time.

        `crash_memory_s` says how long a crash is remembered.
        """
        self.name = name
        self.upstreams = tuple(upstreams)
        self.retries = 0
        self.decoding = Decoding(most_pixels * len(self.upstreams))
        self._timeouts = timeouts
        self._crashes = CrashMemory(name, keep_s=crash_memory_s, longest_wait_s=timeouts.first_byte_s)
        for upstream in upstreams:
            self._crashes.report_to(upstream.name, upstream.poison_log)
            upstream.when_gone = partial(self._crashes.crashed, upstream.name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside the block connections are open and the servers are probed."""
        async with AsyncExitStack() as opened:
            for upstream in self.upstreams:
                await opened.enter_async_context(upstream)
            watches = [asyncio.create_task(self._watch(upstream)) for upstream in self.upstreams]
            try:
                yield
            finally:
                for watch in watches:
                    watch.cancel()
                await asyncio.gather(*watches, return_exceptions=True)

    @property
    def wants_digest(self) -> bool:
        """Whether there is a choice that content can decide."""
        return len(self.upstreams) > 1

    async def usable(self) -> bool:
        """Whether a request would find a server; waits for the first probes."""
        await asyncio.gather(*(upstream.checked.wait() for upstream in self.upstreams))
        return any(upstream.health_state < HealthState.OUT for upstream in self.upstreams)

    def parts(self) -> dict[str, Literal["ok", "down"]]:
        """`ok` or `down` for each server, by its name."""
        return {
            upstream.name: "down" if upstream.health_state is HealthState.OUT else "ok" for upstream in self.upstreams
        }

    async def send(self, request: web.Request, call: Call, digest: bytes | None = None) -> web.StreamResponse:
        """Send a request on, to a second server if the first one fails before its answer has begun.

        Args:
            request: the client's.
            call: what is sent.
            digest: of the media in it; requests with the same one meet the same server.

        Raises:
            RequestError: 503, there is no server that answers; 502, servers crash when they answer it.
        """
        hold = request[HOLD]
        room = await self.decoding.take(hold.pixels, hold.key)
        with room.held():
            return await self._send(request, call, digest, room)

    async def _send(self, request: web.Request, call: Call, digest: bytes | None, room: Room) -> web.StreamResponse:
        tried: list[Upstream] = []
        identified = IdentifiedRequest(call.path, call.body)
        for _ in range(2):
            upstream = self.choose(digest, tried)
            if upstream is None:
                break
            if tried:
                self.retries += 1
                call.context.retries += 1
            call.context.replica = upstream.name
            try:
                async with self._crashes.admit(identified), upstream.lease():
                    room.sent(self._timeouts.decoding_s)
                    with self._crashes.present(identified, upstream.name):
                        attempt = ForwardAttempt(request, call, upstream, self._timeouts, room.give_back)
                        response = await attempt.run()
                        identified.answered = attempt.complete
                    return response
            except NotBegunError as error:
                logger.warning("%s: %s failed: %s", call.context.id, upstream.name, error)
                tried.append(upstream)
                await self._crashes.check(identified)
        raise unavailable(self.name)

    def choose(self, digest: bytes | None, tried: Collection[Upstream] = ()) -> Upstream | None:
        """The server for the next request; None if there is none that `tried` does not hold.

        By rendezvous hashing of the digest, with bounded load; else the one with the least to do.
        """
        left = [u for u in self.upstreams if u not in tried and u.health_state < HealthState.OUT]
        if not left:
            return None
        best = min(upstream.health_state for upstream in left)
        left = [upstream for upstream in left if upstream.health_state == best]
        if len(left) == 1:
            return left[0]
        if digest is not None:
            bound = math.ceil(LOAD_BOUND * (sum(u.in_flight for u in left) + 1) / len(left))
            return max((u for u in left if u.in_flight < bound), key=lambda u: _affinity(digest, u))
        least = min(upstream.in_flight for upstream in left)
        return random.choice([upstream for upstream in left if upstream.in_flight == least])

    async def _watch(self, upstream: Upstream) -> None:
        """Probe one server for ever; what waits at one that hangs goes elsewhere, if there is a better one."""
        async for _ in upstream.probes():
            silence = upstream.breaker.silence
            better = any(u.health_state < silence for u in self.upstreams if u is not upstream)
            if silence is HealthState.OUT or (silence is HealthState.DOUBTFUL and better):
                upstream.send_elsewhere()


def _affinity(digest: bytes, upstream: Upstream) -> bytes:
    return hashlib.blake2b(upstream.name.encode(), key=digest, digest_size=8).digest()
