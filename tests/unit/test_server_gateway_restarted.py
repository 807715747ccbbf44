"""An engine that shares a card comes back asleep: the gateway wakes it again."""

from __future__ import annotations

from server.gateway.config import ModelSwap
from server.gateway.model_swap import ModelSwapper


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
    swapper, first, second = ModelSwapper(ModelSwap()), Engine("first"), Engine("second")
    for engine in (first, second):
        swapper.join(engine)
    for _ in range(2):
        async with swapper.lease(first):
            assert first.told == ["/wake_up"]
    swapper.lost(second)
    async with swapper.lease(first):
        assert first.told == ["/wake_up"]
    swapper.lost(first)
    async with swapper.lease(first):
        assert first.told == ["/wake_up", "/wake_up"]
    await swapper.close()
