"""Questions about a file, or about several pictures together, one after the other; the answers stream."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from client.api.media import load
from client.api.options import plan_of
from client.checks.review import review
from client.endpoints.chat import TOO_LONG
from client.errors import RefusedError, RequestError, UsageError
from client.media.content import Span
from client.media.kinds import Kind
from client.tasks import units
from client.tasks.plan import HEARD, Turn, ask_of
from client.tasks.prompt import TRANSCRIPT as PLACE
from client.tasks.steps import WHOLE, OverKind
from client.tasks.transcript import lines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator

    from client.api.media import Media
    from client.api.options import Asked, Options
    from client.api.session import Session
    from client.endpoints.completion import Answer
    from client.tasks.plan import Request
    from client.tasks.transcript import Said

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One file or URL, or several."""

MOMENT_S = 2.0
"""How much of a video is looked at around a moment."""
_BYTES_PER_TOKEN, _TOKENS_AROUND = 3, 8
"""Of English there are some 4, of other scripts 2 to 3; and what a template puts around a message."""
_IN_WORDS = ("text", "sentiment")
"""Readers of answers that are shown as they come."""
_ABOUT_SOUND = "Answer this question about a recording. If the recording does not tell the answer, say so. Question: "


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and its answer, as they were said."""

    asked: str
    """The question, or the name of the task."""
    answer: Answer
    at_s: float | None = None
    """The moment of the video that it is about; None: all of it."""


class Reply:
    """An answer: iterate for its pieces as they come (`async for`), or await it to have all of it at once."""

    def __init__(self, pieces: AsyncGenerator[str | Answer, None]) -> None:
        """Nothing is asked before the first piece is wanted."""
        self._pieces = pieces
        self.answer: Answer | None = None
        """All of it, with its verdict, once the last piece was given."""

    async def __aiter__(self) -> AsyncIterator[str]:
        """The pieces of its text; errors are those of `Conversation.ask`."""
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield piece
                else:
                    self.answer = piece

    def __await__(self) -> Generator[None, None, Answer]:
        """All of it."""
        return self._all().__await__()

    async def _all(self) -> Answer:
        async for _ in self:
            pass
        if self.answer is None:
            raise RequestError("the answer was read already, or given up")
        return self.answer


class Conversation:
    """What is asked about the same files; the model is told what was said before, as far as its context goes."""

    def __init__(self, session: Session, files: Files, options: Options) -> None:
        """Nothing is read before the first question."""
        self._session, self._options = session, options
        given = [files] if isinstance(files, str | os.PathLike) else files
        self.files = [os.fspath(file) for file in given]
        if not self.files:
            raise UsageError("give a file to ask about")
        self.answered: list[Answered] = []
        """All that was said, also what the model is not told any more."""
        self._turns: list[Turn] = []
        self._media: Media | None = None
        self._media_tokens = 0
        self._at_s: float | None = None
        self._asking = asyncio.Lock()

    def ask(self, question: str | None = None, *, task: str | None = None, close: bool = False) -> Reply:
        """Ask a question, or a task that looks at whole files; `close`: it is the last one.

        Without either, the one task of the conversation's options is asked. The reply raises:
            UsageError: there is no such file or task, the task is none that streams, or the files cannot be asked
                about together.
            MediaError: a file cannot be read.
            RequestError: there is no answer.
            ServiceLostError: the server was away for too long.
        """
        return Reply(self._ask(question, task, close=close))

    def look_at(self, at_s: float | None) -> None:
        """Look at a moment of the video, so many seconds after its beginning; None: at all of it again.

        The model is not told any more what was said about what it does not see.
        """
        self._at_s, self._turns = at_s, []

    async def check_moment(self, at_s: float) -> None:
        """Make sure that the video has such a moment, before it is looked at.

        Raises:
            UsageError: it does not, or there is no such file.
            MediaError: it cannot be read.
        """
        async with self._asking:
            _, media = await self._read({**self._options, "tasks": [], "questions": ["?"]})
            await media.check_moment(at_s)

    async def streams(self, task: str) -> bool:
        """Whether a task is one question about the whole file that is answered in plain words, and so can be `ask`ed.

        Errors are those of `ask`.
        """
        async with self._asking:
            asked, media = await self._read({**self._options, "tasks": [task], "questions": []})
            request = _single(asked, media.kind)
            return request is not None and request.answer in _IN_WORDS

    async def close(self) -> None:
        """Remove what was fetched; `answered` stay."""
        if self._media:
            media, self._media = self._media, None
            await media.close()

    async def _ask(self, question: str | None, task: str | None, *, close: bool) -> AsyncGenerator[str | Answer, None]:
        async with self._asking:
            try:
                asked, request = await self._request(question, task)
                async with aclosing(self._answer(request)) as pieces:
                    async for piece in pieces:
                        if not isinstance(piece, str):
                            self.answered.append(Answered(asked, piece, self._at_s))
                        yield piece
            finally:
                if close:
                    await self.close()

    async def _request(self, question: str | None, task: str | None) -> tuple[str, Request]:
        """What is asked, in a word and as a request, once the files are read."""
        options: Options = {**self._options}
        if question is not None and task is not None:
            raise UsageError("ask a question, or a task, not both")
        if question is not None or task is not None:
            options |= {
                "tasks": [task] if task is not None else [],
                "questions": [] if question is None else [question],
            }
        asked, media = await self._read(options)
        if media.kind is Kind.AUDIO:
            if question is None:
                raise UsageError(f"{media.name} is sound alone: ask a question, or have it described with transcript")
            return question, self._about_sound(question, asked.plan.requests[Kind.IMAGE][0], await media.said())
        request = _single(asked, media.kind)
        if request is None:
            raise UsageError(f"{', '.join(_names(asked))}: is not one question about a whole {media.kind}")
        await media.look(self._span(), request.frames)
        said = await media.said() if request.hears else None
        return question or request.task, ask_of(request, units.whole(media.sha256), said).request

    async def _read(self, options: Options) -> tuple[Asked, Media]:
        """What options ask, and the files, which are read once."""
        asked = plan_of(options, self._session.models)
        if self._media is None:
            self._media = await load(self._session, self.files, asked)
        return asked, self._media

    def _about_sound(self, question: str, request: Request, said: list[Said]) -> Request:
        """The question about a recording: the model reads what is said in it."""
        text = self._session.models.text or request.model
        heard = HEARD.replace(PLACE, lines(said, None))
        return replace(request, prompt=f"{_ABOUT_SOUND}{question}{heard}", model=text)

    def _span(self) -> Span | None:
        if self._at_s is None:
            return None
        start_s = max(0.0, self._at_s - MOMENT_S / 2)
        return Span(round(start_s * 1e6), round((start_s + MOMENT_S) * 1e6))

    async def _answer(self, request: Request) -> AsyncGenerator[str | Answer, None]:
        """Send the request after what was said before; of that the oldest goes where it is too much for the model."""
        media, model = self._media, self._session.opened.model
        assert media
        turns = self._fitting(request)
        while True:
            begun = False
            try:
                async with aclosing(model.stream(request, media.parts, turns, media.name)) as pieces:
                    async for piece in pieces:
                        begun = True
                        if isinstance(piece, str):
                            yield piece
                            continue
                        answer = review(piece, request)
                        said = sum(_tokens(turn) for turn in turns) + _tokens(Turn(request.prompt, ""))
                        self._media_tokens = max(0, piece.prompt_tokens - said)
                        self._turns = [*turns, Turn(request.prompt, answer.text)]
                        yield answer
            except RefusedError as error:
                if begun or not turns or not TOO_LONG.search(str(error)):
                    raise
                turns = turns[1:]
            else:
                return

    def _fitting(self, request: Request) -> list[Turn]:
        """What was said before, as much of it as the model's context takes beside the media, question and answer."""
        turns, context = list(self._turns), self._session.opened.model.context(request.model)
        room = (context or 1 << 40) - self._media_tokens - _tokens(Turn(request.prompt, "")) - request.max_tokens
        while turns and sum(map(_tokens, turns)) > room:
            turns.pop(0)
        return turns


def _names(asked: Asked) -> list[str]:
    return [task.name for task in asked.tasks if not task.hears]


def _single(asked: Asked, kind: Kind) -> Request | None:
    """The one question about a whole file that is asked; None if it is something else, or more."""
    found = [request for request in asked.plan.requests[kind] if request.over.kind is not OverKind.AUDIO]
    if len(_names(asked)) != 1 or len(found) != 1 or found[0].over != WHOLE or found[0].measure:
        return None
    return found[0]


def _tokens(turn: Turn) -> int:
    """About so many tokens, rather too many."""
    return len("".join(turn).encode()) // _BYTES_PER_TOKEN + 2 * _TOKENS_AROUND
