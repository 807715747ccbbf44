"""Whose sentences run next: one of each request in turn, so that a small request does not wait for a huge one.

A batch that runs cannot be stopped, and a full one takes several times as long as a sentence alone. So while
small requests come, a huge one gets only small batches (it is then about 40 % slower), and a batch led by a small
request takes nothing of a huge one.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.model.job import BatchClass, Job, Translation

_SMALL_SHARE = 5
"""A request of at most this part of a batch is small; and huge ones get batches of that size beside it."""
_HUGE_BATCHES = 4
"""A request of more batches than this is huge."""
_SMALL_EXPECTED_S = 10.0
"""For so long after a small request has come, more are expected."""


class Entry:
    """A sentence that waits or runs, its result to come, and how many requests want it."""

    __slots__ = ("future", "job", "started", "waiters")

    def __init__(self, job: Job) -> None:
        """Take `job`, which no request wants yet; within a running loop."""
        self.job = job
        self.future: asyncio.Future[Translation] = asyncio.get_running_loop().create_future()
        self.waiters = 0
        self.started = False


class _Line:
    """What one request has waiting, by batch class; within a class sorted by length."""

    def __init__(self, entries: Sequence[Entry], served: int) -> None:
        self.served = served  # the number of the last batch that took from here
        self.tokens = sum(len(entry.job.tokens) for entry in entries)
        self._classes: dict[BatchClass, list[Entry]] = {}
        for entry in sorted(entries, key=lambda entry: len(entry.job.tokens)):
            self._classes.setdefault(entry.job.batch_class, []).append(entry)

    def next_class(self) -> BatchClass | None:
        """The lowest class that still has wanted sentences."""
        for batch_class in sorted(self._classes):
            if self.peek(batch_class):
                return batch_class
        return None

    def peek(self, batch_class: BatchClass) -> Entry | None:
        """The longest sentence of a class, which `pop` takes, or None.

        Sentences that nobody wants any more, and those that have run from another line, are dropped.
        """
        entries = self._classes.get(batch_class, [])
        while entries and (entries[-1].started or not entries[-1].waiters):
            entries.pop()
        if not entries:
            self._classes.pop(batch_class, None)
            return None
        return entries[-1]

    def pop(self, batch_class: BatchClass) -> None:
        """Take the sentence that `peek` showed."""
        self._classes[batch_class].pop()


class FairQueue:
    """Sentences that wait, a line for each request; picks those of the next batch."""

    def __init__(self, batch_tokens: int) -> None:
        """Make batches of at most `batch_tokens` source tokens, padding included (a longer sentence runs alone)."""
        self._batch_tokens = batch_tokens
        self._small = batch_tokens // _SMALL_SHARE
        self._huge = batch_tokens * _HUGE_BATCHES
        self._small_came = -math.inf
        self._lines: list[_Line] = []
        self._batches = 0

    def add(self, entries: Sequence[Entry]) -> None:
        """Let a request wait for its turn, also with sentences that wait in another's line already.

        Else two sentences would take as long as the thousands of which one of them happens to be one.
        """
        # As if it had been served just before the last batch: it is next, but not before who waits for longer.
        line = _Line(entries, self._batches - 1)
        if line.tokens <= self._small:
            self._small_came = time.monotonic()
        self._lines.append(line)

    def next_batch(self) -> list[Entry]:
        """Sentences of one batch class: one of each request in turn, until the batch is full.

        The request that was served longest ago says which class. Empty if nobody wants any more what waits.
        """
        classes = {line: line.next_class() for line in self._lines}
        self._lines = sorted((line for line in self._lines if classes[line] is not None), key=lambda x: x.served)
        self._batches += 1
        batch: list[Entry] = []
        batch_class = classes[self._lines[0]] if self._lines else None
        if batch_class is None:
            return batch
        led_by_small = self._lines[0].tokens <= self._small
        turn = [line for line in self._lines if not (led_by_small and line.tokens > self._huge)]
        huge_budget = self._small if time.monotonic() - self._small_came < _SMALL_EXPECTED_S else self._batch_tokens
        longest = 0
        while turn:
            for line in list(turn):
                entry = line.peek(batch_class)
                width = max(longest, len(entry.job.tokens)) if entry else 0
                budget = huge_budget if line.tokens > self._huge else self._batch_tokens
                if entry is None or (batch and width * (len(batch) + 1) > budget):
                    turn.remove(line)
                    continue
                line.pop(batch_class)
                line.served = self._batches
                entry.started = True
                batch.append(entry)
                longest = width
        return batch
