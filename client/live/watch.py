"""The clock of a live session: every so many seconds the newest clip is asked about, and nothing waits in a queue.

While a model answers, no further clip is taken: when it is done the newest one is, and the steps that were missed are
counted. So a caption is no older than its own answer takes, however slow the model is. One that would be too old all
the same is left out (`lag`): of frames that lay there while the model answered, and the source was lost meanwhile,
alerts alone are asked about.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from client.checks.speech import transcribe_reviewed
from client.errors import RequestError, ServiceLostError
from client.live.asker import shifted, unit_of
from client.live.events import LiveAlert, LiveCaption, LiveSaid, LiveSession
from client.live.lag import LagBound
from client.live.messages import LONGEST_PIECE_S
from client.tasks.plan import UnitRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from client.endpoints.retry import Notify
    from client.endpoints.speech import SpeechClient
    from client.live.alerts import AlertState
    from client.live.asker import AlertAnswer, Asked, Asker
    from client.live.events import LiveEvent
    from client.live.messages import Clip
    from client.live.reader import Reader
    from client.media.content import SoundPiece
    from client.tasks.plan import Request

_ON_ITS_WAY_S = 2.0
"""How long a piece of sound may take from its end until it is here."""
_PIECES = 4
"""Of sound that wait for the speech model: then the oldest is left out."""


@dataclass(slots=True)
class LiveStats:
    """What a live session counts."""

    captions: int = 0
    failed: int = 0
    """Steps of which something was not answered."""
    too_old: int = 0
    """Captions that were left out, as they would have been too old."""
    late_s: float = 0.0
    """By which steps came after their time."""
    every_s: float = 1.0
    longest_lag_s: float = 0.0
    lags_s: float = 0.0
    """The sum of all."""
    alerts: int = 0
    untold: int = 0
    """Alerts that the command or the webhook did not take."""
    said: int = 0
    unheard: int = 0
    """Pieces of sound that were left out: the speech model was not done with those before, or did not answer."""

    @property
    def skipped(self) -> int:
        """Steps that were left out, because the model was not done with the one before."""
        return int(self.late_s / self.every_s)

    @property
    def mean_lag_s(self) -> float:
        """How old the newest frame was, on average, when its caption was there."""
        return self.lags_s / self.captions if self.captions else 0.0


class Hearing:
    """Who transcribes, and what is asked for."""

    def __init__(self, speech: SpeechClient, request: Request) -> None:
        """Pieces wait in a short queue, the newest stay."""
        self.speech, self.request = speech, request
        self.pieces: deque[SoundPiece] = deque()
        self.open_us: deque[int] = deque()
        """The starts of the pieces that came and of which it is not told yet what was said, if anything was."""
        self.came = asyncio.Event()
        self.ended = False


class Watch:
    """One run over one source."""

    def __init__(
        self,
        reader: Reader,
        asker: Asker,
        alerts: Sequence[AlertState],
        *,
        every_s: float,
        rotate_s: float,
        began: tuple[float, datetime],
        name: str,
        notify: Notify,
        most_lag_s: float | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        """Nothing is read yet; `began` is the beginning of the run's clock, of `time.monotonic` and of the calendar.

        `most_lag_s`: how old a caption may be (`LagBound`).
        """
        self._reader, self._asker, self._alerts, self._hearing = reader, asker, alerts, hearing
        self._every_s, self._rotate_s = every_s, rotate_s
        self._began_s, self._began = began
        self._name, self._notify = name, notify
        self._bound = LagBound(every_s, most_lag_s)
        self.stats = LiveStats(every_s=every_s)
        self.session = _session(self._began, 0)
        self._ready: asyncio.Queue[LiveEvent | None] = asyncio.Queue(2)
        self._not_given: list[LiveEvent] = []
        """What has come: what the queue holds, and what waits for room in it."""
        self._still: bytes | None = None
        """The newest frame of the last step."""

    async def events(self) -> AsyncGenerator[LiveEvent, None]:
        """All that comes, in the order in which it is there; ends with the source.

        Raises:
            MediaError: the source cannot be opened, or stays away.
            ServiceLostError: a server does.
        """
        work = asyncio.create_task(self._work())
        try:
            while (event := await self._ready.get()) is not None:
                self._not_given = [it for it in self._not_given if it is not event]
                yield event
                if isinstance(event, LiveSaid) and self._hearing:
                    self._hearing.open_us.remove(event.start_us)
            await work
        finally:
            work.cancel()
            self._reader.close()
            await asyncio.gather(work, return_exceptions=True)

    def waiting(self) -> list[LiveEvent]:
        """What has come, and was not given yet: of a run that is given up."""
        return list(self._not_given)

    async def _give(self, event: LiveEvent) -> None:
        """Hand over what has come, once there is room."""
        self._not_given.append(event)
        await self._ready.put(event)

    async def _work(self) -> None:
        """Do all of it, and say that no more comes; who has gone away does not hear of it."""
        try:
            await self._do_all()
        except Exception:
            await self._ready.put(None)
            raise
        await self._ready.put(None)

    async def _do_all(self) -> None:
        if not (hearing := self._hearing):
            await self._steps()
            return
        steps, hears = asyncio.create_task(self._steps()), asyncio.create_task(self._hear(hearing))
        try:
            await asyncio.wait((steps, hears), return_when=asyncio.FIRST_COMPLETED)
            if hears.done():  # before the source has ended: it failed
                await hears
            await steps
            hearing.ended = True
            hearing.came.set()
            await hears
        finally:
            steps.cancel()
            hears.cancel()
            await asyncio.gather(steps, hears, return_exceptions=True)

    async def _steps(self) -> None:
        """Ask about the newest clip, again and again, until the source ends."""
        translating: asyncio.Task[None] | None = None
        due_s = time.monotonic()
        try:
            while True:
                await asyncio.sleep(due_s - time.monotonic())
                clip = await self._reader.clip(self._bound.oldest_s)
                if clip is None:
                    break
                began_s = time.monotonic()
                self._rotate(clip.end_us)
                asked = await self._ask(clip)
                if clip.is_old:  # what comes next is asked about at once
                    for problem in asked.problems:
                        self._notify(problem)
                    continue
                lag_s = (asked.answered_s or time.monotonic()) - clip.shown_s
                if translating:  # of the step before: captions come in their order
                    await translating
                late_s = max(0.0, time.monotonic() - began_s - self._every_s)
                self.stats.late_s += late_s
                due_s = max(began_s + self._every_s, time.monotonic())
                translating = asyncio.create_task(self._caption(clip, asked, lag_s, self.session))
            if translating:
                await translating
        finally:
            if translating:
                translating.cancel()

    async def _ask(self, clip: Clip) -> Asked:
        """Ask about a clip; changes are told as they are known, which a caption is slower than."""
        if clip.is_old:
            self.stats.too_old += 1
        bound, began_s, session = self._bound, time.monotonic(), self.session
        alerts: asyncio.Queue[LiveAlert | None] = asyncio.Queue()

        def answered(given: AlertAnswer) -> None:
            if alert := self._change(clip, given, session):
                self._not_given.append(alert)
                alerts.put_nowait(alert)

        asking = asyncio.create_task(self._asker.ask(clip, session, answered, most_s=bound.limit_s))
        asking.add_done_callback(lambda _: alerts.put_nowait(None))
        try:
            while alert := await alerts.get():
                await self._ready.put(alert)
            asked = await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        self._still = clip.frames[-1].jpeg
        if asked.gave_up:
            bound.gave_up()
            self.stats.too_old += asked.is_late and not asked.answers
        elif asked.answers:
            bound.answered(asked.answered_s - began_s)
        return asked

    async def _caption(self, clip: Clip, asked: Asked, lag_s: float, session: LiveSession) -> None:
        """Translate what was answered, and hand it over."""
        stats = self.stats
        if asked.answers or not asked.problems:
            stats.captions += 1
            stats.lags_s += lag_s
            stats.longest_lag_s = max(stats.longest_lag_s, lag_s)
        answers = await self._asker.translate(asked.answers, asked.problems)
        stats.failed += bool(asked.problems)
        caption = LiveCaption(
            session=session,
            start_us=clip.start_us,
            end_us=clip.end_us,
            answers=answers,
            lag_s=lag_s,
            error="; ".join(asked.problems) or None,
            skipped=stats.skipped,
            dropped=self._reader.dropped,
        )
        if answers or asked.problems:  # else there are none but alerts
            await self._give(caption)

    def _change(self, clip: Clip, given: AlertAnswer, session: LiveSession) -> LiveAlert | None:
        """What is to be told of an answer that differs from the one before."""
        state = self._alerts[given.number]
        if not state.take(answer=given.yes):
            return None
        self.stats.alerts += 1
        return LiveAlert(
            session=session,
            start_us=clip.start_us,
            end_us=clip.end_us,
            question=state.question,
            answer=given.yes,
            lag_s=time.monotonic() - clip.shown_s,
            ask=given.ask,
            said=given.answer,
            stills=(self._still, clip.frames[-1].jpeg),
        )

    def heard(self, piece: SoundPiece) -> None:
        """Sound has come; of pieces that wait for the speech model the newest stay."""
        if hearing := self._hearing:
            if len(hearing.pieces) == _PIECES:
                hearing.open_us.remove(hearing.pieces.popleft().span.start_us)
                self.stats.unheard += 1
            hearing.pieces.append(piece)
            hearing.open_us.append(piece.span.start_us)
            hearing.came.set()

    @property
    def now_s(self) -> float:
        """Now, on the run's clock."""
        return time.monotonic() - self._began_s

    @property
    def heard_until_s(self) -> float:
        """All that was said until then, on the run's clock, has been given."""
        until_s = self.now_s - LONGEST_PIECE_S - _ON_ITS_WAY_S
        return min([until_s, *(at_us / 1e6 for at_us in (self._hearing.open_us if self._hearing else ()))])

    async def _hear(self, hearing: Hearing) -> None:
        while True:
            while not hearing.pieces:
                if hearing.ended:
                    return
                hearing.came.clear()
                await hearing.came.wait()
            piece = hearing.pieces.popleft()
            event = await self._said(hearing, piece)
            if event and event.text:
                self.stats.said += 1
                await self._give(event)
            else:
                hearing.open_us.remove(piece.span.start_us)

    async def _said(self, hearing: Hearing, piece: SoundPiece) -> LiveSaid | None:
        """What is said in a piece, and its translations; None if that was not heard."""
        session = self.session
        unit = unit_of(session, *piece.span)
        try:
            async with asyncio.timeout(self._asker.timeout_s):
                answer, _ = await transcribe_reviewed(
                    hearing.speech, hearing.request, shifted(piece, session), self._name, once=True
                )
        except (RequestError, ServiceLostError, TimeoutError) as error:  # captions go on without
            self._notify(f"what is said at {piece.span}: {str(error) or 'not heard in time (--timeout)'}")
            self.stats.unheard += 1
            return None
        (said,) = await self._asker.translate([(UnitRequest(unit, hearing.request), answer)], [])
        return LiveSaid(session=session, start_us=piece.span.start_us, end_us=piece.span.end_us, answer=said)

    def _rotate(self, at_us: int) -> None:
        """Begin the next session, if it is time."""
        if at_us - self.session.offset_us >= self._rotate_s * 1e6:
            self.session = _session(datetime.now(UTC), at_us)


def _session(began: datetime, offset_us: int) -> LiveSession:
    # Files are named by it, and sorted by their names.
    at = f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03}Z"
    return LiveSession(f"{at}-{uuid4().hex[:8]}", began, offset_us)
