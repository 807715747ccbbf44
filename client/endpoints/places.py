"""Which of several endpoints takes the next request: what is in flight to each, and which of them is away or busy."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from client.endpoints.retry import duration, how_to_start
from client.errors import RequestError, ServiceLostError, UnavailableError, UnlistedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from client.endpoints.retry import Notify

T = TypeVar("T")
Among: TypeAlias = "Callable[[], Iterable[int]]"
"""Gives the numbers of the endpoints that serve a model: those that come late may turn out to serve others."""

FIRST_AWAY_S, LONGEST_AWAY_S = 1.0, 20.0
"""One that is away is asked so often, each time by a single request that the others would take as well."""
LOST_S = 60.0
"""The same of one that keeps us out, or answers nothing but errors."""
BACK = ": is back"
"""So ends what the user is told of one that answers again, after its name."""
BUSY_S = 1.0
"""After 429 another one goes before, for so long, if it has room."""


class Counts(NamedTuple):
    """What came of requests to an endpoint since it was last asked for."""

    answered: int
    refused: int
    """How often it was too busy, or away."""
    retry_after_s: float
    """The longest wait that it asked for."""


NOTHING = Counts(0, 0, 0.0)


@dataclass(slots=True)
class _Endpoint:
    name: str
    limit: int
    in_flight: int = 0
    away_until: dict[str, float] = field(default_factory=dict)
    """Model -> when it is asked again (`time.monotonic`), of those that are away."""
    away_since: dict[str, float] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    looking: set[str] = field(default_factory=set)
    """Models that were away when a request for them was given a place: what comes of it is one try."""
    busy_until: dict[str, float] = field(default_factory=dict)
    lost: ServiceLostError | None = None
    """Why it was given up, until it answers again."""
    lost_at: float = 0.0
    counts: Counts = NOTHING

    def rank(self, model: str, now: float) -> int:
        """0: it takes requests; 1: it is busy; 2: it is away; 3: it is lost."""
        if self.away_until.get(model, 0.0) > now or (self.lost and model not in self.away_until):
            return 3 if self.lost else 2
        return int(self.busy_until.get(model, 0.0) > now)

    def forget(self, model: str) -> None:
        """A model is not away any more."""
        self.away_until.pop(model, None)
        self.tries.pop(model, None)
        self.looking.discard(model)


class Places:
    """The endpoints, by their numbers. Behind one of them a model may be there and another not."""

    def __init__(self, names: Sequence[str], at_once: int, *, wait_s: float, notify: Notify) -> None:
        """`at_once` requests in flight to each, until `limit` says otherwise; `wait_s` for all of them to be busy."""
        self._endpoints = [_Endpoint(name, at_once) for name in names]
        self._wait_s, self._notify = wait_s, notify
        self._waiting: list[tuple[str, Among, asyncio.Future[int]]] = []
        self._serving: dict[str, Among] = {}
        """Model -> those that serve it."""
        self.on_refusal: Callable[[], None] = lambda: None
        """Is called when an endpoint takes a request no more than that."""
        self._told_since = 0.0
        """Since when none was there, the last time that the user was told so."""

    def __len__(self) -> int:
        """How many endpoints there are."""
        return len(self._endpoints)

    def limit(self, number: int, at_once: int) -> None:
        """From now on so many requests in flight."""
        self._endpoints[number].limit = at_once
        self._hand_out()

    def take_counts(self) -> list[Counts]:
        """What came of the requests to each since the last call."""
        counts = [endpoint.counts for endpoint in self._endpoints]
        for endpoint in self._endpoints:
            endpoint.counts = NOTHING
        return counts

    async def ask(self, model: str, attempt: Callable[[int], Awaitable[T]], among: Among | None = None) -> T:
        """What `attempt` gives, at the endpoint of a number; at another one where that is away, lost or serves others.

        `among` gives the numbers of those that serve the model, each time that one is chosen; all, unless it is given.

        Raises:
            ServiceLostError: all of them were lost, or the rest was away for too long.
            RequestError: all of them were too busy for too long.
        """
        began, serving = time.monotonic(), self._take(model, among)
        while True:
            async with self._place(model, serving) as number:
                asked_at = time.monotonic()
                try:
                    answer = await attempt(number)
                except (UnavailableError, ServiceLostError, UnlistedError) as error:
                    self._go_on(error, number, model, began)
                else:
                    self._answered(number, model, asked_at)
                    return answer

    async def stream(
        self, model: str, attempt: Callable[[int], AsyncGenerator[T, None]], among: Among | None = None
    ) -> AsyncGenerator[T, None]:
        """The same, piece by piece: from another one as long as there is no first piece."""
        began, serving, begun = time.monotonic(), self._take(model, among), False
        while True:
            async with self._place(model, serving) as number:
                asked_at = time.monotonic()
                try:
                    async with aclosing(attempt(number)) as pieces:
                        async for piece in pieces:
                            begun = True
                            yield piece
                except (UnavailableError, ServiceLostError, UnlistedError) as error:
                    if begun:
                        raise
                    self._go_on(error, number, model, began)
                else:
                    self._answered(number, model, asked_at)
                    return

    def leaves(self, number: int, model: str, error: UnavailableError) -> bool:
        """An endpoint takes no requests for a model: whether the request goes to another one, and does not wait."""
        endpoint, now = self._endpoints[number], time.monotonic()
        # Others answer meanwhile, and nobody would see that it is back: a server may ask for a day, or a century.
        asked_s = min(error.retry_after or 0.0, max(self._wait_s, LONGEST_AWAY_S))
        answered, refused, waits_s = endpoint.counts
        endpoint.counts = Counts(answered, refused + 1, max(waits_s, asked_s))
        self.on_refusal()
        others = [it for it in self._that_serve(model) if it is not endpoint and it.rank(model, now) == 0]
        if error.busy:
            endpoint.busy_until[model] = now + (asked_s or BUSY_S)
            return any(it.in_flight < it.limit for it in others)
        if model not in endpoint.away_until and others:
            self._notify(f"{endpoint.name}: {error}; others are asked meanwhile")
        self._away(endpoint, model, asked_s)
        return bool(others)

    def missing(self, number: int, models: Iterable[str], error: UnavailableError | ServiceLostError) -> None:
        """An endpoint was not there when all were looked at: it is asked as one that went away."""
        endpoint = self._endpoints[number]
        for model in models:
            if isinstance(error, ServiceLostError):
                self._lose(endpoint, model, error)
                continue
            if not endpoint.away_until:
                self._notify(f"{endpoint.name}: {error}; others are asked meanwhile")
            self._away(endpoint, model)

    def _all(self) -> Iterable[int]:
        return range(len(self))

    def _take(self, model: str, among: Among | None) -> Among:
        self._serving[model] = among or self._all
        return self._serving[model]

    def _that_serve(self, model: str) -> list[_Endpoint]:
        return [self._endpoints[each] for each in sorted(self._serving.get(model, self._all)())]

    def _go_on(
        self, error: UnavailableError | ServiceLostError | UnlistedError, number: int, model: str, began: float
    ) -> None:
        """A request leaves an endpoint.

        Raises:
            ServiceLostError: none of them is there, for too long, or each was lost.
            RequestError: they were too busy for too long.
        """
        endpoint, serving = self._endpoints[number], self._that_serve(model)
        if isinstance(error, UnlistedError):
            endpoint.forget(model)
        elif isinstance(error, ServiceLostError):
            if all(it.lost for it in serving if it is not endpoint):
                raise error
            self._lose(endpoint, model, error)
        elif error.busy:
            if time.monotonic() - began > self._wait_s:
                raise RequestError(f"{error}, for {duration(self._wait_s)}") from error
        elif all(it.lost or model in it.away_until for it in serving):
            since = max(it.away_since[model] if model in it.away_until else it.lost_at for it in serving)
            how = how_to_start(endpoint.name, error)
            if time.monotonic() - max(began, since) > self._wait_s:
                gave_up = f"{endpoint.name}: {error}, for {duration(self._wait_s)}; gave up waiting{how}"
                raise ServiceLostError(gave_up) from error
            if since != self._told_since:
                self._told_since = since
                self._notify(
                    f"{endpoint.name}: {error}; no other is there; waiting up to {duration(self._wait_s)}{how}"
                )

    def _lose(self, endpoint: _Endpoint, model: str, error: ServiceLostError) -> None:
        if not endpoint.lost:
            self._notify(f"warning: {error}; others are asked instead")
            endpoint.lost_at = time.monotonic()
        endpoint.lost = error
        self._away(endpoint, model, LOST_S)

    def _answered(self, number: int, model: str, asked_at: float) -> None:
        endpoint = self._endpoints[number]
        endpoint.counts = endpoint.counts._replace(answered=endpoint.counts.answered + 1)
        if asked_at <= endpoint.away_since.get(model, 0.0):
            return  # one that shuts down still answers what it was asked before: it is not back
        if endpoint.away_until or endpoint.lost:
            if model in endpoint.away_until and len(self) > 1:
                self._notify(f"{endpoint.name}{BACK}")
            endpoint.forget(model)
            endpoint.lost = None
            self._hand_out()

    def _away(self, endpoint: _Endpoint, model: str, asked_s: float = 0.0) -> None:
        now = time.monotonic()
        if endpoint.away_until.get(model, 0.0) > now and model not in endpoint.looking:
            return  # what else was in flight when it went away
        endpoint.looking.discard(model)
        if model not in endpoint.away_until:
            endpoint.away_since[model] = now
        tries = endpoint.tries[model] = endpoint.tries.get(model, 0) + 1
        pause_s = asked_s or min(LONGEST_AWAY_S, FIRST_AWAY_S * 2.0 ** min(tries - 1, 10))
        endpoint.away_until[model] = now + pause_s
        asyncio.get_running_loop().call_later(pause_s, self._hand_out)

    @asynccontextmanager
    async def _place(self, model: str, serving: Among) -> AsyncIterator[int]:
        free: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((model, serving, free))
        self._hand_out()
        try:
            number = await free
        except asyncio.CancelledError:
            if free.done() and not free.cancelled():
                self._give_back(free.result())
            raise
        try:
            yield number
        finally:
            self._give_back(number)

    def _give_back(self, number: int) -> None:
        self._endpoints[number].in_flight -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        """Give places to those that wait, the longest first."""
        if not self._waiting or all(it.in_flight >= it.limit for it in self._endpoints):
            return
        waiting, self._waiting = self._waiting, []
        for model, serving, free in waiting:
            if free.done():  # cancelled
                continue
            number = self._choose(model, serving())
            if number is None:
                self._waiting.append((model, serving, free))
                continue
            endpoint = self._endpoints[number]
            endpoint.in_flight += 1
            if model in endpoint.away_until:  # a single request finds out whether it is back
                endpoint.away_until[model] = time.monotonic() + LONGEST_AWAY_S
                endpoint.looking.add(model)
            free.set_result(number)

    def _choose(self, model: str, numbers: Iterable[int]) -> int | None:
        """That with the most room; one that is away only where all are, before one that is lost. None: no room."""
        now = time.monotonic()
        ranks = {number: self._endpoints[number].rank(model, now) for number in numbers}
        best = min(ranks.values())
        room = {
            number: self._endpoints[number].limit - self._endpoints[number].in_flight
            for number in ranks
            if ranks[number] < 2 or ranks[number] == best
        }
        able = [number for number in sorted(room) if room[number] > 0]
        return max(able, key=lambda number: (-ranks[number], room[number]), default=None)
