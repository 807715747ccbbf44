"""`/health/core` inside vLLM's server: well only if the core answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from server.engines.engine_health import PATH, CoreHealth


class Engine:
    """What vLLM's engine client offers, played."""

    def __init__(self, *, dead: bool = False, hangs: bool = False) -> None:
        self._dead = dead
        self._hangs = hangs

    async def check_health(self) -> None:
        if self._dead:
            raise RuntimeError("the core has died")

    async def is_paused(self) -> bool:
        if self._hangs:
            await asyncio.sleep(3600)
        return False


async def get(path: str, engine: Engine) -> int:
    """The status of an answer; 204 comes from the application behind."""
    sent: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    app = SimpleNamespace(state=SimpleNamespace(engine_client=engine))
    await CoreHealth(behind)({"type": "http", "path": path, "app": app}, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(("path", "dead", "status"), [(PATH, False, 200), (PATH, True, 503), ("/health", True, 204)])
async def test_only_its_own_path_is_answered(path: str, dead: bool, status: int) -> None:
    assert await get(path, Engine(dead=dead)) == status


async def test_a_core_that_hangs_gives_no_answer() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(get(PATH, Engine(hangs=True)), 0.05)
