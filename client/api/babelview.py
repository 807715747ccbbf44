"""Babelview from Python: one object that knows the servers, and asks them about files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.api.blocking import BlockingBabelview
from client.api.conversation import Conversation
from client.api.live import Live
from client.api.session import Session
from client.endpoints.translation import SOURCE
from client.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Coroutine, Sequence
    from types import TracebackType
    from typing import Any, Unpack

    from client.api.conversation import Files, Reply
    from client.api.live import LiveOptions
    from client.api.options import Options
    from client.endpoints.translation import Translated
    from client.record import Record


class Babelview(Session):
    """The served models and the translator, and what they are asked.

    `async with Babelview() as bv:`; or, for programs that do not use asyncio, `with Babelview() as bv:`, whose methods
    are the same and wait (`BlockingBabelview`). Errors are `client.BabelviewError`; a call of the other form raises
    `UsageError` at once, as what it gives might never be awaited.
    """

    _blocking: BlockingBabelview | None = None

    def __enter__(self) -> BlockingBabelview:
        """Open it for a program that does not use asyncio."""
        self._blocking = BlockingBabelview(self)
        return self._blocking

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what `__enter__` opened."""
        if self._blocking:
            blocking, self._blocking = self._blocking, None
            blocking.close()

    def caption(self, file: str | os.PathLike[str], **options: Unpack[Options]) -> Coroutine[Any, Any, Record]:
        """Ask about one file or URL; gives its record, see `Session.caption`."""
        self._check_form("caption")
        self._check_open()
        return super().caption(file, **options)

    def batch(
        self,
        *paths: str | os.PathLike[str],
        output: str | os.PathLike[str] = "captions",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        redo: str | None = None,
        **options: Unpack[Options],
    ) -> AsyncGenerator[Record, None]:
        """Ask about folders, files, URLs and manifests: a record for each file, see `Session.batch`."""
        self._check_form("batch")
        self._check_open()
        return super().batch(*paths, output=output, include=include, exclude=exclude, redo=redo, **options)

    def translate(
        self, texts: Sequence[str], languages: Sequence[str], source: str = SOURCE
    ) -> Coroutine[Any, Any, list[dict[str, Translated]]]:
        """Translate texts: for each a dictionary, by the languages' FLORES codes, see `Session.translate`."""
        self._check_form("translate")
        self._check_open()
        return super().translate(texts, languages, source)

    def ask(self, files: Files, question: str | None = None, **options: Unpack[Options]) -> Reply:
        """Ask a question about a file, or about several pictures together: `async for piece in bv.ask(...)`.

        `await bv.ask(...)` gives the whole answer. Without a question the one task of `options` is asked. Errors are
        those of `Conversation.ask`.
        """
        self._check_form("ask")
        return self.chat(files, **options).ask(question, close=True)

    def chat(self, files: Files, **options: Unpack[Options]) -> Conversation:
        """Begin a conversation about a file, or about several pictures together; nothing is read before it is asked."""
        self._check_form("chat")
        return Conversation(self, files, options)

    def live(self, source: str | os.PathLike[str], **options: Unpack[LiveOptions]) -> Live:
        """Watch a camera, a stream or a file: `async for event in bv.live("rtsp://..."):`, see docs/live.md.

        Each event is a `LiveCaption`, a `LiveSaid` or a `LiveAlert`. Nothing is opened before the first is wanted.

        Raises:
            UsageError: options do not go together, or there is no such source, task, command or URL.
        """
        self._check_form("live")
        return Live(self, source, options)

    def _check_form(self, method: str) -> None:
        if self._blocking:
            raise UsageError(
                f"`with bv:` opens another object, whose methods wait: `with bv as waiting: waiting.{method}(...)`; "
                f"or, with asyncio, `async with bv:`"
            )

    def _check_open(self) -> None:
        _ = self.opened
