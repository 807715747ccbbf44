"""Babelview for programs that do not use asyncio: the same methods, which wait."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from client.api.conversation import Conversation
from client.api.live import Live
from client.api.session import Session
from client.errors import RequestError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
    from typing import Any, Unpack

    from client.api.conversation import Answered, Files, Reply
    from client.api.live import LiveOptions
    from client.api.options import Options
    from client.endpoints.completion import Answer
    from client.endpoints.translation import Translated
    from client.live.events import LiveEvent
    from client.record import Record

T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own, so that work goes on while the program does other things."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="babelview", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives; whatever ends the waiting (Ctrl-C) ends it too."""
        if self._loop.is_closed():
            work.close()
            raise UsageError("Babelview is closed: use it within `with`")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Items(Generic[T]):
    """The items of an asynchronous iterator, one after the other."""

    def __init__(self, loop: _Loop, items: AsyncIterator[T]) -> None:
        self._loop, self._items = loop, items

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self._loop.run(self._next())
        except StopAsyncIteration:
            raise StopIteration from None

    async def _next(self) -> T:
        return await anext(self._items)


class BlockingReply:
    """An answer: iterate for its pieces as they come, or take all of it at once with `result`."""

    def __init__(self, loop: _Loop, reply: Reply) -> None:
        """Made by `BlockingBabelview.ask` and `BlockingConversation.ask`."""
        self._loop, self._reply = loop, reply

    @property
    def answer(self) -> Answer | None:
        """All of it, with its verdict, once the last piece was given."""
        return self._reply.answer

    def __iter__(self) -> Iterator[str]:
        """The pieces of its text; errors are those of `Conversation.ask`."""
        return _Items(self._loop, aiter(self._reply))

    def result(self) -> Answer:
        """Wait for all of it."""
        for _ in self:
            pass
        if self.answer is None:
            raise RequestError("the answer was read already, or given up")
        return self.answer


class BlockingConversation:
    """See `Conversation`."""

    def __init__(self, loop: _Loop, conversation: Conversation) -> None:
        """Made by `BlockingBabelview.chat`."""
        self._loop, self._conversation = loop, conversation

    @property
    def answered(self) -> list[Answered]:
        """All that was said."""
        return self._conversation.answered

    def ask(self, question: str | None = None, *, task: str | None = None) -> BlockingReply:
        """See `Conversation.ask`."""
        return BlockingReply(self._loop, self._conversation.ask(question, task=task))

    def look_at(self, at_s: float | None) -> None:
        """See `Conversation.look_at`."""
        self._conversation.look_at(at_s)

    def close(self) -> None:
        """See `Conversation.close`."""
        self._loop.run(self._conversation.close())


class BlockingBabelview:
    """What `with Babelview() as bv` gives: the methods of `Babelview`, which wait. To be used by one thread.

    They are those of `Session`: what `Babelview` makes of them refuses to be called within `with`.
    """

    def __init__(self, session: Session) -> None:
        """Open a session in a thread of its own."""
        self._session, self._loop = session, _Loop()
        self._loop.run(session.open())

    def close(self) -> None:
        """Close the session, and end the thread."""
        self._loop.run(self._session.close())
        self._loop.close()

    def caption(self, file: str | os.PathLike[str], **options: Unpack[Options]) -> Record:
        """See `Babelview.caption`."""
        return self._loop.run(Session.caption(self._session, file, **options))

    def ask(self, files: Files, question: str | None = None, **options: Unpack[Options]) -> BlockingReply:
        """See `Babelview.ask`."""
        conversation = Conversation(self._session, files, options)
        return BlockingReply(self._loop, conversation.ask(question, close=True))

    def chat(self, files: Files, **options: Unpack[Options]) -> BlockingConversation:
        """See `Babelview.chat`."""
        return BlockingConversation(self._loop, Conversation(self._session, files, options))

    def batch(
        self,
        *paths: str | os.PathLike[str],
        output: str | os.PathLike[str] = "captions",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        redo: str | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Record]:
        """See `Babelview.batch`; it goes on while the program works on a record."""
        records = Session.batch(
            self._session, *paths, output=output, include=include, exclude=exclude, redo=redo, **options
        )
        try:
            yield from _Items(self._loop, records)
        finally:
            self._loop.run(records.aclose())

    def live(self, source: str | os.PathLike[str], **options: Unpack[LiveOptions]) -> Iterator[LiveEvent]:
        """See `Babelview.live`; it goes on while the program works on an event, and takes the newest frames then."""
        live = Live(self._session, source, options)
        return self._events(live)

    def _events(self, live: Live) -> Iterator[LiveEvent]:
        try:
            yield from _Items(self._loop, aiter(live))
        finally:
            self._loop.run(live.aclose())

    def translate(
        self, texts: Sequence[str], languages: Sequence[str], source: str = "eng_Latn"
    ) -> list[dict[str, Translated]]:
        """See `Babelview.translate`."""
        return self._loop.run(Session.translate(self._session, texts, languages, source))
