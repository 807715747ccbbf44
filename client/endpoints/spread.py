"""Several endpoints that serve the same models, as one: each has a bound of its own on what is in flight."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from client.endpoints.chat import ModelClient
from client.endpoints.places import Places
from client.endpoints.retry import duration, how_to_start
from client.endpoints.speech import SpeechClient
from client.errors import ServiceLostError, StoppedError, UnavailableError, UnlistedError, UsageError
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from client.endpoints.chat import OtherTry
    from client.endpoints.completion import Answer
    from client.endpoints.speech import Transcribed
    from client.media.content import SoundPiece
    from client.tasks.plan import Request, Turn

_LOOK_S = 1.0
"""Endpoints of which none is there are looked for so often."""


class SpreadModel(ModelClient):
    """Asks that endpoint which has the most room; itself it is the first of them.

    One that is away does without while others answer: it is looked for from time to time, and its requests go to them.
    """

    def __init__(self, base_urls: Sequence[str], api_key: str | None, *, at_once: int, **settings: Any) -> None:
        """`at_once` requests in flight to each; further settings are those of every `ModelClient`."""
        super().__init__(base_urls[0], api_key, **settings)
        self._all: list[ModelClient] = [self, *(ModelClient(url, api_key, **settings) for url in base_urls[1:])]
        names = [f"endpoint {client.base_url}" for client in self._all]
        self.places = Places(names, at_once, wait_s=self._wait_s, notify=self._notify)
        self._models: set[str] = set()
        self._there: set[int] = set()
        """The numbers of endpoints that were looked at."""
        self._seeing: set[str] = set()
        """The models that are asked about videos."""
        self._able: dict[str, list[int]] = {}
        """Model -> what `_serving` gives, until another endpoint is there."""
        self._looking = asyncio.Lock()
        for number, client in enumerate(self._all):
            client.leaves = partial(self._leaves, number)

    async def close(self) -> None:
        """Close the connections to all."""
        await super().close()
        for other in self._all[1:]:
            await other.close()

    async def check(self, models: set[str]) -> None:
        """As of one endpoint, of each that is there; the others are looked at when they come.

        Raises:
            UsageError: see there.
            ServiceLostError: none of them is there.
            StoppedError: the run was stopped meanwhile.
        """
        async with self._looking:
            self._models |= models
            began, told = time.monotonic(), False
            while away := await self._look():
                why, how = self._why(away)
                if time.monotonic() - began > self._wait_s:
                    raise ServiceLostError(f"{why}, for {duration(self._wait_s)}; gave up waiting{how}")
                if not told:
                    self._notify(f"{why}; waiting up to {duration(self._wait_s)}{how}")
                told = True
                await self._pause()
            self._tell_unlisted()

    async def _look(self) -> list[UnavailableError | ServiceLostError]:
        """Why none of the endpoints is there, of each; empty if any is."""
        found = await asyncio.gather(*(self._look_at(each) for each in range(len(self._all))), return_exceptions=True)
        away: dict[int, UnavailableError | ServiceLostError] = {}
        for number, error in enumerate(found):
            if isinstance(error, UnavailableError | ServiceLostError):
                away[number] = error
            elif error is not None:
                raise error
        if len(away) == len(found) and all(isinstance(error, ServiceLostError) for error in away.values()):
            raise away[0]
        for number in sorted(away.keys() - self._there) if self._there else ():
            self.places.missing(number, self._models, away[number])
        return [] if self._there else list(away.values())

    def _why(self, away: Sequence[UnavailableError | ServiceLostError]) -> tuple[str, str]:
        """Why none is there, and what to type where one would be on this machine."""
        each = [(client.base_url, error) for client, error in zip(self._all, away, strict=True)]
        why = "; ".join(f"endpoint {url}: {error}" for url, error in each)
        how = next(filter(None, (how_to_start(url, error) for url, error in each)), "")
        return f"none of the endpoints is there: {why}" if len(each) > 1 else why, how

    async def _look_at(self, number: int) -> None:
        await self._all[number].read_models()
        others = self._seers()
        self._there.add(number)
        self._able.clear()
        if number in self._seers() and any(self._takes_video(other) != self._takes_video(number) for other in others):
            self._there.discard(number)
            raise UsageError(self._unlike(number, others[0]))

    def _seers(self) -> list[int]:
        """The numbers of the endpoints that are asked about videos, of those that are there."""
        clients = [(number, self._all[number]) for number in sorted(self._there)]
        return [
            number
            for number, client in clients
            if any(ModelClient.lists(client, model) or not client.lists_models for model in self._seeing)
        ]

    def _unlike(self, *numbers: int) -> str:
        vllm, other = sorted(numbers, key=self._takes_video, reverse=True)
        return (
            f"--base-url: {self._all[vllm].base_url} takes videos as vLLM does, {self._all[other].base_url} does not, "
            f"and both serve {', '.join(sorted(self._seeing))}: say --frames-as images, or leave one of them out"
        )

    def _tell_unlisted(self) -> None:
        """Say once of each model which endpoints do not list it."""
        unlisted = {number: self._all[number].unlisted(self._models) for number in sorted(self._there)}
        for model in sorted(set().union(*unlisted.values())):
            without = [self._all[number] for number, names in unlisted.items() if model in names]
            if len(without) == len(self._there):
                lists = "; ".join(f"{client.base_url}: {client.models_in_words()}" for client in without)
                self._notify(f"warning: no endpoint lists {model}, which is tried all the same ({lists})")
            elif self.lists(model):
                self._notify(
                    f"{model} is asked at other endpoints than {', '.join(client.base_url for client in without)}, "
                    "which do not list it"
                )

    def _serving(self, model: str) -> list[int]:
        """The numbers of the endpoints that are asked for a model: not those that list others and not this one."""
        if model in self._able:
            return self._able[model]
        able = [
            number
            for number, client in enumerate(self._all)
            if number not in self._there or ModelClient.lists(client, model) or not client.lists_models
        ]
        self._able[model] = able if self._there.intersection(able) else list(range(len(self._all)))
        return self._able[model]

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), _LOOK_S)
        except TimeoutError:
            return
        raise StoppedError("interrupted while waiting for an endpoint")

    def _leaves(self, number: int, model: str, error: UnavailableError) -> bool:
        return self.places.leaves(number, model, error) if model else len(self._all) > 1

    def check_media(self, model: str, kind: Kind, frames: int, *, pictures: int = 1) -> None:
        """As of one endpoint, of each that is there; those that are asked about videos take them alike."""
        if kind is Kind.VIDEO:
            self._seeing.add(model)
            first, *others = self._seers() or [0]
            for other in others:
                if self._takes_video(other) != self._takes_video(first):
                    raise UsageError(self._unlike(first, other))
        for number in sorted(self._there):
            ModelClient.check_media(self._all[number], model, kind, frames, pictures=pictures)

    def check_speech(self, model: str) -> None:
        """As of one endpoint: one that serves it is enough."""
        if not self.hearing(model):
            for number in sorted(self._there):
                ModelClient.check_speech(self._all[number], model)

    def lists(self, model: str) -> bool:
        """Whether any endpoint says that it serves a model."""
        return any(ModelClient.lists(self._all[number], model) for number in self._there)

    def hearing(self, model: str) -> list[int]:
        """The numbers of the endpoints that say that they serve a model; if none does, those that say nothing."""
        found = [number for number in sorted(self._there) if ModelClient.lists(self._all[number], model)]
        return found or [number for number in sorted(self._there) if not self._all[number].lists_models]

    def context(self, model: str) -> int | None:
        """Of the endpoint that takes the fewest."""
        found = [ModelClient.context(self._all[number], model) for number in self._there]
        return min((tokens for tokens in found if tokens), default=None)

    @property
    def takes_video(self) -> bool:
        """As of one endpoint: all that are asked about videos are alike."""
        return self._takes_video(min(self._seers() or self._there, default=0))

    def _takes_video(self, number: int) -> bool:
        return self._all[number].takes_video if number else super().takes_video

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

        async def attempt(number: int) -> Answer:
            await self._look_again_at(number, request.model)
            return await ModelClient.ask(self._all[number], request, parts, label, other_try, choices=choices)

        return await self.places.ask(request.model, attempt, partial(self._serving, request.model))

    async def stream(
        self, request: Request, parts: bytes, turns: Sequence[Turn], label: str
    ) -> AsyncGenerator[str | Answer, None]:
        """As of one endpoint, at that with the most room."""

        async def attempt(number: int) -> AsyncGenerator[str | Answer, None]:
            await self._look_again_at(number, request.model)
            async with aclosing(ModelClient.stream(self._all[number], request, parts, turns, label)) as pieces:
                async for piece in pieces:
                    yield piece

        serving = partial(self._serving, request.model)
        async with aclosing(self.places.stream(request.model, attempt, serving)) as pieces:
            async for piece in pieces:
                yield piece

    async def _look_again_at(self, number: int, model: str) -> None:
        """Look at an endpoint that was away when the others were looked at.

        Raises:
            UnavailableError, ServiceLostError: it still is, or cannot be asked what the others are asked.
            UnlistedError: it lists others than `model`, as somebody may have seen since it was chosen.
            StoppedError: the run was stopped meanwhile.
        """
        if not self._there:
            return
        if number not in self._there:
            try:
                await self._look_at(number)
            except UnavailableError as error:
                if not self.places.leaves(number, model, error):
                    await self._pause()
                raise
            except UsageError as error:
                raise ServiceLostError(str(error)) from error
            self._tell_unlisted()
        if number not in self._serving(model):
            raise UnlistedError(f"endpoint {self._all[number].base_url} does not list {model}")


class SpreadSpeech(SpeechClient):
    """Has sound transcribed by those of several endpoints that serve the model, in turn."""

    def __init__(
        self, base_urls: Sequence[str], api_key: str | None, *, hearing: Callable[[str], Iterable[int]], **settings: Any
    ) -> None:
        """`hearing` gives the numbers of the endpoints that serve a model; settings are those of `SpeechClient`."""
        names = [f"speech model at {url}" for url in base_urls]
        self._places = Places(names, sys.maxsize, wait_s=settings["wait_s"], notify=settings["notify"])
        super().__init__(base_urls[0], api_key, leaves=partial(self._places.leaves, 0, _SPEECH), **settings)
        others = enumerate(base_urls[1:], 1)
        self._others = [
            SpeechClient(url, api_key, leaves=partial(self._places.leaves, number, _SPEECH), **settings)
            for number, url in others
        ]
        self._hearing = hearing

    async def close(self) -> None:
        """Close the connections to all."""
        await super().close()
        for other in self._others:
            await other.close()

    async def transcribe(self, request: Request, piece: SoundPiece, label: str, temperature: float) -> Transcribed:
        """As of one endpoint, at that with the least to do."""

        async def attempt(number: int) -> Transcribed:
            client = [self, *self._others][number]
            return await SpeechClient.transcribe(client, request, piece, label, temperature)

        return await self._places.ask(_SPEECH, attempt, lambda: self._hearing(request.model) or (0,))


_SPEECH = "speech"
"""What `Places` calls the model: one speech model is asked."""
