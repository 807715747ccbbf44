"""Engines that share a GPU: they start one after the other, each put to sleep before the next one starts.

An engine that starts needs the GPU for itself. So the gateway, which wakes them in turn, must not reach any before
all are asleep: each listens on a socket of its own, and its public socket, the path that the gateway knows, is linked
when the last one sleeps. When one ends the public sockets are removed and the others are restarted with it: nobody
else can know which of them is awake.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from server.supervision.part import Part

SLEEP_TIMEOUT_S = 300.0


class Member(Protocol):
    """What a group asks of the supervisor of an engine."""

    part: Part

    @property
    def pid(self) -> int | None:
        """Process id of the engine, while it runs."""

    def recall(self, reason: str) -> None:
        """End the engine at once, to be started again."""


class SleepGroup:
    """The engines of one GPU, and which of them may start."""

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._asleep: set[Member] = set()
        self._starting: Member | None = None
        self._changed = asyncio.Condition()

    def join(self, member: Member) -> None:
        """Add an engine to the group."""
        self._members.add(member)

    async def wait_for_turn(self, member: Member) -> None:
        """Wait until every other engine sleeps or has ended."""
        others = self._members - {member}
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._starting is None and all(o in self._asleep or o.pid is None for o in others)
            )
            self._starting = member

    async def put_to_sleep(self, member: Member) -> str | None:
        """Put an engine to sleep that has just started; returns why it could not be."""
        if not await member.part.probe.send("POST", "/sleep?level=1", SLEEP_TIMEOUT_S):
            return "it did not go to sleep: the GPU is not free for the others"
        async with self._changed:
            self._asleep.add(member)
            self._starting = None
            self._changed.notify_all()
            self._publish_if_complete()
        return None

    async def leave(self, member: Member, *, for_good: bool) -> None:
        """Note that an engine has ended; `for_good`: it will not be started again."""
        async with self._changed:
            if self._starting is member:
                self._starting = None
            if self._complete:
                self._withdraw()
                for other in self._members - {member}:
                    other.recall(f"{member.part.name}, on the same GPU, has ended")
                self._asleep.clear()
            self._asleep.discard(member)
            if for_good:
                self._members.discard(member)
                self._publish_if_complete()
            self._changed.notify_all()

    @property
    def _complete(self) -> bool:
        return bool(self._members) and self._asleep == self._members

    def _publish_if_complete(self) -> None:
        if self._complete:
            self._withdraw()
            for part in (member.part for member in self._members):
                if part.public_socket and part.probe.socket:
                    part.public_socket.symlink_to(part.probe.socket)

    def _withdraw(self) -> None:
        for member in self._members:
            if member.part.public_socket:
                member.part.public_socket.unlink(missing_ok=True)
