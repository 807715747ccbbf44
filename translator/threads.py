"""Work in a thread that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from translator.errors import AbandonedError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(work: Callable[[Callable[[], None]], T]) -> T:
    """Run `work` in a thread; what it returns.

    Args:
        work: gets a function to call between its steps, which raises `AbandonedError` once the caller was cancelled.
    """
    left = threading.Event()

    def wanted() -> None:
        if left.is_set():
            raise AbandonedError("the client left")

    try:
        return await asyncio.to_thread(work, wanted)
    finally:
        left.set()
