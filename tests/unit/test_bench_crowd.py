"""Many clients at once: what the script says of what they got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everything import Everything, running_everything
from gateway_rig import HELLO, PICTURE

from scripts.benchmarks.crowd import crowd, requests, show

if TYPE_CHECKING:
    import pytest


async def test_statuses_are_counted_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {
        "text": ("chat/completions", {"model": PICTURE, "messages": HELLO}),
        "wrong": ("chat/completions", {"model": "nobody"}),
    }
    async with running_everything() as (engine, address):
        times = await crowd(f"{address}/v1", 4, 0.3, asked)
        assert isinstance(engine, Everything)
        assert len(times["text", 200]) == len(engine.bodies)
    assert set(times) == {("text", 200), ("wrong", 404)}
    show(times)
    assert f"{len(times['wrong', 404])} x 404" in capsys.readouterr().out


async def test_what_breaks_off_is_told() -> None:
    asked = {"text": requests()["text"]}
    assert set(await crowd("http://127.0.0.1:9/v1", 1, 0.1, asked)) == {("text", 0)}
