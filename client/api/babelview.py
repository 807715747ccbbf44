"""Babelview from Python: one object that knows the servers, and asks them about files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.api.blocking import BlockingBabelview
from client.api.conversation import Conversation
from client.api.live import Live
from client.api.session import Session

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Unpack

    from client.api.conversation import Files, Reply
    from client.api.live import LiveOptions
    from client.api.options import Options


class Babelview(Session):
    """The served models and the translator, and what they are asked.

    `async with Babelview() as bv:`; or, for programs that do not use asyncio, `with Babelview() as bv:`, whose methods
    are the same and wait (`BlockingBabelview`). Errors are `client.BabelviewError`.
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

    def ask(self, files: Files, question: str | None = None, **options: Unpack[Options]) -> Reply:
        """Ask a question about a file, or about several pictures together: `async for piece in bv.ask(...)`.

        `await bv.ask(...)` gives the whole answer. Without a question the one task of `options` is asked. Errors are
        those of `Conversation.ask`.
        """
        return self.chat(files, **options).ask(question, close=True)

    def chat(self, files: Files, **options: Unpack[Options]) -> Conversation:
        """Begin a conversation about a file, or about several pictures together; nothing is read before it is asked."""
        return Conversation(self, files, options)

    def live(self, source: str | os.PathLike[str], **options: Unpack[LiveOptions]) -> Live:
        """Watch a camera, a stream or a file: `async for event in bv.live("rtsp://..."):`, see docs/live.md.

        Each event is a `LiveCaption`, a `LiveSaid` or a `LiveAlert`. Nothing is opened before the first is wanted.

        Raises:
            UsageError: options do not go together, or there is no such source, task, command or URL.
        """
        return Live(self, source, options)
