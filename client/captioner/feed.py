"""What happens to a request, as events: for who follows it while it goes on."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from client.counters import Counters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from client.record import Record
    from client.tasks.plan import UnitRequest

Event = dict[str, Any]
_END: Event = {}
MOST_UNREAD = 10_000
"""Events that nobody has read; then pieces of answers are left out, which the record will have."""


class Feed:
    """Gathers what happens to the files of a request, and tells those that follow."""

    def __init__(self, names: list[str]) -> None:
        """`names` of its files."""
        self._names, self._done = names, 0
        self._counters = [Counters() for _ in names]
        self._shares = [0.0 for _ in names]
        self._followers: set[asyncio.Queue[Event]] = set()

    @property
    def progress(self) -> Event:
        """How far it is."""
        # What is counted as a part goes before it is counted as done: a share never becomes smaller for that.
        self._shares = list(map(max, self._shares, map(_share, self._counters)))
        share = sum(self._shares) / len(self._names)
        return {
            "files": len(self._names),
            "done": self._done,
            "share": round(share, 3),
            "requests": sum(counters.requests for counters in self._counters),
            "in_flight": sum(counters.in_flight for counters in self._counters),
            "generated_tokens": sum(counters.generated_tokens for counters in self._counters),
        }

    @property
    def asked(self) -> int:
        """Questions that were answered or given up so far."""
        return sum(counters.requests for counters in self._counters)

    def counters(self, number: int) -> Counters:
        """Those of a file, to be kept up to date."""
        return self._counters[number]

    def told(self, number: int) -> Callable[[UnitRequest, str | None], None] | None:
        """Who is told of the answers about a file, if anybody follows."""
        if not self._followers:
            return None

        def tell(ask: UnitRequest, piece: str | None) -> None:
            event: Event = {"type": "retry" if piece is None else "delta", "record": number, "task": ask.request.key}
            if span := ask.unit.span:
                event |= {"start": span.start_us / 1e6, "end": span.end_us / 1e6}
            self._tell(event if piece is None else {**event, "text": piece})

        return tell

    def progress_event(self, status: str) -> Event:
        """How far it is, as an event."""
        return {"type": "progress", "status": status, **self.progress}

    def waits(self) -> None:
        """It waits for others to be done."""
        self._tell(self.progress_event("queued"))

    def refresh(self) -> None:
        """Something has been counted."""
        if self._followers:
            self._tell(self.progress_event("running"))

    def finished(self, number: int, record: Record) -> None:
        """A file is done."""
        self._done += 1
        self._tell({"type": "record", "record": number, "value": record}, needed=True)
        self.refresh()

    def end(self, event: Event) -> None:
        """It is over, with this event as the last one."""
        self._tell(event, needed=True)
        self._tell(_END, needed=True)

    @contextmanager
    def follow(self) -> Iterator[Follower]:
        """Follow what happens from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._followers.add(queue)
        try:
            yield Follower(queue)
        finally:
            self._followers.discard(queue)

    def _tell(self, event: Event, *, needed: bool = False) -> None:
        for queue in self._followers:
            if needed or queue.qsize() < MOST_UNREAD:
                queue.put_nowait(event)


def _share(counters: Counters) -> float:
    """How much of a file is done."""
    over = counters.done + len(counters.failures) + counters.unasked.total()
    return min(1.0, max(counters.partial, over))


class Follower:
    """What somebody has not read yet."""

    def __init__(self, queue: asyncio.Queue[Event]) -> None:
        """Made by `Feed.follow`."""
        self._queue = queue

    async def batches(self, every_s: float) -> AsyncIterator[list[Event]]:
        """Events as they come, those that wait together; none where nothing has happened for so long.

        Of progress only the newest is given, and pieces that follow each other are one.
        """
        while True:
            found: list[Event] = []
            try:
                found.append(await asyncio.wait_for(self._queue.get(), every_s))
            except TimeoutError:
                yield []
                continue
            while not self._queue.empty():
                found.append(self._queue.get_nowait())
            ended = _END in found
            yield _joined([event for event in found if event])
            if ended:
                return


def _joined(events: list[Event]) -> list[Event]:
    """Fewer events that say the same."""
    last = max((at for at, event in enumerate(events) if event["type"] == "progress"), default=None)
    joined: list[Event] = []
    for event in (event for at, event in enumerate(events) if event["type"] != "progress" or at == last):
        same = joined and event["type"] == "delta" and {**joined[-1], "text": ""} == {**event, "text": ""}
        if same:
            joined[-1] = {**event, "text": joined[-1]["text"] + event["text"]}
        else:
            joined.append(event)
    return joined
