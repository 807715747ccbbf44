"""What all actors together may have in flight to each endpoint: less of it while an endpoint says that it is full.

The actor that all others share keeps it. It is asked every `LEASE_S` by each that asks endpoints, and at once by one
that is refused: never for a single request.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.endpoints.places import Counts, Places

LEASE_S, LEAST_LEASE_S = 2.0, 0.2
LOST_AFTER_S = 20.0
"""An actor that did not ask for so long is gone: the others have its part."""
LESS = 0.7
"""What is left of a bound after refusals; it grows by one whenever as many were answered as are in flight."""
_HOLD_S = 1.0
"""What was on its way when a bound fell is refused too, and lowers it no further."""
_TURN_S = 10.0
"""Where there are fewer places than actors, others have them after so long."""


@dataclass(slots=True)
class _Bound:
    at_once: float
    held_until: float = 0.0


class Limits:
    """The bounds. Any number of actors ask, by their names."""

    def __init__(self, endpoints: int, at_once: int, actors: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`at_once` requests to each of so many endpoints at most; as many `actors` are expected."""
        self._most, self._expected, self._clock = at_once, actors, clock
        self._bounds = [_Bound(at_once) for _ in range(endpoints)]
        self._seen: dict[str, float] = {}
        self._began = clock()

    def exchange(self, actor: str, counts: Sequence[Counts]) -> list[int]:
        """Take what came of an actor's requests to each endpoint; gives how many it may have in flight to each now."""
        now = self._clock()
        self._seen[actor] = now
        alive = sorted(name for name, seen in self._seen.items() if now - seen <= LOST_AFTER_S)
        self._seen = {name: self._seen[name] for name in alive}
        for bound, (answered, refused, retry_after_s) in zip(self._bounds, counts, strict=True):
            if refused and now >= bound.held_until:
                bound.at_once = max(1.0, bound.at_once * LESS)
                bound.held_until = now + max(_HOLD_S, retry_after_s)
            elif answered and not refused:
                bound.at_once = min(self._most, bound.at_once + answered / bound.at_once)
        starting = now - self._began <= LOST_AFTER_S
        many = max(len(alive), self._expected) if starting else len(alive)
        place = alive.index(actor) + int(now / _TURN_S)
        return [_part(int(bound.at_once), place % many, many) for bound in self._bounds]


def _part(whole: int, place: int, many: int) -> int:
    return (place + 1) * whole // many - place * whole // many


async def keep_leases(places: Places, exchange: Callable[[list[Counts]], list[int]]) -> None:
    """Have an actor's places follow what `exchange` says, which takes a moment, until cancelled."""
    refused = asyncio.Event()
    places.on_refusal = refused.set
    while True:
        # One that keeps the bounds and is gone for a moment leaves them as they are.
        with suppress(Exception):
            for number, at_once in enumerate(await asyncio.to_thread(exchange, places.take_counts())):
                places.limit(number, at_once)
        await asyncio.sleep(LEAST_LEASE_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(refused.wait(), LEASE_S - LEAST_LEASE_S)
        refused.clear()
