"""Writes to the ledger for many tasks at once: what waits at one moment goes into one transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from client.ledger.ledger import Ledger

    Change = Callable[[Ledger], None]


class Writer:
    """Group commit: while one transaction is written, the changes for the next one come together."""

    def __init__(self, ledger: Ledger, thread: Executor) -> None:
        """`thread` runs one thing at a time: nobody else uses the ledger meanwhile."""
        self._ledger, self._thread = ledger, thread
        self._waiting: list[tuple[tuple[Change, ...], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, *changes: Change) -> None:
        """Write `changes` (calls of the ledger's methods); returns when they would survive a killed process.

        Once called they are written, also if the caller is cancelled.

        Raises:
            LedgerError: they could not be written.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await written

    async def flush(self) -> None:
        """Wait until nothing waits to be written."""
        if self._writing:
            await self._writing

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            changes = [change for some, _ in batch for change in some]
            done = loop.run_in_executor(self._thread, self._ledger.write, changes)
            await asyncio.wait({done})
            failure = done.exception()  # whatever it is: those who wait must hear of it
            for _, written in batch:
                if not written.done():
                    if failure:
                        written.set_exception(failure)
                    else:
                        written.set_result(None)
        self._writing = None
