"""The stages that hear: the sound of a file is transcribed piece by piece, while the rest of it is asked about.

What is told what is said waits for as much of that as it needs: a window for its end, the whole file for what fits into
a prompt. All else waits for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client.checks.issues import OK
from client.checks.speech import transcribe_reviewed
from client.endpoints.completion import Answer
from client.errors import MediaError, RefusedError, RequestError, StoppedError, UnreadError
from client.ledger.events import AnswerStored, MediaLoaded, MediaProbed, RequestFailed
from client.media.content import Facts, SoundEnd, SoundSilence
from client.media.kinds import Kind
from client.pending_transcript import Hearing
from client.resume import new_translations
from client.stages.items import Later, Listener, Question, Sound, Uncut, Unheard, Unloaded, Untranslated
from client.stages.stage import Stage, ended, needs_media, to_see
from client.tasks import transcript, units
from client.tasks.plan import Request, UnitRequest, expand, unknown_scenes, untold
from client.tasks.transcript import NOTHING_SAID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from concurrent.futures import Executor

    from client.endpoints.speech import SpeechClient
    from client.job import Job, Jobs
    from client.media.content import SoundPart, SoundPiece
    from client.media.loaders import Loaders
    from client.sources.source import LocalFile
    from client.tasks.transcript import Said

logger = logging.getLogger(__name__)

PIECES_AT_ONCE = 8
"""That are transcribed at the same time; each is 2 MB at most."""
MOST_WAITING = 16
"""Windows of a file that are decoded before it is known what is said in them, once for all requests. Those of a longer
one are decoded as the transcript reaches them."""


class Listen(Stage):
    """Sends a file to be seen and to be heard at the same time."""

    def __init__(self, jobs: Jobs) -> None:
        """Look at what the plan of `jobs` asks."""
        self._jobs = jobs

    async def process(self, item: Unheard, /) -> AsyncGenerator[Sound | Uncut | Unloaded | Question, None]:
        """Give the file with what waits for nothing, or can be held until it is told what is said; and its sound."""
        job, file, over, asks = item
        kind, requests = job.identity.kind, self._jobs.plan.requests[job.identity.kind]
        hearing = job.hearing = Hearing()
        job.pending += 1  # until all is heard, it cannot be finished
        job.growing += 1
        waiting = untold(requests, job.identity.sha256, job.probe)
        job.add(waiting)
        windows = [ask for ask in waiting if ask.unit.span]
        if len({ask.unit.span for ask in windows}) > MOST_WAITING:
            hearing.later, waiting = windows, [ask for ask in waiting if not ask.unit.span]
        sees = unknown_scenes(requests, kind, job.probe) or waiting or any(map(needs_media, asks))
        seen = to_see(self._jobs, job, file.second(), asks, waiting) if sees else None
        yield Sound(job, file, over)
        if seen:
            yield seen
            return
        for ask in asks:
            yield Question(job, ask, b"")


class Hear(Stage):
    """Decodes the sound of a file and has it transcribed."""

    def __init__(
        self, jobs: Jobs, speech: SpeechClient, loaders: Loaders, threads: Executor, *, once: bool = False
    ) -> None:
        """A file is decoded in one of `threads`, by a process of the `loaders`; `once`: nothing is asked again."""
        self._jobs, self._speech, self._once = jobs, speech, once
        self._loaders, self._threads = loaders, threads
        self._slots = asyncio.Semaphore(PIECES_AT_ONCE)

    async def process(self, item: Sound, /) -> AsyncGenerator[Listener | Later | Question | Untranslated, None]:
        """Give what waits for what is said, before that is known, and if nothing else is missing, what comes next."""
        job, file, _ = item
        hearing, requests = job.hearing, self._jobs.plan.requests[job.identity.kind]
        assert hearing
        try:
            if any(request.hears for request in requests):
                yield Listener(job, hearing)
            if hearing.later:
                yield Later(job, file.second(), hearing, hearing.take_later())
            try:
                if not await self._hear(item, hearing):
                    return
            except UnreadError as error:
                job.problems.append(str(error))
                job.unread = True
                hearing.end(lost=True)
            await self._jobs.ledger.write(*job.take_events())
            if not hearing.lost:
                job.said = hearing.said
                hears = [request for request in requests if request.hears]
                job.add_merges(requests, expand(hears, job.identity.sha256, job.probe, job.said))
            hearing.end()
            for ask in await self._jobs.ready_merges(job):
                yield Question(job, ask, b"")
            if hearing.later:
                yield Later(job, file.second(), hearing, hearing.take_later())
        finally:
            hearing.end(lost=True)  # if it was not ended before: the run is
            file.discard()
        job.growing -= 1
        job.pending -= 1
        async for further in ended(self._jobs, job):
            yield further

    async def _hear(self, item: Sound, hearing: Hearing) -> bool:
        """Transcribe all pieces that are not yet, and remember which there are; whether the run goes on.

        Raises:
            UnreadError: the file has changed.
        """
        job, file, over = item
        began = time.monotonic()
        loading = self._loaders.sound(file.path, job.identity, over.track)
        heard = _Heard([it for it in self._jobs.plan.requests[job.identity.kind] if it.over == over], hearing)
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
        known = job.probe or job.learn(duration_us=heard.end.duration_us)
        warnings = [*heard.end.warnings, *([heard.error] if heard.error else [])]
        known = job.learn(
            sound={**known.sound, over.sound_key: heard.spans},
            sound_warnings={**known.sound_warnings, over.sound_key: [f"sound: {text}" for text in warnings]},
        )
        job.events.append(MediaProbed(job.identity, known, took_s))
        if job.identity.kind is Kind.AUDIO and not heard.error:
            job.events.append(MediaLoaded(job.identity, 0.0, Facts(0, 0, round(heard.end.duration_us / 1e6, 3))))
        return True

    async def _begin_pieces(
        self,
        job: Job,
        file: LocalFile,
        loading: Generator[SoundPart, None, None],
        heard: _Heard,
        group: asyncio.TaskGroup,
    ) -> None:
        """Decode piece after piece, and have each transcribed in the `group`; what is decoded waits for a free slot."""
        try:
            while found := await self._next(loading, file):
                if isinstance(found, SoundEnd):
                    heard.end = found
                elif isinstance(found, SoundSilence):
                    heard.hearing.pass_silence(found.until_us)
                else:
                    await self._begin_piece(job, found, heard, group)
        except UnreadError as error:
            heard.unread = error
        except MediaError as error:
            heard.error = str(error)

    async def _begin_piece(self, job: Job, piece: SoundPiece, heard: _Heard, group: asyncio.TaskGroup) -> None:
        heard.spans.append((piece.span.start_us, piece.span.end_us))
        heard.hearing.begin(piece.span)
        unit = units.sound(job.identity.sha256, piece.span)
        for number, request in enumerate(heard.requests):
            ask, tells = UnitRequest(unit, request), heard.hearing if number == 0 else None
            text = await self._jobs.answered(job, ask)
            if text is None:
                await self._slots.acquire()
                heard.asking.append(group.create_task(self._transcribe(job, ask, piece, tells)))
            elif tells:
                tells.add(piece.span, _said(text))

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

    async def _next(self, loading: Generator[SoundPart, None, None], file: LocalFile) -> SoundPart | None:
        """The next piece, decoded in a thread."""

        def decode() -> SoundPart | None:
            try:
                return next(loading, None)
            finally:
                file.check()

        return await asyncio.get_running_loop().run_in_executor(self._threads, decode)

    async def _transcribe(self, job: Job, ask: UnitRequest, piece: SoundPiece, tells: Hearing | None) -> bool:
        """Have a piece transcribed, and store what is said, for who waits for it too; whether the run goes on."""
        said = ""
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
            said = answer.text
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
        if tells:
            tells.add(piece.span, _said(said))
        return True

    def _failed(self, job: Job, ask: UnitRequest, reason: str, *, final: bool) -> None:
        job.problems.append(f"{ask.label}: {reason}")
        logger.warning("%s %s: failed: %s", job.name, ask.label, reason)
        job.events.append(RequestFailed(ask, reason, final))


@dataclass(slots=True)
class _Heard:
    """What is known of the sound of a file so far."""

    requests: list[Request]
    """For pieces of it; what the first is answered is what is said."""
    hearing: Hearing
    spans: list[tuple[int, int]] = field(default_factory=list)
    asking: list[asyncio.Task[bool]] = field(default_factory=list)
    end: SoundEnd = field(default_factory=lambda: SoundEnd(0))
    error: str | None = None
    """Why it cannot be decoded, or not all of it."""
    unread: UnreadError | None = None


def _said(answer: str) -> list[Said]:
    """What is said in a piece; nothing where that failed."""
    return transcript.read(answer) if answer else []
