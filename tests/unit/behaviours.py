"""What tests tell a fake server to do: each makes an `on_ask`, `on_models`, ... of `FakeServers`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fake_servers import completion

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web
    from fake_servers import Behaviour


def slowly(delay_s: float) -> Behaviour:
    """As usual, after so many seconds."""

    async def behave(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(delay_s)
        return None

    return behave


def answering(answer: Callable[[], web.StreamResponse]) -> Behaviour:
    """Always with this answer, made anew each time: one can be sent only once."""

    async def behave(*_: Any) -> web.StreamResponse | None:
        return answer()

    return behave


def saying(text: str, finish_reason: str = "stop") -> Behaviour:
    """Always with this text."""
    return answering(lambda: completion(text, finish_reason))
