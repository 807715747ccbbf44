"""Results while a run goes on: written now and then, so that a run that is killed leaves recent ones."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from client.errors import BabelviewError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

logger = logging.getLogger(__name__)

FIRST_S, EVERY_S = 1.0, 30.0
"""At first often, so that a run that is killed early leaves something too; each pause doubles the one before."""
SHARE = 0.05
"""Of the time of a run that may go into this: with very many files it is done less often."""


@asynccontextmanager
async def kept_up_to_date(write: Callable[[], object]) -> AsyncIterator[None]:
    """Call `write` in a thread every now and then, until the end of the `async with`, and never after that."""
    ended = asyncio.Event()

    async def keep() -> None:
        usual = pause = min(FIRST_S, EVERY_S)
        while not await _within(pause, ended):
            began = time.monotonic()
            try:
                await asyncio.to_thread(write)
            except (OSError, BabelviewError) as error:
                logger.warning("results could not be written meanwhile: %s", error)
            usual = min(2 * usual, EVERY_S)
            pause = max(usual, (time.monotonic() - began) / SHARE)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        ended.set()
        await keeping


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
