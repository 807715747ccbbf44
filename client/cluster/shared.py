"""The actor that all others share: it keeps the bounds of endpoints, and has their lines for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.cluster.limits import Limits
from client.cluster.notes import Notes, Taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.endpoints.places import Counts


class Shared:
    """What Ray makes that actor of: calls come one after the other, and take no time."""

    def __init__(self, endpoints: int, at_once: int, actors: int) -> None:
        """`at_once` requests to each of so many endpoints at most; as many `actors` are expected."""
        self._limits, self._notes = Limits(endpoints, at_once, actors), Notes()

    def exchange(self, actor: str, counts: Sequence[Counts]) -> list[int]:
        """What came of an actor's requests to each endpoint, for how many it may have in flight to each now."""
        return self._limits.exchange(actor, counts)

    def say(self, actor: str, line: str) -> None:
        """Take a line for the user."""
        self._notes.say(actor, line)

    def take(self, acknowledged: str) -> Taken:
        """What was said and not acknowledged, as `Notes` has it."""
        return self._notes.take(acknowledged)
