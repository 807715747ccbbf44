"""The ledger for many tasks at once: what waits to be written at one moment goes into one transaction."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from client.ledger.events import Event
    from client.ledger.ledger import Ledger

P = ParamSpec("P")
T = TypeVar("T")


def _try_all(works: list[Callable[[], Any]]) -> list[tuple[Any, Exception | None]]:
    """What each gives, or how it fails."""
    outcomes: list[tuple[Any, Exception | None]] = []
    for work in works:
        try:
            outcomes.append((work(), None))
        except Exception as error:  # noqa: BLE001  # whatever it is: who waits must hear of it
            outcomes.append((None, error))
    return outcomes


class Writer:
    """Group commit: while one transaction is written, the events for the next one come together."""

    def __init__(self, ledger: Ledger, thread: Executor) -> None:
        """`thread` runs one thing at a time: nobody else uses the ledger meanwhile."""
        self._ledger, self._thread = ledger, thread
        self._waiting: list[tuple[tuple[Event, ...], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._wanted: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._reading: asyncio.Task[None] | None = None

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
        """What a reading method of the ledger gives; what is wanted at one moment is read in one go.

        Raises:
            LedgerError: it cannot be read.
        """
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._wanted.append((partial(read, self._ledger, *arguments, **more), found))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await found

    async def _read_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._wanted:
            batch, self._wanted = self._wanted, []
            outcomes = await loop.run_in_executor(self._thread, _try_all, [work for work, _ in batch])
            for (_, found), (result, failure) in zip(batch, outcomes, strict=True):
                if not found.done():
                    if failure:
                        found.set_exception(failure)
                    else:
                        found.set_result(result)
        self._reading = None

    async def flush(self) -> None:
        """Wait until nothing waits to be written or read."""
        for task in (self._writing, self._reading):
            if task:
                await task

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
