"""How much is decoded at a time: a small file may hold a picture of a hundred megabytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Waiter(NamedTuple):
    pixels: int
    granted: asyncio.Future[None]


class Decoding:
    """Room for pixels, or for sounds. Who finds none waits, the keys in turn, each in the order of its requests."""

    def __init__(self, most: int) -> None:
        """`most` pixels at a time; a request that has more has all of the room."""
        self._most = most
        self.taken = 0
        """Pixels that are being decoded."""
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    async def take(self, pixels: int, key: str) -> Room:
        """Room for `pixels`, once there is; it must be given back. Who has none waits for nobody."""
        pixels = min(pixels, self._most)
        if not pixels or (not self._queues and self.taken + pixels <= self._most):
            self.taken += pixels
            return Room(self, pixels)
        waiter = _Waiter(pixels, asyncio.get_running_loop().create_future())
        self._queues.setdefault(key, deque()).append(waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.taken -= pixels
            else:
                self._forget(key, waiter)
            self.grant()
            raise
        return Room(self, pixels)

    def grant(self) -> None:
        """Let those in for whom there is room now."""
        while self._queues:
            key, queue = next(iter(self._queues.items()))
            if self.taken + queue[0].pixels > self._most:
                return  # it has its turn: smaller ones do not pass it for ever
            waiter = queue[0]
            self._forget(key, waiter)
            if key in self._queues:
                self._queues.move_to_end(key)
            if not waiter.granted.done():
                self.taken += waiter.pixels
                waiter.granted.set_result(None)

    def _forget(self, key: str, waiter: _Waiter) -> None:
        queue = self._queues.get(key)
        if queue is None or waiter not in queue:
            return
        queue.remove(waiter)
        if not queue:
            del self._queues[key]


class Room:
    """Room that was taken."""

    def __init__(self, decoding: Decoding, pixels: int) -> None:
        self._decoding = decoding
        self._pixels = pixels
        self._timer: asyncio.TimerHandle | None = None

    def sent(self, longest_s: float) -> None:
        """What is decoded is on its way: after `longest_s` it is, whether or not an answer has begun."""
        if self._pixels and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(longest_s, self.give_back)

    def give_back(self) -> None:
        """Give it back; a second time does nothing."""
        if self._timer is not None:
            self._timer.cancel()
        if self._pixels:
            self._decoding.taken -= self._pixels
            self._pixels = 0
            self._decoding.grant()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block after which it is given back; later, if the client hangs up on what a server may be decoding now."""
        try:
            yield
        except asyncio.CancelledError:
            if self._timer is None:
                self.give_back()
            raise
        except BaseException:
            self.give_back()
            raise
        self.give_back()
