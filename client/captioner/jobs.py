"""Jobs: requests that are worked on after their sender has gone, and go on where they stopped after a restart."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.captioner.feed import Feed
from client.captioner.job_store import DONE, ENDED, QUEUED, RUNNING, JobStore, StoredJob, deleted
from client.captioner.refusals import check_any, error_of, rejected, unforeseen
from client.captioner.slots import Slots
from client.captioner.uploads import Upload, held_in
from client.errors import RejectedError

if TYPE_CHECKING:
    from client.captioner.api_types import Item
    from client.captioner.config import Limits
    from client.captioner.metrics import Metrics
    from client.captioner.uploads import Uploads
    from client.captioner.work import Work
    from client.record import Record

logger = logging.getLogger(__name__)

MOST_STARTS = 10
"""A job in whose work the service has been killed so often may be what kills it."""
CLEANED_EVERY_S = 60.0
STORE_PAUSE_S = 5.0
"""After an end that could not be written down, as on a full disk."""
_STORE, _FOLDER = "jobs.db", "jobs"


@dataclass(slots=True)
class Unfinished:
    """A job that waits, or is worked on."""

    upload: Upload
    feed: Feed
    task: asyncio.Task[None] | None = None
    begun: bool = False


class Jobs:
    """All jobs of a service."""

    def __init__(self, uploads: Uploads, work: Work, metrics: Metrics, limits: Limits) -> None:
        """Nothing is read before they are opened."""
        self._uploads, self._work, self._metrics, self._limits = uploads, work, metrics, limits
        self._slots = Slots(limits.jobs_at_once)
        self._folder = uploads.folder / _FOLDER
        self._unfinished: dict[str, Unfinished] = {}
        self._store: JobStore | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._adding = asyncio.Lock()

    def open(self) -> None:
        """Go on with what a service before this one left; the folder of uploads is open.

        Raises:
            UsageError: the file of jobs cannot be used.
        """
        self._store = JobStore(self._uploads.folder / _STORE)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        waiting = [job for job in self.store.all() if job.status not in ENDED]
        names = {job.id for job in waiting}
        for folder in self._folder.iterdir():
            if folder.name not in names:  # of one that has ended, or that nobody was told of
                shutil.rmtree(folder, ignore_errors=True)
        for job in waiting:
            folder = self._folder / job.id
            self._begin(job, Upload(self._uploads, folder, held_in(folder)))
        self._count()
        self._cleaning = asyncio.create_task(self._clean())

    async def close(self) -> None:
        """Stop working; the next service goes on."""
        tasks = [job.task for job in self._unfinished.values() if job.task]
        tasks += [self._cleaning] if self._cleaning else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._store is None:
            return
        try:
            for job_id in [job_id for job_id, job in self._unfinished.items() if job.begun]:
                self._store.stop(job_id)
        except sqlite3.Error:
            logger.exception("jobs count this end of the service as one of a killed one")
        finally:
            self._store.close()

    @property
    def store(self) -> JobStore:
        """What is known of all, while they are open."""
        assert self._store is not None
        return self._store

    async def add(self, owner: str, key: str | None, items: list[Item], upload: Upload) -> StoredJob:
        """A new job for the files of `upload`, which it keeps.

        Raises:
            RejectedError: 429, there are too many.
        """
        async with self._adding:  # else all that come at the same time would be counted before any is there
            return await self._add(owner, key, items, upload)

    async def _add(self, owner: str, key: str | None, items: list[Item], upload: Upload) -> StoredJob:
        others = await asyncio.to_thread(self.store.all)
        if len(others) >= self._limits.jobs or sum(job.owner == owner for job in others) >= self._limits.key_jobs:
            raise RejectedError(
                429,
                "there are as many jobs as there may be: wait until some have ended, and delete them",
                code="rate_limit_exceeded",
                retry_after_s=int(CLEANED_EVERY_S),
            )
        job = StoredJob(f"job-{secrets.token_hex(16)}", owner, key, items, QUEUED, 0, time.time(), None, None)
        upload.keep(self._folder / job.id)
        try:
            self.store.add(job)  # not in a thread: who goes away meanwhile would leave it half done
        except BaseException:
            upload.remove()
            raise
        self._begin(job, upload)
        self._count()
        return job

    async def told(self, job: StoredJob) -> dict[str, Any]:
        """A job as its owner is told of it, with what came of it."""
        told = self.summary(job)
        if told["status"] in ENDED:
            told |= _outcome(*await asyncio.to_thread(self.store.outcome, job.id))
        return told

    def summary(self, job: StoredJob) -> dict[str, Any]:
        """The same, without what came of it."""
        unfinished, files = self._unfinished.get(job.id), len(job.items)
        status = RUNNING if unfinished and job.status in ENDED else job.status  # its files are still there
        done = files if status == DONE else 0
        ended = {"files": files, "done": done, "share": float(bool(done))}
        return {
            "id": job.id,
            "object": "captions.job",
            "status": status,
            "created_at": int(job.created),
            "started_at": int(job.started) if job.started else None,
            "ended_at": int(job.ended) if job.ended and status in ENDED else None,
            "files": [item.name for item in job.items],
            "progress": unfinished.feed.progress if unfinished else ended,
        }

    def feed(self, job: StoredJob) -> Feed | None:
        """What happens to a job; None if it has ended."""
        unfinished = self._unfinished.get(job.id)
        return unfinished.feed if unfinished else None

    async def remove(self, job: StoredJob) -> None:
        """End a job, and forget it."""
        await asyncio.to_thread(self.store.remove, job.id)  # if that fails, all is as it was
        unfinished = self._unfinished.get(job.id)
        if unfinished and unfinished.task:
            unfinished.task.cancel()
            await asyncio.gather(unfinished.task, return_exceptions=True)
            unfinished.feed.end({"type": "error", **error_of(deleted())})
            unfinished.upload.remove()
        self._unfinished.pop(job.id, None)
        self._count()

    def _begin(self, job: StoredJob, upload: Upload) -> None:
        unfinished = self._unfinished[job.id] = Unfinished(upload, Feed([item.name for item in job.items]))
        unfinished.task = asyncio.create_task(self._run(job, unfinished), name=job.id)

    async def _run(self, job: StoredJob, unfinished: Unfinished) -> None:
        """Work on a job once it is its turn; who cancels this leaves it as it is."""
        records: list[Record] | None = None
        error: dict[str, Any] | None = None
        async with self._slots.one(job.owner):
            self._count()
            try:
                records = await self._records(job, unfinished)
            except Exception as reason:
                if (failure := rejected(reason)) is None:
                    logger.exception("%s failed", job.id)
                    failure = unforeseen()
                error = error_of(failure)
        ended = await self._end(job, records, error)
        unfinished.upload.remove()
        self._unfinished.pop(job.id, None)
        self._count()
        self._metrics.count(records or [])
        logger.info("%s ended: %s", job.id, "failed" if error else "done")
        if ended is not None:
            told = {**self.summary(ended), **_outcome(records, error)}
            unfinished.feed.end({"type": "error" if error else "done", **told})

    async def _end(
        self, job: StoredJob, records: list[Record] | None, error: dict[str, Any] | None
    ) -> StoredJob | None:
        """Write down what came of a job, however long that takes; until then it is not over.

        None if it was deleted meanwhile.
        """
        while True:
            try:
                await asyncio.to_thread(self.store.end, job.id, records, error)
                return await asyncio.to_thread(self.store.find, job.id, job.owner)
            except sqlite3.Error:
                logger.exception("%s: its end cannot be written down; tried again in %g s", job.id, STORE_PAUSE_S)
                await asyncio.sleep(STORE_PAUSE_S)

    async def _records(self, job: StoredJob, unfinished: Unfinished) -> list[Record]:
        starts = await asyncio.to_thread(self.store.begin, job.id)
        unfinished.begun = True
        if starts > MOST_STARTS:
            message = f"the captioner was killed {MOST_STARTS} times while it worked on this job"
            raise RejectedError(500, message, code="internal_error")
        folder, feed = unfinished.upload.folder, unfinished.feed
        wait_s = self._limits.job_wait_s
        records = await self._work.describe(job.items, folder, job.key, feed, wait_s=wait_s, is_job=True)
        check_any(records, feed)
        return records

    async def _clean(self) -> None:
        """Forget jobs that ended long ago, for ever."""
        while True:
            try:
                for job in await asyncio.to_thread(self.store.all):
                    if job.ended and time.time() - job.ended > self._limits.keep_jobs_s:
                        await asyncio.to_thread(self.store.remove, job.id)
            except sqlite3.Error:
                logger.exception("old jobs cannot be forgotten; tried again in %g s", CLEANED_EVERY_S)
            self._count()
            await asyncio.sleep(CLEANED_EVERY_S)

    def _count(self) -> None:
        working = self._slots.working
        self._metrics.jobs.labels("running").set(working)
        self._metrics.jobs.labels("queued").set(len(self._unfinished) - working)


def _outcome(records: list[Record] | None, error: dict[str, Any] | None) -> dict[str, Any]:
    """What is told of a job that has ended."""
    return ({"records": records} if records is not None else {}) | (error or {})
