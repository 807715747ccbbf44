"""The stages of a run: each takes items of one type and gives those of later stages.

    LocalSources, LargeSource, RemoteSource -> Find -> Unprobed -> Probe -> Unloaded -> Load -> Question -> Ask
    -> Untranslated -> Translate                    |`-> Uncut -> LoadScenes ------------------|
                                                    |`-> SmallPictures -> LoadPictures --------|
                                                     `-> Unheard -> Listen -> Sound -> Hear    |
        (and Listen gives Unloaded or Uncut)                  Listener -> Tell <-'`-> Later -> LoadLater

Those that decode stand in `decode`, those that hear in `transcribe`, what waits for that in `wait_for_transcript`.
A stage may skip others, and gives nothing for a file that is finished. Finding (hashing, fetching) uses threads,
probing and loading processes (decoders may crash), asking and translating are tasks that wait for servers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from client.checks.issues import OK
from client.checks.review import ask_reviewed
from client.endpoints.completion import Answer
from client.endpoints.streamed import StreamedModel
from client.errors import MediaError, RefusedError, RequestError, ServiceLostError, StoppedError
from client.ledger.events import AnswerStored, RequestFailed, TranslationsStored, UriSeen
from client.ledger.rows import StoredTranslation
from client.media.kinds import Kind
from client.resume import new_translations
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
from client.tasks.plan import needs_probe, unknown_scenes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from client.endpoints.chat import ModelClient
    from client.endpoints.translation import TranslatorClient
    from client.job import Job, Jobs
    from client.ledger.events import Event
    from client.ledger.redo import Redo
    from client.ledger.rows import StoredFile
    from client.resume import PendingTranslation
    from client.sources.fetch import Fetcher
    from client.sources.source import Found, KnownSource, LocalFile, Source
    from client.stages.items import RemoteSource
    from client.tasks.plan import Plan, UnitRequest

AfterFinding: TypeAlias = Unprobed | Unheard | Uncut | Unloaded | SmallPictures | Question | Untranslated
"""What comes next about a file."""
Told: TypeAlias = "Callable[[UnitRequest, str | None], None]"
"""Is told the pieces of an answer as they come; None: it is asked for once more, and what was told is void."""

logger = logging.getLogger(__name__)

PICTURES_TOGETHER, _TOGETHER_BYTES = 8, 256 << 10
"""Small pictures that are decoded together, and what they may have: to hand on one by one takes as long as all else."""


class Stage(ABC):
    """Something that is done with items one by one, with several at the same time."""

    async def setup(self) -> None:  # noqa: B027  # most stages need nothing
        """Get ready, once, before the first item: connect, load. Nothing unless a stage says otherwise."""

    @abstractmethod
    def process(self, item: Any, /) -> AsyncGenerator[Any, None]:
        """Do it; gives items for other stages. An item that comes is passed on before the next one is worked on."""


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


class Ask(Stage):
    """Sends requests, and checks the answers; the last one of a file sends the file on."""

    def __init__(
        self, jobs: Jobs, model: ModelClient, *, at_once: int, once: bool = False, told: Told | None = None
    ) -> None:
        """`at_once` requests go to `model`, a second time for what is no caption, unless `once` is enough.

        Answers stream if they are to be `told`.
        """
        self._jobs, self._model, self._once, self._told = jobs, model, once, told
        self._slots = asyncio.Semaphore(at_once)

    async def process(self, item: Question, /) -> AsyncGenerator[Untranslated, None]:
        """Give the file once it has all answers, if any of them is to be translated."""
        job, ask, parts = item
        job.asking_since = job.asking_since or time.monotonic()
        if not await self._ask_all(job, ask, parts):
            return
        job.add_seconds(job.asking_since)
        if not job.texts:
            await self._jobs.finish(job)
            return
        await self._jobs.ledger.write(*job.take_events())
        yield Untranslated(job)

    async def _ask_all(self, job: Job, ask: UnitRequest, parts: bytes) -> bool:
        """Ask, and then for all that is to be merged of the answer; returns whether nothing is missing any more."""
        async with self._slots:  # until the answer is stored: a kill costs what is in flight alone
            asked, text = await self._ask(job, ask, parts)
            if not asked:
                return False
            merges = await self._jobs.followers(job, ask, text) if text is not None else []
            job.pending -= 1
            self._jobs.count(job)
            last = job.pending == 0
            if not last:
                await self._jobs.ledger.write(*job.take_events())
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self._ask_all(job, merge, b"")) for merge in merges]
        return last or any(task.result() for task in asking)

    async def _ask(self, job: Job, ask: UnitRequest, parts: bytes) -> tuple[bool, str | None]:
        """Send a request: whether it came to an end, and the text of the answer if there is one."""
        if ask.request.measure:
            job.events.append(AnswerStored(ask, Answer(parts.decode(), "stop", 0, 0, 0.0)))
            return True, parts.decode()
        progress = self._jobs.progress
        progress.in_flight += 1
        answer: Answer | None = None
        try:
            model = StreamedModel(self._model, partial(self._told, ask)) if self._told else self._model
            answer, given = await ask_reviewed(model, ask.request, parts, job.name, once=self._once)
        except StoppedError:
            return False, None
        except RequestError as error:
            reason, final = str(error), isinstance(error, RefusedError)
            job.problems.append(f"{ask.label}: {reason}")
            progress.requests_failed += 1
            logger.warning("%s %s: failed: %s", job.name, ask.label, reason)
            job.events.append(RequestFailed(ask, reason, final))
        else:
            job.events.append(AnswerStored(ask, answer))
            progress.count(answer.verdict, given)
            _log_answer(job, ask, answer)
            job.texts += new_translations(ask, answer.text, self._jobs.plan)
        finally:
            progress.in_flight -= 1
        progress.requests += 1
        return True, answer.text if answer else None


class Translate(Stage):
    """Translates what is new of a file, in one call for each language that it is in."""

    def __init__(self, jobs: Jobs, translator: TranslatorClient | None) -> None:
        """Without a translator nothing is translated."""
        self._jobs, self._translator = jobs, translator

    async def process(self, item: Untranslated, /) -> AsyncGenerator[Untranslated, None]:
        """Finish the file, also if it cannot be translated: another run will."""
        (job,) = item
        if self._translator:
            for source in dict.fromkeys(pending.source for pending in job.texts):
                same = [pending for pending in job.texts if pending.source == source]
                if not await self._translate(self._translator, job, same, source):
                    return
        await self._jobs.finish(job)
        return
        yield  # type: ignore[unreachable]  # it makes this a generator, as the process of every stage is

    async def _translate(
        self, translator: TranslatorClient, job: Job, pending: list[PendingTranslation], source: str
    ) -> bool:
        """Translate what is in one language; whether the run goes on."""
        began = time.monotonic()
        missing = {code for each in pending for code in each.languages}
        languages = [code for code in dict.fromkeys((*self._jobs.plan.languages, *sorted(missing))) if code in missing]
        texts = [text for each in pending for text in each.texts]
        try:
            rows = iter(await translator.translate(texts, languages, job.name, source))
        except StoppedError:
            return False
        except (RequestError, ServiceLostError) as error:
            # Asking goes on without the translator.
            job.problems.append(f"translation: {error}")
            logger.warning("%s: translation failed: %s", job.name, error)
            return True
        took = time.monotonic() - began
        logger.info("%s: translated into %s in %.2f s", job.name, ",".join(languages), took)
        job.add_seconds(began)
        job.reused = False
        for each in pending:
            translated = [next(rows) for _ in each.texts]
            by_language = {code: StoredTranslation.joined([row[code] for row in translated]) for code in languages}
            job.events.append(TranslationsStored(each.ask, by_language))
        return True


def _is_small_picture(found: Found) -> bool:
    return found.known.identity.kind is Kind.IMAGE and found.known.size <= _TOGETHER_BYTES


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


def _log_answer(job: Job, ask: UnitRequest, answer: Answer) -> None:
    logger.info(
        "%s %s: answered in %.2f s, %d + %d tokens, %s",
        *(job.name, ask.label, answer.request_s, answer.prompt_tokens, answer.generated_tokens, answer.finish_reason),
    )
    if answer.verdict != OK:
        logger.warning("%s %s: %s answer: %s", job.name, ask.label, answer.verdict, "; ".join(answer.reasons))
