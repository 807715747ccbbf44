"""The stages that decode: a look at a video's packets, its windows one after the other, or its scenes as they end."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from client.errors import MediaError
from client.ledger.events import MediaProbed
from client.media.content import SceneLooks
from client.stages.items import Question, Untranslated
from client.stages.questions import (
    Noted,
    by_look,
    fail,
    give_up,
    in_thread,
    look_of,
    next_parts,
    parts_of,
    question,
    told,
)
from client.stages.stage import Stage, ended, needs_media, to_load, without_media
from client.tasks.plan import UnitRequest, ask_of, expand, in_order, unknown_scenes
from client.tasks.units import window

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from concurrent.futures import Executor

    from client.endpoints.chat import ModelClient
    from client.job import Job, Jobs
    from client.media.content import Content, Look, Scene, SceneBounds
    from client.media.loaders import Loaders
    from client.media.sampling import Sampling
    from client.pending_transcript import Parts
    from client.sources.source import LocalFile
    from client.stages.items import SmallPictures, Uncut, Unheard, Unloaded, Unprobed
    from client.tasks.plan import Request


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
            probe = await in_thread(self._threads, self._loaders.probe, file.path, identity)
            file.check()
        except MediaError as error:
            file.discard()
            fail(job, error, began)
            await self._jobs.finish(job)
            return
        job.events.append(MediaProbed(identity, probe, time.monotonic() - began))
        await self._jobs.ledger.write(*job.take_events())
        (looked_up,) = await self._jobs.look_up([job])
        asks = self._jobs.expand(job, *looked_up)
        uncut = unknown_scenes(self._jobs.plan.requests[identity.kind], identity.kind, probe)
        if uncut or job.unheard or any(needs_media(ask) for ask in asks):
            yield to_load(self._jobs, job, file, asks)
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
        job, file, asks, untold = item
        ready = by_look(filter(needs_media, asks))
        if job.hearing and self._jobs.holds_much and not job.hearing.over:
            job.hearing.later += [ask for ask in untold if look_of(ask) not in ready]
            untold = [ask for ask in untold if look_of(ask) in ready]
        of_sound = by_look(untold)
        looks = by_look(in_order([*filter(needs_media, asks), *untold]))
        loading = self._loaders.load(file.path, job.identity, self._sampling, list(looks))
        left = len(asks) + len(untold)
        noted = Noted(job)
        try:
            for look, about in looks.items():
                talks = any(ask.request.talk for ask in about)
                content, parts = await in_thread(
                    self._threads, next_parts, self._jobs, self._model, loading, file, talks
                )
                noted.add(content)
                left -= len(about)
                for ask in ready.get(look, ()):
                    yield question(job, ask, parts)
                async for further in told(self._jobs, job, of_sound.get(look, []), parts):
                    yield further
                noted.began = time.monotonic()
            for ask in asks:
                if not needs_media(ask):  # but answers
                    left -= 1
                    yield Question(job, ask, b"")
        except MediaError as error:
            async for further in give_up(self._jobs, job, left, error, noted.began):
                yield further
        finally:
            with suppress(ValueError):  # a thread is still at it: the run is ended
                loading.close()
            file.discard()


class LoadPictures(Stage):
    """Decodes small pictures, several at a time: what they have in common is that little is to be done about each."""

    def __init__(self, jobs: Jobs, model: ModelClient, sampling: Sampling, loaders: Loaders, threads: Executor) -> None:
        """A group is decoded in one of `threads`, by a process of the `loaders`."""
        self._jobs, self._model, self._sampling = jobs, model, sampling
        self._loaders, self._threads = loaders, threads

    async def process(self, item: SmallPictures, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give the questions about each, and what is to be translated of those that cannot be read."""
        began = time.monotonic()
        loaded = await in_thread(self._threads, self._load, item.files)
        share_s = (time.monotonic() - began) / len(loaded)
        for (job, file, asks, _), outcome in zip(item.files, loaded, strict=True):
            file.discard()
            if isinstance(outcome, MediaError):
                async for further in give_up(self._jobs, job, len(asks), outcome, time.monotonic() - share_s):
                    yield further
                continue
            content, parts = outcome
            Noted(job, time.monotonic() - share_s).add(content)
            for ask in asks:
                yield question(job, ask, parts)

    def _load(self, files: tuple[Unloaded, ...]) -> list[tuple[Content, Parts] | MediaError]:
        """In a thread: as in `Load`."""
        looks = [(each.file.path, each.job.identity) for each in files]
        outcomes = self._loaders.together(looks, self._sampling)
        return [self._ready(each.file, outcome) for each, outcome in zip(files, outcomes, strict=True)]

    def _ready(self, file: LocalFile, outcome: Content | MediaError) -> tuple[Content, Parts] | MediaError:
        try:
            file.check()
        except MediaError as error:
            return error
        if isinstance(outcome, MediaError):
            return outcome
        return outcome.without_frames(), parts_of(outcome, self._jobs, self._model, talks=False)


class LoadScenes(Stage):
    """Decodes a video of which it is not known where its scenes are, once: each is asked about as soon as it ends."""

    def __init__(self, jobs: Jobs, model: ModelClient, sampling: Sampling, loaders: Loaders, threads: Executor) -> None:
        """A file is decoded in one of `threads`, by a process of the `loaders`."""
        self._jobs, self._model, self._sampling = jobs, model, sampling
        self._loaders, self._threads = loaders, threads

    async def process(self, item: Uncut, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give its questions, and in the end those about answers that were there; or what is to be translated."""
        job, file, bounds, asks, whole_untold = item
        jobs = self._jobs
        about_scenes = [it for it in jobs.plan.requests[job.identity.kind] if it.over.scenes == bounds]
        whole, of_sound = by_look(filter(needs_media, asks)), by_look(whole_untold)
        left = sum(map(len, (*whole.values(), *of_sound.values())))
        for ask in asks:
            if not needs_media(ask):
                yield Question(job, ask, b"")
        job.growing += 1
        job.pending += 1  # until all scenes are known, it cannot be finished
        numbers = dict.fromkeys(request.frames for request in about_scenes)
        looks = SceneLooks(bounds, tuple(numbers), tuple(look.frames for look in {**whole, **of_sound}))
        loading = self._loaders.scenes(file.path, job.identity, self._sampling, looks)
        times: dict[int, None] = {}
        noted = Noted(job)
        try:
            while found := await in_thread(self._threads, self._next, loading, file):
                scene, parts = found
                noted.add(scene.content)
                if scene.look.span is None:
                    missing, untold = whole.pop(scene.look, []), of_sound.pop(scene.look, [])
                    left -= len(missing) + len(untold)
                else:
                    times |= dict.fromkeys(scene.look.span)
                    missing, untold = await self._of_scene(job, scene.look, about_scenes)
                for ask in missing:
                    yield question(job, ask, parts)
                async for further in told(jobs, job, untold, parts):
                    yield further
                noted.began = time.monotonic()
            for ask in await self._merges(job, bounds, list(times)):
                yield Question(job, ask, b"")
        except MediaError as error:
            job.give_up(left)
            fail(job, error, noted.began)
        finally:
            with suppress(ValueError):  # a thread is still at it: the run is ended
                loading.close()
            file.discard()
        job.growing -= 1
        job.pending -= 1
        async for further in ended(jobs, job):
            yield further

    async def _of_scene(
        self, job: Job, look: Look, about_scenes: list[Request]
    ) -> tuple[list[UnitRequest], list[UnitRequest]]:
        """What is to be asked about a scene, and what of it is to be told first what is said in it."""
        assert look.span
        unit = window(job.identity.sha256, look.span)
        asked = [request for request in about_scenes if request.frames == look.frames]
        waits = job.hearing is not None
        untold = [UnitRequest(unit, request) for request in asked if request.hears and waits]
        job.add(untold)
        ready = [ask_of(request, unit, job.said) for request in asked if not (request.hears and waits)]
        return await self._jobs.missing(job, ready), untold

    async def _merges(self, job: Job, bounds: SceneBounds, times: list[int]) -> list[UnitRequest]:
        """Remember what is known of its scenes now; what can be merged already of answers about them."""
        probe = job.learn(scenes={**(job.probe.scenes if job.probe else {}), bounds.key: times})
        requests = self._jobs.plan.requests[job.identity.kind]
        about_scenes = [request for request in requests if request.over.scenes]
        job.add_merges(requests, expand(about_scenes, job.identity.sha256, probe, job.said))
        job.events.append(MediaProbed(job.identity, probe, 0))
        await self._jobs.ledger.write(*job.take_events())
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
        parts = parts_of(scene.content, self._jobs, self._model, talks=talks)
        return scene._replace(content=scene.content.without_frames()), parts
