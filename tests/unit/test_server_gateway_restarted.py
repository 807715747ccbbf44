"""An engine that shares a GPU comes back asleep: the gateway wakes it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gateway_rig import QUICK
from gateway_rig import Engine as Server

from server.gateway.config import ModelSwap, Timeouts
from server.gateway.model_swap import ModelSwapper, Sleeper
from server.gateway.upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path


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


class Told(ModelSwapper):
    """Remembers which engines it was told are lost."""

    def __init__(self) -> None:
        super().__init__(ModelSwap())
        self.gone: list[str] = []

    def lost(self, member: Sleeper) -> None:
        self.gone.append(member.name)


@pytest.mark.parametrize(("state", "gone"), [("well", []), ("silent", []), ("ill", ["one"]), ("away", ["one"])])
async def test_its_group_is_told_of_an_engine_that_is_down_and_of_no_other(
    tmp_path: Path, state: str, gone: list[str]
) -> None:
    """One that is only slow to answer a probe still holds the GPU."""
    server, group = Server(tmp_path / "s"), Told()
    server.healthy, server.silent = state != "ill", state == "silent"
    engine = Upstream("one", socket=str(tmp_path / "s"), swapper=group, timeouts=Timeouts(), health=QUICK)
    async with engine:
        if state == "away":
            await engine.probe()
        else:
            async with server.running():
                await engine.probe()
    assert group.gone == gone
