"""What the stages that decode have in common: what is decoded becomes questions, or fails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from client.errors import UnreadError
from client.ledger.events import MediaLoaded, TimeSpent
from client.media.content import Look
from client.pending_transcript import Held, Parts
from client.stages.items import Question
from client.stages.stage import ended

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable
    from concurrent.futures import Executor

    from client.endpoints.chat import ModelClient
    from client.errors import MediaError
    from client.job import Job, Jobs
    from client.media.content import Content
    from client.sources.source import LocalFile
    from client.stages.items import Untranslated
    from client.tasks.plan import UnitRequest

T = TypeVar("T")


async def in_thread(threads: Executor, work: Callable[..., T], *arguments: Any) -> T:
    """What `work` gives, done in one of `threads`."""
    return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)


def look_of(ask: UnitRequest) -> Look:
    """What has to be decoded for a request."""
    return Look(ask.unit.span, ask.request.frames)


def by_look(asks: Iterable[UnitRequest]) -> dict[Look, list[UnitRequest]]:
    """Requests by what has to be decoded for them."""
    found: dict[Look, list[UnitRequest]] = {}
    for ask in asks:
        found.setdefault(look_of(ask), []).append(ask)
    return found


def next_parts(
    jobs: Jobs, model: ModelClient, loading: Generator[Content, None, None], file: LocalFile, talks: bool
) -> tuple[Content, Parts]:
    """In a thread: decode, and encode for the endpoint, once; the JPEGs themselves are let go.

    If anybody `talks`, it is looked whether there is anything else to be seen.
    """
    try:
        content = next(loading)
    finally:
        file.check()  # the answers, or the reason why there are none, stand for this content for good
    return content.without_frames(), parts_of(content, jobs, model, talks=talks)


def parts_of(content: Content, jobs: Jobs, model: ModelClient, *, talks: bool) -> Parts:
    """A content as the requests about files of its kind need it; how still it is, if anybody `talks`."""
    measures = {request.measure for request in jobs.plan.requests[content.kind]}
    by_measure = {name: _measured(content) if name else model.parts(content) for name in measures}
    return Parts(by_measure, talks and _is_still(content))


def _is_still(content: Content) -> bool:
    from client.media.changes import hardly_change  # noqa: PLC0415  # numpy and a decoder, as in `_measured`

    return hardly_change(content.jpegs)


def _measured(content: Content) -> bytes:
    from client.media.quality import measure  # noqa: PLC0415  # numpy and a decoder, which other tasks do without

    return orjson.dumps(measure(content.frames))


def question(job: Job, ask: UnitRequest, parts: Parts) -> Question:
    """A request with what it is about: nothing of a merge, what is said alone where that is all that there is."""
    if ask.unit.inputs:
        return Question(job, ask, b"")
    talk = ask.request.talk if parts.still else None
    if talk is None:
        return Question(job, ask, parts.by_measure[ask.request.measure])
    return Question(job, ask._replace(request=replace(ask.request, prompt=talk)), b"")


async def told(
    jobs: Jobs, job: Job, untold: list[UnitRequest], parts: Parts
) -> AsyncGenerator[Question | Untranslated, None]:
    """What is asked about a look that is decoded, once it is known what is said in that time.

    Until then it is held; and where there is no room for it, it is noted that it has to be decoded again.
    """
    hearing = job.hearing
    if not untold or hearing is None:
        return
    if hearing.knows(untold[0].unit.span):
        asks = await jobs.tell(job, hearing, untold)
        for ask in asks:
            yield question(job, ask, parts)
        if not asks:
            async for further in ended(jobs, job):
                yield further
    elif not jobs.hold(hearing, Held(untold, parts)):
        hearing.later += untold


class Noted:
    """What decoding a file told, as events of its job."""

    def __init__(self, job: Job, began: float | None = None) -> None:
        """Begin now, or as the clock stood (`time.monotonic`) at another time."""
        self._job = job
        self._noted = False
        self.began = began or time.monotonic()
        """When the next content was begun."""

    def add(self, content: Content) -> None:
        """A window, a scene, or all of it was decoded."""
        job, took_s = self._job, self._job.add_loading(self.began)
        new = [text for text in content.warnings if text not in job.warnings]
        job.warnings.update(dict.fromkeys(new))
        if new or not self._noted:
            job.events.append(MediaLoaded(job.identity, took_s, content.facts, tuple(job.warnings)))
        else:
            job.events.append(TimeSpent(job.identity.sha256, took_s))
        self._noted = True


async def give_up(
    jobs: Jobs, job: Job, requests: int, error: MediaError, began: float
) -> AsyncGenerator[Untranslated, None]:
    """A file cannot be loaded, for so many requests; gives what of it is still to be translated."""
    job.give_up(requests)
    fail(job, error, began)
    async for further in ended(jobs, job):
        yield further


def fail(job: Job, error: MediaError, began: float) -> None:
    """A file cannot be loaded: nothing more of it is asked."""
    if str(error) not in job.problems:  # as it may be decoded twice
        job.problems.append(str(error))
    if isinstance(error, UnreadError):
        job.unread = True
    else:
        job.events.append(MediaLoaded(job.identity, job.add_loading(began), error=str(error)))
