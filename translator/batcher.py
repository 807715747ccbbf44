"""Sentences of many requests and languages, run together.

CTranslate2 does not merge calls: 32 separate sentences cost seven times one batch of 32. So every sentence of
every request waits here, and each batch takes from all requests in turn (see `fair_queue`), which keeps it full.
Each sentence runs once, however many requests want it, and is then kept for those that come later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from translator.cache import SentenceCache
from translator.errors import ClosedError, QueueFullError, TooManySentencesError
from translator.fair_queue import Entry, FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from translator.model.job import Job, Translation

logger = logging.getLogger(__name__)

_PACE_WEIGHT = 0.2
"""How much the last batch counts in the average time of a sentence."""
_LONGEST_RETRY_S = 60
"""A client that finds the queue full is never sent away for longer."""


class Run(Protocol):
    """A function that translates a batch, and runs in a thread: one result per job, in order."""

    def __call__(self, jobs: list[Job], /) -> list[Translation]:
        """Translate the sentences of one batch."""


class Batcher:
    """The queue before the engine: takes the sentences of all requests, runs them in batches, keeps what is done."""

    def __init__(
        self,
        run: Run,
        *,
        replicas: int = 1,
        batch_tokens: int = 512,
        queue_limit: int = 20_000,
        cache_bytes: int = 16 << 20,
        linger_s: float = 0.005,
        ran: Callable[[int, int, float], None] | None = None,
    ) -> None:
        """Prepare the queue; `start` it within a running loop.

        Args:
            run: translates a batch; called in a thread of its own per replica.
            replicas: batches that run at the same time.
            batch_tokens: most source tokens of a batch, padding included (a longer sentence runs alone).
            queue_limit: most sentences that wait.
            cache_bytes: memory for finished sentences.
            linger_s: seconds to wait for company, only when nothing was running.
            ran: is told of each batch that ran: its sentences, source tokens and seconds.
        """
        self._run = run
        self._replicas = replicas
        self._queue = FairQueue(batch_tokens)
        self._queue_limit = queue_limit
        self._linger_s = linger_s
        self._ran = ran
        self.cache = SentenceCache(cache_bytes)
        self._entries: dict[Job, Entry] = {}
        self._waiting = 0
        self._requests = 0
        self._sentence_s = 0.05  # the average, before there is one
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
        wanted: dict[Job, Entry] = {}
        fresh: list[Entry] = []
        for job in dict.fromkeys(jobs):
            if (cached := self.cache.get(job)) is not None:
                done[job] = cached
                continue
            if (entry := self._entries.get(job)) is None:
                entry = Entry(job)
                fresh.append(entry)
            wanted[job] = entry
        self._admit(fresh, follow_up=follow_up)
        if waiting := [entry for entry in wanted.values() if not entry.started]:
            self._queue.add(waiting)
            self._wake.set()
        for entry in wanted.values():
            entry.waiters += 1
        try:
            for job, entry in wanted.items():
                done[job] = await asyncio.shield(entry.future)
        finally:
            for entry in wanted.values():
                self._leave(entry)
        return [done[job] for job in jobs]

    def _admit(self, fresh: list[Entry], *, follow_up: bool) -> None:
        if not follow_up and len(fresh) > self._queue_limit:
            raise TooManySentencesError(
                f"{len(fresh)} sentences (times languages) in one request, of at most {self._queue_limit}"
            )
        if not follow_up and self._waiting + len(fresh) > self._queue_limit:
            wait_s = self._waiting * self._sentence_s
            raise QueueFullError(min(_LONGEST_RETRY_S, max(1, math.ceil(wait_s))))
        self._entries.update((entry.job, entry) for entry in fresh)
        self._waiting += len(fresh)

    def _leave(self, entry: Entry) -> None:
        """Count one request less that wants `entry`; one that waits and that nobody wants any more frees its place."""
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
                await asyncio.sleep(self._linger_s)
                continue
            batch = self._queue.next_batch()
            self._waiting -= len(batch)
            if batch:
                await self._run_batch(batch)

    async def _run_batch(self, batch: list[Entry]) -> None:
        """Run a batch in a thread, and give each sentence's result to the requests that wait for it."""
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
        duration_s = time.monotonic() - began
        if self._ran:
            self._ran(len(batch), sum(len(entry.job.tokens) for entry in batch), duration_s)
        pace_s = duration_s / len(batch) / self._replicas
        self._sentence_s += _PACE_WEIGHT * (pace_s - self._sentence_s)
