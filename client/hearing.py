"""The stage that hears: the sound of a file is transcribed piece by piece, while the rest of it is asked about."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from client.checks.issues import OK
from client.checks.speech import transcribe_reviewed
from client.endpoints.completion import Answer
from client.errors import MediaError, RefusedError, RequestError, StoppedError, UnreadError
from client.items import Question, Uncut, Unheard, Unloaded, Untranslated
from client.ledger.events import AnswerStored, MediaLoaded, MediaProbed, RequestFailed
from client.media.content import Facts, Probe, SoundEnd
from client.media.kinds import Kind
from client.resume import new_translations
from client.stages import Stage, needs_media, to_see, without_media
from client.tasks import units
from client.tasks.plan import Request, UnitRequest, unknown_scenes
from client.tasks.transcript import NOTHING_SAID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from concurrent.futures import Executor

    from client.endpoints.speech import SpeechClient
    from client.job import Job, Jobs
    from client.media.content import SoundPiece
    from client.media.loaders import Loaders
    from client.sources.source import LocalFile

logger = logging.getLogger(__name__)

PIECES_AT_ONCE = 8
"""That are transcribed at the same time; each is 2 MB at most."""


class Hear(Stage):
    """Decodes the sound of a file and has it transcribed; what else is to be asked goes its way before that."""

    def __init__(
        self, jobs: Jobs, speech: SpeechClient, loaders: Loaders, threads: Executor, *, once: bool = False
    ) -> None:
        """A file is decoded in one of `threads`, by a process of the `loaders`; `once`: nothing is asked again."""
        self._jobs, self._speech, self._once = jobs, speech, once
        self._loaders, self._threads = loaders, threads
        self._slots = asyncio.Semaphore(PIECES_AT_ONCE)

    async def process(self, item: Unheard, /) -> AsyncGenerator[Uncut | Unloaded | Question | Untranslated, None]:
        """Give the file to be seen, and after what is said in it, if nothing else is missing, its translation."""
        job, file, probe, _, asks = item
        kind = job.identity.kind
        if any(request.hears for request in self._jobs.plan.requests[kind]):
            async for further in self._before(item):
                yield further
            return
        job.pending += 1  # until all is heard, it cannot be finished
        try:
            if unknown_scenes(self._jobs.plan.requests[kind], kind, probe) or any(map(needs_media, asks)):
                yield to_see(self._jobs, job, file.second(), asks, probe)
            else:
                for ask in asks:
                    yield Question(job, ask, b"")
            if not await self._hear(item):
                return
        except UnreadError as error:
            job.problems.append(str(error))
            job.unread = True
        finally:
            file.discard()
        await self._jobs.ledger.write(*job.take_events())
        job.pending -= 1
        if job.pending == 0 and job.texts:
            yield Untranslated(job)
        elif job.pending == 0:
            await self._jobs.finish(job)

    async def _before(self, item: Unheard) -> AsyncGenerator[Uncut | Unloaded | Question | Untranslated, None]:
        """Hear the file before all that is asked about it, which is told what is said."""
        job, file = item.job, item.file
        try:
            if not await self._hear(item):
                file.discard()
                return
        except UnreadError as error:
            file.discard()
            job.problems.append(str(error))
            job.unread = True
            await self._jobs.finish(job)
            return
        await self._jobs.ledger.write(*job.take_events())
        job.texts, job.problems = [], []  # which are found again
        ((stored, redo),) = await self._jobs.look_up([job])
        asks = self._jobs.expand(job, stored, redo)
        kind = job.identity.kind
        if unknown_scenes(self._jobs.plan.requests[kind], kind, stored.probe) or any(map(needs_media, asks)):
            yield to_see(self._jobs, job, file, asks, stored.probe)
            return
        file.discard()
        async for further in without_media(self._jobs, job, asks):
            yield further

    async def _hear(self, item: Unheard) -> bool:
        """Transcribe all pieces that are not yet, and remember which there are; whether the run goes on.

        Raises:
            UnreadError: the file has changed.
        """
        job, file, probe, over, _ = item
        began = time.monotonic()
        loading = self._loaders.sound(file.path, job.identity, over.track)
        heard = _Heard([it for it in self._jobs.plan.requests[job.identity.kind] if it.over == over])
        try:
            async with asyncio.TaskGroup() as group:
                await self._begin_pieces(job, file, loading, heard, group)
        finally:
            with suppress(ValueError):  # a thread is still at it: the run is ended
                loading.close()
        if heard.unread:
            raise heard.unread
        if not all(task.result() for task in heard.asking):
            return False
        took_s = job.add_loading(began)
        if not heard.spans:
            await self._note_silence(job, heard)
        known = probe or Probe(heard.end.duration_us)
        sound = {**known.sound, over.sound_key: heard.spans}
        warnings = [*heard.end.warnings, *([heard.error] if heard.error else [])]
        of_sound = {**known.sound_warnings, over.sound_key: [f"sound: {text}" for text in warnings]}
        job.events.append(MediaProbed(job.identity, replace(known, sound=sound, sound_warnings=of_sound), took_s))
        if job.identity.kind is Kind.AUDIO and not heard.error:
            job.events.append(MediaLoaded(job.identity, 0.0, Facts(0, 0, round(heard.end.duration_us / 1e6, 3))))
        return True

    async def _begin_pieces(
        self,
        job: Job,
        file: LocalFile,
        loading: Generator[SoundPiece | SoundEnd, None, None],
        heard: _Heard,
        group: asyncio.TaskGroup,
    ) -> None:
        """Decode piece after piece, and have each transcribed in the `group`; what is decoded waits for a free slot."""
        try:
            while found := await self._next(loading, file):
                if isinstance(found, SoundEnd):
                    heard.end = found
                    continue
                heard.spans.append((found.span.start_us, found.span.end_us))
                unit = units.sound(job.identity.sha256, found.span)
                for ask in await self._jobs.missing(job, [UnitRequest(unit, it) for it in heard.requests]):
                    await self._slots.acquire()
                    heard.asking.append(group.create_task(self._transcribe(job, ask, found)))
        except UnreadError as error:
            heard.unread = error
        except MediaError as error:
            heard.error = str(error)

    async def _note_silence(self, job: Job, heard: _Heard) -> None:
        """There is nothing to be heard, or nothing that can be decoded: that is the answer about the whole file."""
        for request in heard.requests:
            ask = UnitRequest(units.whole(job.identity.sha256), request)
            for missing in await self._jobs.missing(job, [ask]):
                job.pending -= 1
                if heard.error:
                    self._failed(job, missing, heard.error, final=True)
                else:
                    job.events.append(AnswerStored(missing, Answer(NOTHING_SAID, "stop", 0, 0, 0.0)))

    async def _next(
        self, loading: Generator[SoundPiece | SoundEnd, None, None], file: LocalFile
    ) -> SoundPiece | SoundEnd | None:
        """The next piece, decoded in a thread."""

        def decode() -> SoundPiece | SoundEnd | None:
            try:
                return next(loading, None)
            finally:
                file.check()

        return await asyncio.get_running_loop().run_in_executor(self._threads, decode)

    async def _transcribe(self, job: Job, ask: UnitRequest, piece: SoundPiece) -> bool:
        """Have a piece transcribed, and store what is said; whether the run goes on."""
        progress = self._jobs.progress
        progress.in_flight += 1
        try:
            answer, given = await transcribe_reviewed(self._speech, ask.request, piece, job.name, once=self._once)
        except StoppedError:
            return False
        except RequestError as error:
            progress.requests_failed += 1
            self._failed(job, ask, str(error), final=isinstance(error, RefusedError))
        else:
            job.events.append(AnswerStored(ask, answer))
            progress.count(answer.verdict, given)
            if answer.verdict != OK:
                logger.warning("%s %s: %s answer: %s", job.name, ask.label, answer.verdict, "; ".join(answer.reasons))
            job.texts += new_translations(ask, answer.text, self._jobs.plan)
        finally:
            progress.in_flight -= 1
            self._slots.release()
        progress.requests += 1
        job.pending -= 1
        self._jobs.count(job)
        await self._jobs.ledger.write(*job.take_events())
        return True

    def _failed(self, job: Job, ask: UnitRequest, reason: str, *, final: bool) -> None:
        job.problems.append(f"{ask.label}: {reason}")
        logger.warning("%s %s: failed: %s", job.name, ask.label, reason)
        job.events.append(RequestFailed(ask, reason, final))


@dataclass(slots=True)
class _Heard:
    """What is known of the sound of a file so far."""

    requests: list[Request]
    spans: list[tuple[int, int]] = field(default_factory=list)
    asking: list[asyncio.Task[bool]] = field(default_factory=list)
    end: SoundEnd = field(default_factory=lambda: SoundEnd(0))
    error: str | None = None
    """Why it cannot be decoded, or not all of it."""
    unread: UnreadError | None = None
