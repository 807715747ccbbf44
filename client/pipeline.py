"""The way of a file: found, loaded, asked about, translated, stored.

    sources -> find -> probe -> load ---> ask -> translate
                 |       |         `> tell -^
                 `-------`----> hear --^

All of them write to the ledger.
Each stage but the last has a bounded queue before it: none runs far ahead of the next one, so memory does not grow
with the number of files. (Answers are short: a translator that is away holds up nobody.) A worker takes its next
request only when the ledger has the answer to the last one: so a killed run has to ask again what was in flight, and
nothing else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from client.errors import BabelviewError
from client.job import Jobs
from client.ledger.writer import Writer
from client.media.kinds import by_suffix
from client.media.loaders import Loaders
from client.sources.fetch import FETCHED_AT_ONCE
from client.stages.ask import Ask
from client.stages.decode import Load, LoadPictures, LoadScenes, Probe
from client.stages.find import Find, Servers
from client.stages.items import (
    LargeSource,
    Later,
    Listener,
    LocalSources,
    Question,
    RemoteSource,
    SmallPictures,
    Sound,
    Uncut,
    Unheard,
    Unloaded,
    Unprobed,
    Untranslated,
)
from client.stages.transcribe import Hear, Listen
from client.stages.translate import Translate
from client.stages.wait_for_transcript import LoadLater, Tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from client.counters import Counters
    from client.endpoints.chat import ModelClient
    from client.endpoints.retry import Notify
    from client.endpoints.speech import SpeechClient
    from client.endpoints.translation import TranslatorClient
    from client.ledger.ledger import Ledger
    from client.media.fork_server import ForkServer
    from client.media.sampling import Sampling
    from client.media.thumbnail_folder import Thumbnails
    from client.sources.fetch import Fetcher
    from client.sources.source import Source
    from client.stages.ask import Told
    from client.stages.stage import Stage
    from client.tasks.plan import Plan

FOUND_TOGETHER, GROUPS_AT_ONCE = 32, 2
"""Local files of a group, and groups that are looked at, or wait for the loaders, at the same time."""
LARGE_AT_ONCE = 2
"""The same of files that take long to read: the next one is read while the last one waits."""
TRANSLATIONS_AT_ONCE = 16
DECODING_STAGES = 3
"""Those that share the loaders, each with as many items as there are: each item has a thread, because a video keeps its
process from one window to the next, and must not wait for the thread of one that waits for a process."""
PROBED_AT_ONCE = 2
LISTENED_AT_ONCE = 2
HEARD_AT_ONCE = 2
"""Files whose sound is transcribed at the same time."""
GRACE_S = 5.0
"""How long requests in flight may still take when the run is interrupted."""


class Placed(NamedTuple):
    """A stage as the runner works it: which items it takes, and how many of them at the same time."""

    stage: Stage
    takes: type
    """The type of its items."""
    workers: int
    """Items that are processed at the same time."""
    waiting: int = 0
    """Items that may wait for it before those who give them have to; 0: any number."""


class Runner:
    """Passes items from stage to stage: each goes to the stage that takes its type."""

    def __init__(self, levels: Sequence[Sequence[Placed]], stop: asyncio.Event, refresh: Callable[[], None]) -> None:
        """Items go from a level to later ones; `refresh` is called after each, and none is begun once `stop` is set."""
        self._levels, self._stop, self._refresh = levels, stop, refresh
        self._queues: dict[type, asyncio.Queue[Any]] = {
            placed.takes: asyncio.Queue(placed.waiting) for level in levels for placed in level
        }

    async def run(self, items: Iterable[Any]) -> None:
        """Take `items` through all stages."""
        for stage in dict.fromkeys(placed.stage for level in self._levels for placed in level):
            await stage.setup()
        for item in items:
            self._queues[type(item)].put_nowait(item)
        ended = [asyncio.Event() for _ in self._levels]
        async with asyncio.TaskGroup() as group:
            for number in range(len(self._levels)):
                group.create_task(self._run_level(number, ended))
            ended[0].set()

    async def _run_level(self, number: int, ended: list[asyncio.Event]) -> None:
        """Let the stages of a level work until the levels before it have come to their end."""
        async with asyncio.TaskGroup() as group:
            for placed in self._levels[number]:
                group.create_task(self._run_stage(placed))
            await ended[number].wait()
            for placed in self._levels[number]:
                await self._queues[placed.takes].put(None)
        if number + 1 < len(ended):
            ended[number + 1].set()

    async def _run_stage(self, placed: Placed) -> None:
        """Let the workers of a stage work until None comes."""
        queue = self._queues[placed.takes]

        async def worker() -> None:
            while (item := await queue.get()) is not None:
                if not self._stop.is_set():
                    async with aclosing(placed.stage.process(item)) as given:
                        async for after in given:
                            await self._queues[type(after)].put(after)
                    self._refresh()
                item = after = None  # a worker that waits keeps no media
            queue.put_nowait(None)  # for the next worker; taking it made room for it

        async with asyncio.TaskGroup() as group:
            for _ in range(placed.workers):
                group.create_task(worker())


class Decoders:
    """The processes that decode: one run's, or those that several share."""

    def __init__(self, count: int, fork_server: ForkServer | None, thumbnails: Thumbnails | None = None) -> None:
        """`count` files are decoded at once to be seen; those that are looked at and heard come on top."""
        self.seeing = Loaders(count, fork_server, thumbnails=thumbnails)
        self.probing = Loaders(PROBED_AT_ONCE, fork_server)
        self.hearing = Loaders(HEARD_AT_ONCE, fork_server, thumbnails=thumbnails)
        self.waiting = Loaders(HEARD_AT_ONCE, fork_server, thumbnails=thumbnails)
        """For what cannot be asked before it is heard."""

    def close(self) -> None:
        """End them, whatever they are doing."""
        for loaders in (self.seeing, self.probing, self.hearing, self.waiting):
            loaders.close()


class Pipeline:
    """One run over many files."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        fetcher: Fetcher,
        model: ModelClient,
        translator: TranslatorClient | None,
        *,
        speech: SpeechClient,
        sampling: Sampling,
        concurrency: int,
        decoders: Decoders,
        ask_once: bool,
        redo: str | None,
        progress: Counters,
        refresh: Callable[[], None],
        notify: Notify,
        stop: asyncio.Event,
        completed: Callable[[Source], None] | None = None,
        told: Told | None = None,
    ) -> None:
        """`concurrency` requests in flight; setting `stop` ends the run early.

        Who gave the `decoders` closes them: before the pipeline, whose threads else wait for them.

        `refresh` is called when `progress` has changed, `completed` with each source that is done or has failed, `told`
        with the pieces of answers as they come.
        """
        self._plan, self._fetcher = plan, fetcher
        self._model, self._translator, self._speech = model, translator, speech
        self._sampling = replace(sampling, scenes=plan.over_scenes)
        self._concurrency, self._ask_once, self._told = concurrency, ask_once, told
        self._progress, self._refresh, self._stop = progress, refresh, stop
        self._decoders, loaders = decoders, decoders.seeing.count
        self._threads = ThreadPoolExecutor(DECODING_STAGES * loaders, "load")
        self._probe_threads = ThreadPoolExecutor(PROBED_AT_ONCE, "probe")
        self._hear_threads = ThreadPoolExecutor(HEARD_AT_ONCE, "hear")
        self._later_threads = ThreadPoolExecutor(HEARD_AT_ONCE + loaders, "later")
        self._ledger_thread = ThreadPoolExecutor(1, "ledger")
        self._writer = Writer(ledger, self._ledger_thread)
        self.jobs = Jobs(plan, self._writer, progress, notify, redo, completed=completed)

    async def run(self, sources: list[Source]) -> None:
        """Do all that is missing for `sources`; ends early, with what is in flight, once `stop` is set.

        Raises:
            BabelviewError: the run cannot go on: a server was lost, or the ledger cannot be written. All that
                was answered before is stored, where it can be.
        """
        self._progress.files = len(sources)
        here = [source for source in sources if not source.remote]
        items: list[LocalSources | RemoteSource] = [
            LocalSources(tuple(here[at : at + FOUND_TOGETHER])) for at in range(0, len(here), FOUND_TOGETHER)
        ]
        items += [RemoteSource(source) for source in sources if source.remote]
        work = asyncio.create_task(Runner(self._levels(sources), self._stop, self._refresh).run(items))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                await asyncio.wait({work}, timeout=GRACE_S)
        finally:
            stopped.cancel()
            work.cancel()
            outcome = await asyncio.gather(work, return_exceptions=True)
            await self._writer.flush()
            self._stop_threads()
        for error in outcome:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise _innermost(error)

    def close(self) -> None:
        """Free the threads."""
        self._stop_threads()
        self._ledger_thread.shutdown()

    def _stop_threads(self) -> None:
        for threads in (self._threads, self._probe_threads, self._hear_threads, self._later_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _levels(self, sources: list[Source]) -> list[list[Placed]]:
        """The stages. What is slow to come holds up nothing that is here: URLs are fetched beside local files."""
        kinds = {kind for source in sources if (kind := by_suffix(PurePath(source.where).suffix))}
        asked = {kind for kind in kinds if self._plan.requests[kind]}
        servers = Servers(self._plan, self._model, self._translator, asked, self._plan.most_frames(self._sampling))
        find = Find(self.jobs, self._fetcher, servers)
        probe = Probe(self.jobs, self._decoders.probing, self._probe_threads)
        hear = Hear(self.jobs, self._speech, self._decoders.hearing, self._hear_threads, once=self._ask_once)
        decode = self.jobs, self._model, self._sampling, self._decoders.seeing
        load, load_pictures, load_scenes = (stage(*decode, self._threads) for stage in (Load, LoadPictures, LoadScenes))
        load_later = LoadLater(*decode, self._later_threads, waiting_loaders=self._decoders.waiting)
        ask = Ask(self.jobs, self._model, at_once=self._concurrency, once=self._ask_once, told=self._told)
        loaders = self._decoders.seeing.count
        return [
            [Placed(find, LocalSources, GROUPS_AT_ONCE), Placed(find, RemoteSource, FETCHED_AT_ONCE)],
            [Placed(find, LargeSource, LARGE_AT_ONCE)],
            [Placed(probe, Unprobed, PROBED_AT_ONCE, loaders)],
            [Placed(Listen(self.jobs), Unheard, LISTENED_AT_ONCE)],
            [Placed(hear, Sound, HEARD_AT_ONCE)],
            [
                Placed(load, Unloaded, loaders, loaders),
                Placed(load_pictures, SmallPictures, loaders, 1),
                Placed(load_scenes, Uncut, loaders, loaders),
                Placed(load_later, Later, HEARD_AT_ONCE + loaders),
                Placed(Tell(self.jobs), Listener, HEARD_AT_ONCE + 1),
            ],
            [Placed(ask, Question, self._concurrency, self._concurrency)],
            [Placed(Translate(self.jobs, self._translator), Untranslated, TRANSLATIONS_AT_ONCE)],
        ]


def _innermost(error: BaseException) -> BaseException:
    """The error that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        known = [inner for inner in error.exceptions if isinstance(inner, BabelviewError | BaseExceptionGroup)]
        error = (known or list(error.exceptions))[0]
    return error
