"""Engines that share a card: they start one after the other, each put to sleep before the next one starts.

An engine that starts needs the card for itself. So the gateway, which wakes them in turn, must not reach any
before all are asleep: each listens on a socket of its own, and its door, the path that the gateway knows, is made
when the last one sleeps. When one ends the doors are shut and the others are restarted with it: nobody else can
know which of them is awake.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.supervision.supervisor import Keeper

SLEEP_TIMEOUT_S = 300.0


class Card:
    """The keepers of the engines on one card, and whose turn to start it is."""

    def __init__(self) -> None:
        self._members: set[Keeper] = set()
        self._resting: set[Keeper] = set()
        self._starting: Keeper | None = None
        self._news = asyncio.Condition()

    def join(self, keeper: Keeper) -> None:
        """Its engine is on this card."""
        self._members.add(keeper)

    async def wait_for_turn(self, keeper: Keeper) -> None:
        """Wait until every other engine sleeps or has ended."""
        others = self._members - {keeper}
        async with self._news:
            await self._news.wait_for(
                lambda: self._starting is None and all(o in self._resting or o.pid is None for o in others)
            )
            self._starting = keeper

    async def rest(self, keeper: Keeper) -> str | None:
        """Put an engine to sleep that has just started; returns why it could not be."""
        if not await keeper.part.probe.send("POST", "/sleep?level=1", SLEEP_TIMEOUT_S):
            return "it did not go to sleep: the card is not free for the others"
        async with self._news:
            self._resting.add(keeper)
            self._starting = None
            self._news.notify_all()
            self._open_if_complete()
        return None

    async def leave(self, keeper: Keeper, *, for_good: bool) -> None:
        """An engine has ended; `for_good`: it will not be started again."""
        async with self._news:
            if self._starting is keeper:
                self._starting = None
            if self._complete:
                self._shut_doors()
                for member in self._members - {keeper}:
                    member.recall(f"{keeper.part.name}, on the same card, has ended")
                self._resting.clear()
            self._resting.discard(keeper)
            if for_good:
                self._members.discard(keeper)
                self._open_if_complete()
            self._news.notify_all()

    @property
    def _complete(self) -> bool:
        return bool(self._members) and self._resting == self._members

    def _open_if_complete(self) -> None:
        if self._complete:
            self._shut_doors()
            for part in (member.part for member in self._members):
                if part.door and part.probe.socket:
                    part.door.symlink_to(part.probe.socket)

    def _shut_doors(self) -> None:
        for member in self._members:
            if member.part.door:
                member.part.door.unlink(missing_ok=True)
