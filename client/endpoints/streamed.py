"""A served model whose answers are told piece by piece, as they come."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from client.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.endpoints.chat import ModelClient, OtherTry
    from client.endpoints.completion import Answer
    from client.tasks.plan import Request


class StreamedModel:
    """Asks as `ModelClient` does, and tells what it says meanwhile."""

    def __init__(self, model: ModelClient, told: Callable[[str | None], None]) -> None:
        """`told` is called with each piece; with None where it is asked once more, and what was told is void."""
        self._model, self._told = model, told

    async def ask(self, request: Request, parts: bytes, label: str, other_try: OtherTry | None = None) -> Answer:
        """Ask one question; arguments and errors are those of `ModelClient.ask`."""
        if other_try:
            self._told(None)
            answer = await self._model.ask(request, parts, label, other_try)
            self._told(answer.text)
            return answer
        async with aclosing(self._model.stream(request, parts, (), label)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, str):
                    return piece
                self._told(piece)
        raise RequestError("the answer broke off")
