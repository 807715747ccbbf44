"""An engine that shares a card comes back asleep: the gateway wakes it again."""

from __future__ import annotations

from server.gateway.config import Turns
from server.gateway.model_swap import Card


class Engine:
    """Remembers what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[str] = []

    async def command(self, path: str, timeout_s: float) -> int:
        self.told.append(path)
        return 200

    def abort_all(self) -> None:
        raise AssertionError("nothing is to be ended")


async def test_one_that_was_lost_is_woken_before_it_is_asked() -> None:
    card, first, second = Card(Turns()), Engine("first"), Engine("second")
    for engine in (first, second):
        card.join(engine)
    for _ in range(2):
        async with card.turn(first):
            assert first.told == ["/wake_up"]
    card.lost(second)
    async with card.turn(first):
        assert first.told == ["/wake_up"]
    card.lost(first)
    async with card.turn(first):
        assert first.told == ["/wake_up", "/wake_up"]
    await card.close()
