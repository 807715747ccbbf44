"""Work in threads that writes into the folder of a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: object, stop: Callable[[], None] = lambda: None) -> T:
    """Do something in a thread. Who is cancelled waits for its end: then nothing writes into the folder any more.

    `stop` has it end soon.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([doing])
        raise
