"""How many are worked on at the same time: the next one is of whoever has the fewest in work."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Slots:
    """Places for work, which are given out fairly among its owners."""

    def __init__(self, count: int) -> None:
        """So many places."""
        self._free = count
        self._working = Counter[str]()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def working(self) -> int:
        """How many are taken."""
        return self._working.total()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    @asynccontextmanager
    async def one(self, owner: str) -> AsyncIterator[None]:
        """A place for as long as the block lasts."""
        if self._free:
            self._free -= 1
        else:
            turn = (owner, asyncio.get_running_loop().create_future())
            self._waiting.append(turn)
            try:
                await turn[1]
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:  # it was given a place meanwhile
                    self._pass_on()
                raise
        self._working[owner] += 1
        try:
            yield
        finally:
            self._working[owner] -= 1
            self._pass_on()

    def _pass_on(self) -> None:
        """Give a place that is free now to the one that has waited longest of the owner with the fewest in work."""
        waiting = [turn for turn in self._waiting if not turn[1].done()]  # one that is cancelled goes by itself
        if not waiting:
            self._free += 1
            return
        following = min(waiting, key=lambda turn: self._working[turn[0]])
        self._waiting.remove(following)
        following[1].set_result(None)
