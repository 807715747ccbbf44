"""The ledger for many tasks at once: what waits to be written at one moment goes into one transaction."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from client.ledger.events import Event
    from client.ledger.ledger import Ledger

P = ParamSpec("P")
T = TypeVar("T")


class Writer:
    """Group commit: while one transaction is written, the events for the next one come together."""

    def __init__(self, ledger: Ledger, thread: Executor) -> None:
        """`thread` runs one thing at a time: nobody else uses the ledger meanwhile."""
        self._ledger, self._thread = ledger, thread
        self._waiting: list[tuple[tuple[Event, ...], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, *events: Event) -> None:
        """Write `events`; returns when they would survive a killed process.

        Once called they are written, also if the caller is cancelled.

        Raises:
            LedgerError: they could not be written.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((events, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await written

    @property
    def run(self) -> int | None:
        """The id of the run that has begun."""
        return self._ledger.run

    async def read(self, read: Callable[Concatenate[Ledger, P], T], *arguments: P.args, **more: P.kwargs) -> T:
        """What a reading method of the ledger gives.

        Raises:
            LedgerError: it cannot be read.
        """
        work = partial(read, self._ledger, *arguments, **more)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def flush(self) -> None:
        """Wait until nothing waits to be written."""
        if self._writing:
            await self._writing

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            events = [event for some, _ in batch for event in some]
            done = loop.run_in_executor(self._thread, self._ledger.write, events)
            await asyncio.wait({done})
            failure = done.exception()  # whatever it is: those who wait must hear of it
            for _, written in batch:
                if not written.done():
                    if failure:
                        written.set_exception(failure)
                    else:
                        written.set_result(None)
        self._writing = None
