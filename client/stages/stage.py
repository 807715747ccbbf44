"""What a stage is, and where a file goes after some of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from client.stages.items import Question, Uncut, Unheard, Unloaded, Untranslated
from client.tasks.plan import unknown_scenes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from client.job import Job, Jobs
    from client.sources.source import LocalFile
    from client.tasks.plan import UnitRequest


class Stage(ABC):
    """Something that is done with items one by one, with several at the same time."""

    async def setup(self) -> None:  # noqa: B027  # most stages need nothing
        """Get ready, once, before the first item: connect, load. Nothing unless a stage says otherwise."""

    @abstractmethod
    def process(self, item: Any, /) -> AsyncGenerator[Any, None]:
        """Do it; gives items for other stages. An item that comes is passed on before the next one is worked on."""


def needs_media(ask: UnitRequest) -> bool:
    """Whether a request is about what a file shows, not about answers."""
    return not ask.unit.inputs


def to_load(jobs: Jobs, job: Job, file: LocalFile, asks: list[UnitRequest]) -> Unheard | Uncut | Unloaded:
    """A file that is to be decoded: to be heard too, where its sound is to be transcribed."""
    return Unheard(job, file, job.unheard, asks) if job.unheard else to_see(jobs, job, file, asks, [])


def to_see(
    jobs: Jobs, job: Job, file: LocalFile, asks: list[UnitRequest], untold: list[UnitRequest]
) -> Uncut | Unloaded:
    """A file that is to be decoded for requests, and to find scenes where these are to be asked about and not known."""
    bounds = unknown_scenes(jobs.plan.requests[job.identity.kind], job.identity.kind, job.probe)
    return Uncut(job, file, bounds, asks, untold) if bounds else Unloaded(job, file, asks, untold)


async def without_media(jobs: Jobs, job: Job, asks: list[UnitRequest]) -> AsyncGenerator[Question | Untranslated, None]:
    """What comes next where nothing is to be loaded: merges to be asked, answers to be translated, or the end."""
    for ask in asks:
        yield Question(job, ask, b"")
    if not asks and job.texts:
        yield Untranslated(job)
    elif not asks:
        await jobs.finish(job)


async def ended(jobs: Jobs, job: Job) -> AsyncGenerator[Untranslated, None]:
    """What comes next if no answer is waited for any more: what is to be translated, or the end."""
    if job.pending == 0 and job.texts:
        yield Untranslated(job)
    elif job.pending == 0:
        await jobs.finish(job)
