"""The stages of what waits until it is known what is said in its time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from client.errors import MediaError
from client.pending_transcript import Parts
from client.stages.questions import Noted, by_look, give_up, in_thread, next_parts, question
from client.stages.stage import Stage, ended, needs_media
from client.tasks.plan import UnitRequest, in_order

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from concurrent.futures import Executor

    from client.endpoints.chat import ModelClient
    from client.job import Jobs
    from client.media.content import Content
    from client.media.loaders import Loaders
    from client.media.sampling import Sampling
    from client.stages.items import Later, Listener, Question, Untranslated


class Tell(Stage):
    """Lets go what is decoded and held, as the transcript of a file reaches its time."""

    def __init__(self, jobs: Jobs) -> None:
        """What is held is counted by `jobs`."""
        self._jobs = jobs

    async def process(self, item: Listener, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give questions as soon as each can be told what is said."""
        job, hearing = item
        while True:
            over, news = hearing.over, hearing.news  # nothing more will be held if it is over
            for held in self._jobs.take_held(hearing):
                asks = await self._jobs.tell(job, hearing, held.untold)
                for ask in asks:
                    yield question(job, ask, held.parts)
                if not asks:
                    async for further in ended(self._jobs, job):
                        yield further
            if over:
                return
            await news.wait()


class LoadLater(Stage):
    """Decodes windows of a file one after the other, each when it is known what is said in it."""

    def __init__(
        self,
        jobs: Jobs,
        model: ModelClient,
        sampling: Sampling,
        loaders: Loaders,
        threads: Executor,
        *,
        waiting_loaders: Loaders,
    ) -> None:
        """A file is decoded in one of `threads`.

        As long as it may have to be waited for what is said, that is done by one of the `waiting_loaders`, which nobody
        else needs, and after that by one of the `loaders`.
        """
        self._jobs, self._model, self._sampling = jobs, model, sampling
        self._loaders, self._waiting_loaders, self._threads = loaders, waiting_loaders, threads

    async def process(self, item: Later, /) -> AsyncGenerator[Question | Untranslated, None]:
        """Give the questions about each window."""
        job, file, hearing, untold = item
        # What is about all of the file waits the longest.
        waiting = by_look(sorted(in_order(untold), key=lambda ask: ask.unit.span is None))
        loading: Generator[Content, None, None] | None = None
        loaders, asks = self._waiting_loaders, list[UnitRequest]()
        noted = Noted(job)
        try:
            while waiting:
                look = next(iter(waiting))
                while not hearing.knows(look.span):
                    await hearing.news.wait()
                if hearing.over and loaders is self._waiting_loaders:
                    _close(loading)
                    loaders, loading = self._loaders, None
                asks = await self._jobs.tell(job, hearing, waiting.pop(look))
                parts, noted.began = Parts({}), time.monotonic()
                if loading is None and any(map(needs_media, asks)):
                    loading = loaders.load(file.path, job.identity, self._sampling, [look, *waiting])
                if loading:
                    talks = any(ask.request.talk for ask in asks)
                    content, parts = await in_thread(
                        self._threads, next_parts, self._jobs, self._model, loading, file, talks
                    )
                    noted.add(content)
                for ask in asks:
                    yield question(job, ask, parts)
                if not asks:
                    async for further in ended(self._jobs, job):
                        yield further
        except MediaError as error:
            async for further in give_up(
                self._jobs, job, len(asks) + sum(map(len, waiting.values())), error, noted.began
            ):
                yield further
        finally:
            _close(loading)
            file.discard()


def _close(loading: Generator[Content, None, None] | None) -> None:
    with suppress(ValueError):  # a thread is still at it: the run is ended
        if loading:
            loading.close()
