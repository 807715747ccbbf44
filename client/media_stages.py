"""The stages that decode: a look at a video's packets, its windows one after the other, or its scenes as they end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson

from client.errors import MediaError, UnreadError
from client.items import Question, Untranslated
from client.ledger.events import MediaLoaded, MediaProbed, TimeSpent
from client.media.content import Look, SceneLooks
from client.stages import Stage, needs_media, to_load, without_media
from client.tasks.merge import merges_of
from client.tasks.plan import ask_of, expand, unknown_scenes
from client.tasks.units import window

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from concurrent.futures import Executor

    from client.endpoints.chat import ModelClient
    from client.items import SmallPictures, Uncut, Unheard, Unloaded, Unprobed
    from client.job import Job, Jobs
    from client.media.content import Content, Scene
    from client.media.content import Probe as Probed
    from client.media.loaders import Loaders
    from client.media.sampling import Sampling
    from client.sources.source import LocalFile
    from client.tasks.plan import UnitRequest

T = TypeVar("T")


class Parts(NamedTuple):
    """What requests about a content need of it."""

    by_measure: dict[str | None, bytes]
    """JSON: its media as the endpoint takes them, or what is measured, by `Request.measure`."""
    still: bool = False
    """Its frames hardly change; only looked at where somebody talks."""


class Probe(Stage):
    """Looks at the packets of a video, to know what is to be asked about it."""

    def __init__(self, jobs: Jobs, loaders: Loaders, threads: Executor) -> None:
        """A video is looked at in one of `threads`, by a process of the `loaders`."""
        self._jobs, self._loaders, self._threads = jobs, loaders, threads

    async def process(
        self, item: Unprobed, /
    ) -> AsyncGenerator[Unheard | Uncut | Unloaded | Question | Untranslated, None]:
        """Give the file to be loaded, or what is to be translated of it."""
        job, file = item
        identity, began = job.identity, time.monotonic()
        try:
            probe = await _in_thread(self._threads, self._loaders.probe, file.path, identity)
            file.check()
        except MediaError as error:
            file.discard()
            _fail(job, error, began)
            await self._jobs.finish(job)
            return
        job.events.append(MediaProbed(identity, probe, time.monotonic() - began))
        await self._jobs.ledger.write(*job.take_events())
        (looked_up,) = await self._jobs.look_up([job])
        asks = self._jobs.expand(job, *looked_up)
        uncut = unknown_scenes(self._jobs.plan.requests[identity.kind], identity.kind, probe)
        if uncut or job.unheard or any(needs_media(ask) for ask in asks):
            yield to_load(self._jobs, job, file, asks, probe)
            return
        file.discard()
        async for further in without_media(self._jobs, job, asks):
            yield further


class Load(Stage):
    """Decodes a file, once for all its requests, a unit at a time: what is not asked yet holds up what comes next."""

    def __init__(self, jobs: Jobs, model: ModelClient, sampling: Sampling, loaders: Loaders, threads: Executor) -> None:
        """A file is decoded in one of `threads`, by a process of the `loaders`."""
        self._jobs, self._model, self._sampling = jobs, model, sampling
        self._loaders, self._threads = loaders, threads

    async def process(self, item: Unloaded, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give its questions, those about a unit together; what is to be translated if it fails before the first."""
        job, file, asks = item
        waiting = {ask.key: ask for ask in asks}
        looks = dict.fromkeys(_look_of(ask) for ask in asks if needs_media(ask))
        loading = self._loaders.load(file.path, job.identity, self._sampling, list(looks))
        noted = _Noted(job)
        try:
            for look in looks:
                about = [ask for ask in asks if needs_media(ask) and _look_of(ask) == look]
                talks = any(ask.request.talk for ask in about)
                content, parts = await _in_thread(self._threads, self._next, loading, file, talks)
                noted.add(content)
                for ask in about:
                    del waiting[ask.key]
                    yield _question(job, ask, parts)
                noted.began = time.monotonic()
            for ask in waiting.values():  # of merges, which need none
                yield Question(job, ask, b"")
        except MediaError as error:
            if await _give_up(self._jobs, job, len(waiting), error, noted.began):
                yield Untranslated(job)
        finally:
            with suppress(ValueError):  # a thread is still at it: the run is ended
                loading.close()
            file.discard()

    def _next(self, loading: Generator[Content, None, None], file: LocalFile, talks: bool) -> tuple[Content, Parts]:
        """In a thread: decode, and encode for the endpoint, once; the JPEGs themselves are let go.

        If anybody `talks`, it is looked whether there is anything else to be seen.
        """
        try:
            content = next(loading)
        finally:
            file.check()  # the answers, or the reason why there are none, stand for this content for good
        return replace(content, frames=[]), _parts_of(content, self._jobs, self._model, talks=talks)


class LoadPictures(Stage):
    """Decodes small pictures, several at a time: what they have in common is that little is to be done about each."""

    def __init__(self, jobs: Jobs, model: ModelClient, sampling: Sampling, loaders: Loaders, threads: Executor) -> None:
        """A group is decoded in one of `threads`, by a process of the `loaders`."""
        self._jobs, self._model, self._sampling = jobs, model, sampling
        self._loaders, self._threads = loaders, threads

    async def process(self, item: SmallPictures, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give the questions about each, and what is to be translated of those that cannot be read."""
        began = time.monotonic()
        loaded = await _in_thread(self._threads, self._load, item.files)
        share_s = (time.monotonic() - began) / len(loaded)
        for (job, file, asks), outcome in zip(item.files, loaded, strict=True):
            file.discard()
            if isinstance(outcome, MediaError):
                if await _give_up(self._jobs, job, len(asks), outcome, time.monotonic() - share_s):
                    yield Untranslated(job)
                continue
            content, parts = outcome
            _Noted(job, time.monotonic() - share_s).add(content)
            for ask in asks:
                yield _question(job, ask, parts) if needs_media(ask) else Question(job, ask, b"")

    def _load(self, files: tuple[Unloaded, ...]) -> list[tuple[Content, Parts] | MediaError]:
        """In a thread: as in `Load`."""
        looks = [(file.path, job.identity) for job, file, _ in files]
        outcomes = self._loaders.together(looks, self._sampling)
        return [self._ready(file, outcome) for (_, file, _), outcome in zip(files, outcomes, strict=True)]

    def _ready(self, file: LocalFile, outcome: Content | MediaError) -> tuple[Content, Parts] | MediaError:
        try:
            file.check()
        except MediaError as error:
            return error
        if isinstance(outcome, MediaError):
            return outcome
        return replace(outcome, frames=[]), _parts_of(outcome, self._jobs, self._model, talks=False)


class LoadScenes(Stage):
    """Decodes a video of which it is not known where its scenes are, once: each is asked about as soon as it ends."""

    def __init__(self, jobs: Jobs, model: ModelClient, sampling: Sampling, loaders: Loaders, threads: Executor) -> None:
        """A file is decoded in one of `threads`, by a process of the `loaders`."""
        self._jobs, self._model, self._sampling = jobs, model, sampling
        self._loaders, self._threads = loaders, threads

    async def process(self, item: Uncut, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give its questions, and in the end those about answers that were there; or what is to be translated."""
        job, file, probe, bounds, asks = item
        jobs, sha256 = self._jobs, job.identity.sha256
        about_scenes = [it for it in jobs.plan.requests[job.identity.kind] if it.over.scenes == bounds]
        whole = [ask for ask in asks if needs_media(ask)]
        for ask in asks:
            if not needs_media(ask):
                yield Question(job, ask, b"")
        job.growing = True
        job.pending += 1  # until all scenes are known, it cannot be finished
        numbers = dict.fromkeys(request.frames for request in about_scenes)
        looks = SceneLooks(bounds, tuple(numbers), tuple(dict.fromkeys(ask.request.frames for ask in whole)))
        loading = self._loaders.scenes(file.path, job.identity, self._sampling, looks)
        times: dict[int, None] = {}
        noted = _Noted(job)
        try:
            while found := await _in_thread(self._threads, self._next, loading, file):
                scene, parts = found
                noted.add(scene.content)
                span, own = scene.look
                if span is None:
                    missing = [ask for ask in whole if ask.request.frames == own]
                    whole = [ask for ask in whole if ask.request.frames != own]
                else:
                    times |= dict.fromkeys(span)
                    unit = window(sha256, span)
                    asked = [ask_of(request, unit, job.said) for request in about_scenes if request.frames == own]
                    missing = await jobs.missing(job, asked)
                for ask in missing:
                    yield _question(job, ask, parts)
                noted.began = time.monotonic()
            for ask in await self._merges(job, replace(probe, scenes={**probe.scenes, bounds.key: list(times)})):
                yield Question(job, ask, b"")
        except MediaError as error:
            job.give_up(len(whole))
            _fail(job, error, noted.began)
        finally:
            with suppress(ValueError):  # a thread is still at it: the run is ended
                loading.close()
            file.discard()
        job.growing = False
        job.pending -= 1
        if job.pending == 0 and job.texts:
            yield Untranslated(job)
        elif job.pending == 0:
            await jobs.finish(job)

    async def _merges(self, job: Job, probe: Probed) -> list[UnitRequest]:
        """Remember what is known of its scenes now; what can be merged already of answers about them."""
        job.events.append(MediaProbed(job.identity, probe, 0))
        await self._jobs.ledger.write(*job.take_events())
        requests = self._jobs.plan.requests[job.identity.kind]
        about_scenes = [request for request in requests if request.over.scenes]
        merges = merges_of(requests, expand(about_scenes, job.identity.sha256, probe, job.said))
        job.merges += [merge for merge in merges if merge.inputs]
        return await self._jobs.ready_merges(job)

    def _next(self, loading: Generator[Scene, None, None], file: LocalFile) -> tuple[Scene, Parts] | None:
        """In a thread: as in `Load`; None after the last one."""
        try:
            scene = next(loading, None)
        finally:
            file.check()
        if scene is None:
            return None
        talks = any(request.talk for request in self._jobs.plan.requests[scene.content.kind])
        parts = _parts_of(scene.content, self._jobs, self._model, talks=talks)
        return scene._replace(content=replace(scene.content, frames=[])), parts


def _question(job: Job, ask: UnitRequest, parts: Parts) -> Question:
    """A request with what it is about: what is said alone, where that is all that there is."""
    talk = ask.request.talk if parts.still else None
    if talk is None:
        return Question(job, ask, parts.by_measure[ask.request.measure])
    return Question(job, ask._replace(request=replace(ask.request, prompt=talk)), b"")


def _parts_of(content: Content, jobs: Jobs, model: ModelClient, *, talks: bool) -> Parts:
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


def _look_of(ask: UnitRequest) -> Look:
    return Look(ask.unit.span, ask.request.frames)


class _Noted:
    """What decoding a file told, as events of its job."""

    def __init__(self, job: Job, began: float | None = None) -> None:
        """Begin now, or as the clock stood (`time.monotonic`) at another time."""
        self._job = job
        self._warnings: dict[str, None] = {}
        self._noted = False
        self.began = began or time.monotonic()
        """When the next content was begun."""

    def add(self, content: Content) -> None:
        """A window, a scene, or all of it was decoded."""
        job, took_s = self._job, self._job.add_loading(self.began)
        new = [text for text in content.warnings if text not in self._warnings]
        self._warnings.update(dict.fromkeys(new))
        if new or not self._noted:
            job.events.append(MediaLoaded(job.identity, took_s, content.facts, tuple(self._warnings)))
        else:
            job.events.append(TimeSpent(job.identity.sha256, took_s))
        self._noted = True


async def _give_up(jobs: Jobs, job: Job, requests: int, error: MediaError, began: float) -> bool:
    """A file cannot be loaded, for so many requests; returns whether something of it is still to be translated."""
    job.give_up(requests)
    _fail(job, error, began)
    if job.pending == 0 and not job.texts:
        await jobs.finish(job)
    return job.pending == 0 and bool(job.texts)


def _fail(job: Job, error: MediaError, began: float) -> None:
    """A file cannot be loaded: nothing more of it is asked."""
    job.problems.append(str(error))
    if isinstance(error, UnreadError):
        job.unread = True
    else:
        job.events.append(MediaLoaded(job.identity, job.add_loading(began), error=str(error)))


async def _in_thread(threads: Executor, work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
