"""Asks about a clip: the tasks of the run, and the questions of alerts, all at the same time."""

from __future__ import annotations

import asyncio
import math
import re
import time
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from client.checks.review import ask_reviewed, review
from client.errors import FailedError, RequestError, ServiceLostError
from client.live.events import LiveAnswer
from client.media.content import Content, Facts
from client.record import languages_of, source_of, texts_of
from client.tasks.plan import UnitRequest, ask_of
from client.tasks.units import Unit, UnitKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from client.endpoints.chat import ModelClient
    from client.endpoints.completion import Answer
    from client.endpoints.translation import Translated, TranslatorClient
    from client.live.events import LiveSession
    from client.live.messages import Clip
    from client.media.content import SoundPiece, Span
    from client.media.kinds import Kind
    from client.tasks.plan import Plan, Request

YES, NO = "Yes", "No"
_FIRST_WORD = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_QUICK_S = 2.0
"""How long a translation may take after one that did not come: captions would else wait for one that is away."""
_IN_WORDS = ("text", "sentiment")
"""Readers of answers that are shown as they come."""


class AlertAnswer(NamedTuple):
    """The answer to a question of yes or no."""

    number: int
    """Of the question."""
    yes: bool
    ask: UnitRequest
    answer: Answer


@dataclass(slots=True)
class Asked:
    """What came of a step."""

    answers: list[tuple[UnitRequest, Answer]] = field(default_factory=list)
    answered_s: float = 0.0
    """When the last of them came (`time.monotonic`)."""
    problems: list[str] = field(default_factory=list)
    gave_up: bool = False
    """Whether an answer was not waited for any longer."""
    is_late: bool = False
    """Whether it was not because the caption would have been too old."""


class Asker:
    """Knows who is asked what."""

    def __init__(
        self,
        model: ModelClient,
        translator: TranslatorClient | None,
        plan: Plan,
        requests: Sequence[Request],
        alerts: Sequence[Request],
        *,
        kind: Kind,
        name: str,
        timeout_s: float,
        on_piece: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """`requests` and `alerts` are about clips, sent as a picture or a video by `kind`.

        An answer that takes longer than `timeout_s` is given up. With `on_piece` the pieces of a single answer in plain
        words are told as they come, with the time that it is about (microseconds).
        """
        self._model, self._translator, self._plan = model, translator, plan
        self._requests, self._alerts = requests, alerts
        self._kind, self._name, self.timeout_s = kind, name, timeout_s
        self._translation_s = timeout_s
        single = len(requests) == 1 and requests[0].answer in _IN_WORDS
        self._on_piece = on_piece if single else None

    async def ask(
        self,
        clip: Clip,
        session: LiveSession,
        on_alert: Callable[[AlertAnswer], None] = lambda _: None,
        *,
        most_s: float = math.inf,
    ) -> Asked:
        """All answers about a clip that came before it was `most_s` old; of an old one those of alerts alone.

        Alerts wait for no caption: they are told as they come, those that are neither yes nor no as problems.

        Raises:
            ServiceLostError: the model was away for too long.
            UsageError: the endpoint does not serve it.
            StoppedError: the run was stopped.
        """
        parts = self._model.parts(Content(self._kind, Facts(0, 0), clip.frames))
        unit = unit_of(session, clip.start_us, clip.end_us)
        asked = Asked()
        try:
            async with asyncio.timeout(self.timeout_s), asyncio.TaskGroup() as group:
                for number, request in enumerate(self._alerts):
                    group.create_task(self._ask_alert(number, UnitRequest(unit, request), parts, asked, on_alert))
                if not clip.is_old:
                    group.create_task(self._ask_all(unit, parts, clip, asked, most_s))
        except TimeoutError:
            asked.gave_up = True
            asked.problems.append(f"no answer within {self.timeout_s:g} s (--timeout)")
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from group_error
        order = [request.key for request in self._requests]
        asked.answers.sort(key=lambda it: order.index(it[0].request.key))
        return asked

    async def _ask_all(self, unit: Unit, parts: bytes, clip: Clip, asked: Asked, most_s: float) -> None:
        """Ask all but alerts, until the clip is so old."""
        until_s = clip.shown_s + most_s
        try:
            async with asyncio.timeout(until_s - time.monotonic()), asyncio.TaskGroup() as group:
                for request in self._requests:
                    group.create_task(self._ask(ask_of(request, unit), parts, clip, asked, until_s))
        except TimeoutError:
            asked.is_late = True
        if asked.is_late:
            asked.gave_up = True
            asked.problems.append(f"given up: it would be older than {round(most_s, 1):g} s (--max-lag)")

    async def _ask(self, ask: UnitRequest, parts: bytes, clip: Clip, asked: Asked, until_s: float) -> None:
        try:
            if self._on_piece:
                answer = await self._stream(ask.request, parts, clip)
            else:
                answer, _ = await ask_reviewed(self._model, ask.request, parts, self._name, once=True)
        except RequestError as error:
            asked.problems.append(f"{ask.request.label}: {error}")
            return
        if (now_s := time.monotonic()) > until_s:  # this process was held up
            asked.is_late = True
        else:
            asked.answers.append((ask, answer))
            asked.answered_s = now_s

    async def _stream(self, request: Request, parts: bytes, clip: Clip) -> Answer:
        assert self._on_piece
        async with aclosing(self._model.stream(request, parts, (), self._name)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, str):
                    return review(piece, request)
                if piece:
                    self._on_piece(clip.start_us, clip.end_us, piece)
        raise FailedError("the answer holds nothing")

    async def _ask_alert(
        self, number: int, ask: UnitRequest, parts: bytes, asked: Asked, on_alert: Callable[[AlertAnswer], None]
    ) -> None:
        try:
            answer = await self._model.ask(ask.request, parts, self._name, choices=(YES, NO))
        except RequestError as error:
            asked.problems.append(f"alert {ask.request.question!r}: {error}")
            return
        if found := _FIRST_WORD.match(answer.text):
            on_alert(AlertAnswer(number, found[1].lower() == YES.lower(), ask, answer))
        else:
            asked.problems.append(f"alert {ask.request.question!r}: answered with {answer.text[:60]!r}, not yes or no")

    async def translate(
        self, answers: Sequence[tuple[UnitRequest, Answer]], problems: list[str]
    ) -> tuple[LiveAnswer, ...]:
        """The answers with their translations; what cannot be translated in time stays without."""
        found = [LiveAnswer(ask, answer) for ask, answer in answers]
        if not self._translator:
            return tuple(found)
        for number, each in enumerate(found):
            request, text = each.ask.request, each.answer.text
            texts, languages = texts_of(request, text), languages_of(request, text, self._plan)
            if not texts or not languages:
                continue
            try:
                async with asyncio.timeout(self._translation_s):
                    rows = await self._translator.translate(texts, languages, self._name, source_of(request, text))
            except (RequestError, ServiceLostError, TimeoutError) as error:  # captions go on without
                problems.append(f"translation: {str(error) or f'none within {self._translation_s:g} s'}")
                self._translation_s = min(self.timeout_s, _QUICK_S)
                continue
            self._translation_s = self.timeout_s
            found[number] = replace(each, translations=_by_language(rows, languages))
        return tuple(found)


def unit_of(session: LiveSession, start_us: int, end_us: int) -> Unit:
    """A time of the run as a unit of its session, on the clock of that."""
    start, end = max(0, start_us - session.offset_us), max(0, end_us - session.offset_us)
    return Unit(f"{session.content}@{start}-{end}", session.content, UnitKind.LIVE, start, end)


def shifted(piece: SoundPiece, session: LiveSession) -> SoundPiece:
    """A piece of sound on the clock of a session."""
    span: Span = piece.span._replace(
        start_us=max(0, piece.span.start_us - session.offset_us), end_us=max(0, piece.span.end_us - session.offset_us)
    )
    return piece._replace(span=span)


def _by_language(rows: list[dict[str, Translated]], languages: list[str]) -> Mapping[str, list[Translated]]:
    return {code: [row[code] for row in rows] for code in languages}


def _first(error: BaseException) -> Any:
    """The error that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
