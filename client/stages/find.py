"""Finding: a source is recognised, and what is missing of it is looked up."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from client.errors import MediaError
from client.ledger.events import UriSeen
from client.media.kinds import Kind
from client.stages.items import (
    LargeSource,
    LocalSources,
    Question,
    SmallPictures,
    Uncut,
    Unheard,
    Unloaded,
    Unprobed,
    Untranslated,
)
from client.stages.stage import Stage, needs_media, to_load, without_media
from client.tasks.plan import needs_probe, unknown_scenes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from client.endpoints.chat import ModelClient
    from client.endpoints.translation import TranslatorClient
    from client.job import Job, Jobs
    from client.ledger.events import Event
    from client.ledger.redo import Redo
    from client.ledger.rows import StoredFile
    from client.sources.fetch import Fetcher
    from client.sources.source import Found, KnownSource, LocalFile, Source
    from client.stages.items import RemoteSource
    from client.tasks.plan import Plan

AfterFinding: TypeAlias = Unprobed | Unheard | Uncut | Unloaded | SmallPictures | Question | Untranslated
"""What comes next about a file."""

PICTURES_TOGETHER, _TOGETHER_BYTES = 16, 256 << 10
"""Small pictures that are decoded together, and what they may have: to hand on one by one takes as long as all else."""


class Servers:
    """Looks once, before anything is decoded, whether the servers know the models and languages."""

    def __init__(
        self, plan: Plan, model: ModelClient, translator: TranslatorClient | None, kinds: set[Kind], frames: int
    ) -> None:
        """`kinds` of files are expected; of videos at most so many `frames` are sent."""
        self._plan, self._model, self._translator = plan, model, translator
        self._kinds, self._frames = kinds, frames
        self._checked: set[tuple[Kind, bool]] = set()

    async def check(self, kind: Kind, *, asks: bool) -> None:
        """Make sure that they know what a file of this kind needs, and all expected ones.

        Raises:
            UsageError: they do not.
            ServiceLostError: the endpoint is not there, or keeps us out.
            StoppedError: the run was stopped meanwhile.
        """
        if (kind, asks) in self._checked:
            return
        expected = {kind for kind in (*self._kinds, kind) if self._plan.models_asked(kind)}
        speech_model = self._plan.speech_model
        if not (expected or speech_model):
            return
        if self._translator:  # first: it is not waited for, if it is away
            await self._translator.check(self._plan.languages)
        if asks:
            asked = {model for kind in expected for model in self._plan.models_asked(kind)}
            await self._model.check(asked | {self._plan.models[kind] for kind in expected})
            for kind_of_file in expected:
                self._model.check_media(self._plan.models[kind_of_file], kind_of_file, self._frames)
            if speech_model:
                self._model.check_speech(speech_model)
        self._checked.add((kind, asks))


class Find(Stage):
    """Recognises a file and looks up what is known of it; where something is to be asked, gets it."""

    def __init__(self, jobs: Jobs, fetcher: Fetcher, servers: Servers) -> None:
        """`servers` are checked before the first file of which something is missing."""
        self._jobs, self._fetcher, self._servers = jobs, fetcher, servers

    async def process(
        self, item: LocalSources | LargeSource | RemoteSource, /
    ) -> AsyncGenerator[LargeSource | AfterFinding, None]:
        """Give what is to be done next about a source's content, unless it is in work or done.

        A local file that takes long to read is given on, so that it holds up no other.
        """
        if isinstance(item, LocalSources):
            async for further in self._find_local(item.sources):
                yield further
            return
        (source,) = item
        self._jobs.progress.files_in_flight += not isinstance(item, LargeSource)  # which has been counted
        try:
            (known,) = await self._jobs.known([source])
            found = await self._fetcher.find(source, known)
        except MediaError as error:
            await self._jobs.complete_source(source, None, [str(error)], [])
            return
        async for after in self._take([(source, known, found)]):
            yield after

    async def _find_local(self, sources: tuple[Source, ...]) -> AsyncGenerator[LargeSource | AfterFinding, None]:
        """Files of this machine, together: to the ledger and to a thread and back takes longer than a small file."""
        self._jobs.progress.files_in_flight += len(sources)
        waiting = deque(zip(sources, await self._jobs.known(sources), strict=True))
        while waiting:
            found: list[tuple[Source, KnownSource | None, Found]] = []
            for outcome in await self._fetcher.find_small(list(waiting)):
                source, known = waiting.popleft()
                if outcome is None:
                    yield LargeSource(source)
                elif isinstance(outcome, MediaError):
                    await self._jobs.complete_source(source, None, [str(outcome)], [])
                else:
                    found.append((source, known, outcome))
            async for further in self._take(found):
                yield further

    async def _take(
        self, sources: list[tuple[Source, KnownSource | None, Found]]
    ) -> AsyncGenerator[AfterFinding, None]:
        begun: list[tuple[Job, Found]] = []
        for source, known, found in sources:
            events: list[Event] = [UriSeen(source.uri, found.known)] if found.known != known else []
            identity = found.known.identity
            if same := self._jobs.find(identity.sha256):
                found.discard()
                same.sources.append(source)
                if same.finished:
                    await self._jobs.complete_source(source, same, same.problems, events)
                else:
                    same.events += events
            elif failed := self._jobs.failed(identity, source):
                found.discard()
                await self._jobs.complete_source(source, failed, failed.problems, events)
            else:
                begun.append((self._jobs.begin(identity, source, events), found))
        looked_up = await self._jobs.look_up([job for job, _ in begun])
        small, size = list[Unloaded](), 0
        for (job, found), (stored, redo) in zip(begun, looked_up, strict=True):
            async for further in self._go_on(job, found, stored, redo):
                is_small = isinstance(further, Unloaded) and _is_small_picture(found)
                is_full = len(small) == PICTURES_TOGETHER or size + found.known.size > _TOGETHER_BYTES
                if small and (not is_small or is_full):
                    yield SmallPictures(tuple(small))
                    small, size = [], 0
                if isinstance(further, Unloaded) and is_small:
                    small.append(further)
                    size += found.known.size
                else:
                    yield further
        if small:
            yield SmallPictures(tuple(small))

    async def _go_on(
        self, job: Job, found: Found, stored: StoredFile, redo: Redo | None
    ) -> AsyncGenerator[Unprobed | Unheard | Uncut | Unloaded | Question | Untranslated, None]:
        requests = self._jobs.plan.requests[job.identity.kind]
        readable = redo is not None or stored.error is None
        unprobed = readable and needs_probe(requests, job.identity.kind) and not stored.probe
        uncut = readable and bool(unknown_scenes(requests, job.identity.kind, stored.probe))
        asks = self._jobs.expand(job, stored, redo)
        unheard = bool(job.unheard)
        if unprobed or uncut or unheard or asks or job.texts:
            await self._servers.check(job.identity.kind, asks=unprobed or uncut or unheard or bool(asks))
        if unprobed or uncut or unheard or any(needs_media(ask) for ask in asks):
            if file := await self._get(job, job.sources[0], found):
                yield Unprobed(job, file) if unprobed else to_load(self._jobs, job, file, asks)
            return
        found.discard()
        async for further in without_media(self._jobs, job, asks):
            yield further

    async def _get(self, job: Job, source: Source, found: Found) -> LocalFile | None:
        """The file; None where it cannot be had, which ends the job."""
        try:
            return found.file or await self._fetcher.get(source, found.known)
        except MediaError as error:
            job.problems.append(str(error))
            job.unread = True
            await self._jobs.finish(job)
            return None


def _is_small_picture(found: Found) -> bool:
    return found.known.identity.kind is Kind.IMAGE and found.known.size <= _TOGETHER_BYTES
