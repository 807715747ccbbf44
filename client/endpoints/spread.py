"""Several endpoints that serve the same models, as one: each has a bound of its own on what is in flight."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from client.endpoints.chat import ModelClient
from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from client.endpoints.chat import OtherTry
    from client.endpoints.completion import Answer
    from client.media.kinds import Kind
    from client.tasks.plan import Request, Turn


class SpreadModel(ModelClient):
    """Asks that endpoint which has the most room; itself it is the first of them."""

    def __init__(self, base_urls: Sequence[str], api_key: str | None, *, at_once: int, **settings: Any) -> None:
        """`at_once` requests in flight to each; further settings are those of every `ModelClient`."""
        super().__init__(base_urls[0], api_key, **settings)
        self._others = [ModelClient(url, api_key, **settings) for url in base_urls[1:]]
        self._slots = [asyncio.Semaphore(at_once) for _ in base_urls]
        self._room = [at_once] * len(base_urls)

    async def close(self) -> None:
        """Close the connections to all."""
        await super().close()
        for other in self._others:
            await other.close()

    async def check(self, models: set[str]) -> None:
        """As of one endpoint, of each.

        Raises:
            UsageError: see there; or some take videos as such, and others do not.
        """
        await super().check(models)
        for other in self._others:
            await other.check(models)
            if other.takes_video != self.takes_video:
                raise UsageError(
                    "--base-url: some of these endpoints are vLLM's, others are not: say --frames-as images"
                )

    def check_media(self, model: str, kind: Kind, frames: int, *, pictures: int = 1) -> None:
        """As of one endpoint, of each."""
        super().check_media(model, kind, frames, pictures=pictures)
        for other in self._others:
            other.check_media(model, kind, frames, pictures=pictures)

    async def ask(
        self,
        request: Request,
        parts: bytes,
        label: str,
        other_try: OtherTry | None = None,
        *,
        choices: Sequence[str] = (),
    ) -> Answer:
        """As of one endpoint, at that with the most room."""
        async with self._place() as number:
            if number == 0:
                return await super().ask(request, parts, label, other_try, choices=choices)
            return await self._others[number - 1].ask(request, parts, label, other_try, choices=choices)

    async def stream(
        self, request: Request, parts: bytes, turns: Sequence[Turn], label: str
    ) -> AsyncGenerator[str | Answer, None]:
        """As of one endpoint, at that with the most room."""
        async with self._place() as number:
            endpoint = self._others[number - 1].stream if number else super().stream
            async for piece in endpoint(request, parts, turns, label):
                yield piece

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[int]:
        number = max(range(len(self._room)), key=self._room.__getitem__)
        self._room[number] -= 1
        try:
            async with self._slots[number]:
                yield number
        finally:
            self._room[number] += 1
