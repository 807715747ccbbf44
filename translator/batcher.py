"""Sentences of many requests and languages, run together.

CTranslate2 does not merge calls: 32 separate sentences cost seven times one batch of 32. So every sentence of
every request waits here, and each batch takes from all requests in turn. That keeps the batches full, and a
request of two sentences does not wait for all of one with thousands.

A batch that runs cannot be stopped, and a full one takes several times as long as a sentence alone. So while
small requests come, a huge one gets only small batches (it is then about 40 % slower), and a batch led by a small
request takes nothing of a huge one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from translator.cache import LruCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from translator.model.engine import BatchClass, Job, Translation

logger = logging.getLogger(__name__)

_ENTRY_BYTES = 400  # of a cached sentence, besides its text: two objects, their strings' heads, the table's slot


_SMALL_SHARE = 5
"""A request of at most this part of a batch is small; and huge ones get batches of that size beside it."""
_HUGE_BATCHES = 4
"""A request of more batches than this is huge."""
_MEMORY = 10.0
"""Seconds for which small requests are expected to go on after one has come."""


class Run(Protocol):
    """What translates a batch, in a thread: one result per job, in order."""

    def __call__(self, jobs: list[Job], /) -> list[Translation]:
        """Translate `jobs`."""


class QueueFullError(Exception):
    """Too much is waiting already; `retry_after` says in how many seconds to come back."""

    def __init__(self, retry_after: int) -> None:
        """Say when to come back."""
        super().__init__(f"the translation queue is full: try again in {retry_after} s")
        self.retry_after = retry_after


class TooManySentencesError(Exception):
    """One request holds more than the queue can ever take."""


class ClosedError(Exception):
    """The service is shutting down and takes nothing new."""


class _Entry:
    """A sentence that waits or runs, and how many requests want it."""

    __slots__ = ("future", "job", "started", "waiters")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.future: asyncio.Future[Translation] = asyncio.get_running_loop().create_future()
        self.waiters = 0
        self.started = False


class _Line:
    """What one request has waiting, by batch class; within a class sorted by length."""

    def __init__(self, entries: Sequence[_Entry], served: int) -> None:
        self.served = served  # number of the last batch that took from here
        self.tokens = sum(len(entry.job.tokens) for entry in entries)
        self._classes: dict[BatchClass, list[_Entry]] = {}
        for entry in sorted(entries, key=lambda entry: len(entry.job.tokens)):
            self._classes.setdefault(entry.job.batch_class, []).append(entry)

    def next_class(self) -> BatchClass | None:
        """The lowest class that still has wanted sentences."""
        for batch_class in sorted(self._classes):
            if self.peek(batch_class):
                return batch_class
        return None

    def peek(self, batch_class: BatchClass) -> _Entry | None:
        """The longest sentence of a class, which `pop` takes; what nobody wants, or another line gave, falls out."""
        entries = self._classes.get(batch_class, [])
        while entries and (entries[-1].started or not entries[-1].waiters):
            entries.pop()
        if not entries:
            self._classes.pop(batch_class, None)
            return None
        return entries[-1]

    def pop(self, batch_class: BatchClass) -> None:
        """Take what `peek` showed."""
        self._classes[batch_class].pop()


class Batcher:
    """The queue before the engine."""

    def __init__(
        self,
        run: Run,
        *,
        replicas: int = 1,
        batch_tokens: int = 512,
        queue_limit: int = 20_000,
        cache_bytes: int = 16 << 20,
        linger: float = 0.005,
        ran: Callable[[int, int, float], None] | None = None,
    ) -> None:
        """Prepare the queue; `start` it within a running loop.

        Args:
            run: translates a batch; called in a thread of its own per replica.
            replicas: batches that run at the same time.
            batch_tokens: most source tokens of a batch, padding included (a longer sentence runs alone).
            queue_limit: most sentences that wait.
            cache_bytes: memory for finished sentences.
            linger: seconds to wait for company, only when nothing was running.
            ran: is told of each batch that ran: its sentences, source tokens and seconds.
        """
        self._run = run
        self._replicas = replicas
        self._batch_tokens = batch_tokens
        self._small = batch_tokens // _SMALL_SHARE
        self._huge = batch_tokens * _HUGE_BATCHES
        self._small_came = -math.inf
        self._queue_limit = queue_limit
        self._linger = linger
        self._ran = ran
        self.cache: LruCache[Job, Translation] = LruCache(cache_bytes, _bytes_of)
        self._entries: dict[Job, _Entry] = {}
        self._lines: list[_Line] = []
        self._waiting = 0
        self._requests = 0
        self._batches = 0
        self._seconds_per_sentence = 0.05
        self._wake = asyncio.Event()
        self._closing = False
        self._executor = ThreadPoolExecutor(replicas, thread_name_prefix="translate")
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Sentences that wait for their batch."""
        return self._waiting

    def start(self) -> None:
        """Begin to take batches from the queue."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._replicas)]

    async def close(self) -> None:
        """Finish what waits and runs, take nothing new."""
        self._closing = True
        self._wake.set()
        await asyncio.gather(*self._workers)
        self._executor.shutdown()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Keep the queue working for one request, whatever follows from its first sentences.

        Raises:
            ClosedError: the service is shutting down.
        """
        if self._closing:
            raise ClosedError("the translation service is shutting down")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            self._wake.set()

    async def translate(self, jobs: Sequence[Job], *, follow_up: bool = False) -> list[Translation]:
        """Translate the sentences of one request, each once, together with those of others.

        Args:
            jobs: the sentences.
            follow_up: they come from within a `request` that was let in: they find room in a full queue, too.

        Raises:
            QueueFullError: too much waits already.
            TooManySentencesError: the request alone is larger than the queue.
            ClosedError: the service is shutting down.
        """
        if self._closing and not follow_up:
            raise ClosedError("the translation service is shutting down")
        done: dict[Job, Translation] = {}
        wanted: dict[Job, _Entry] = {}
        fresh: list[_Entry] = []
        for job in dict.fromkeys(jobs):
            if (cached := self.cache.get(job)) is not None:
                done[job] = cached
                continue
            if (entry := self._entries.get(job)) is None:
                entry = _Entry(job)
                fresh.append(entry)
            wanted[job] = entry
        self._admit(fresh, follow_up=follow_up)
        self._queue([entry for entry in wanted.values() if not entry.started])
        for entry in wanted.values():
            entry.waiters += 1
        try:
            for job, entry in wanted.items():
                done[job] = await asyncio.shield(entry.future)
        finally:
            for entry in wanted.values():
                self._leave(entry)
        return [done[job] for job in jobs]

    def _admit(self, fresh: list[_Entry], *, follow_up: bool) -> None:
        if not follow_up and len(fresh) > self._queue_limit:
            raise TooManySentencesError(
                f"{len(fresh)} sentences (times languages) in one request, of at most {self._queue_limit}"
            )
        if not follow_up and self._waiting + len(fresh) > self._queue_limit:
            seconds = self._waiting * self._seconds_per_sentence
            raise QueueFullError(min(60, max(1, math.ceil(seconds))))
        self._entries.update((entry.job, entry) for entry in fresh)
        self._waiting += len(fresh)

    def _queue(self, entries: list[_Entry]) -> None:
        """Let a request wait for its turn, also with sentences that wait in another's line already.

        Else two sentences would take as long as the thousands of which one of them happens to be one.
        """
        if not entries:
            return
        # As if it had been served just before the last batch: it is next, but not before who waits for longer.
        line = _Line(entries, self._batches - 1)
        if line.tokens <= self._small:
            self._small_came = time.monotonic()
        self._lines.append(line)
        self._wake.set()

    def _leave(self, entry: _Entry) -> None:
        """A request has its answer or was cancelled; what nobody wants any more frees its place."""
        entry.waiters -= 1
        if not entry.waiters and not entry.started:
            self._waiting -= 1
            del self._entries[entry.job]

    async def _work(self) -> None:
        while True:
            if not self._waiting:
                if self._closing and not self._requests:
                    return
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(self._linger)
                continue
            await self._run_batch(self._next_batch())

    def _next_batch(self) -> list[_Entry]:
        """Sentences of one batch class: one of each request in turn, until the batch is full.

        The request that was served longest ago says which class.
        """
        classes = {line: line.next_class() for line in self._lines}
        self._lines = sorted((line for line in self._lines if classes[line] is not None), key=lambda x: x.served)
        self._batches += 1
        batch: list[_Entry] = []
        batch_class = classes[self._lines[0]] if self._lines else None
        if batch_class is None:
            return batch
        led_by_small = self._lines[0].tokens <= self._small
        turn = [line for line in self._lines if not (led_by_small and line.tokens > self._huge)]
        huge_budget = self._small if time.monotonic() - self._small_came < _MEMORY else self._batch_tokens
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
        self._waiting -= len(batch)
        return batch

    async def _run_batch(self, batch: list[_Entry]) -> None:
        if not batch:
            return
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._executor, self._run, [entry.job for entry in batch])
        except Exception as error:  # it belongs to these requests: the worker goes on
            logger.exception("a batch of %d sentences failed", len(batch))
            for entry in batch:
                del self._entries[entry.job]
                if not entry.future.cancelled():
                    entry.future.set_exception(error)
                    entry.future.exception()  # seen, even if every request has left
            return
        for entry, result in zip(batch, results, strict=True):
            del self._entries[entry.job]
            entry.future.set_result(result)
            if not result.failed:
                self.cache.put(entry.job, result)
        seconds = time.monotonic() - began
        if self._ran:
            self._ran(len(batch), sum(len(entry.job.tokens) for entry in batch), seconds)
        pace = seconds / len(batch) / self._replicas
        self._seconds_per_sentence += 0.2 * (pace - self._seconds_per_sentence)


def _bytes_of(job: Job, result: Translation) -> int:
    parts = sum(len(part) + 60 for part in (*job.tokens, *result.faults))
    return _ENTRY_BYTES + 4 * (len(job.text) + len(result.text)) + parts
