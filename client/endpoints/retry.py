"""How long and how often a request is tried again: one policy for the model server and the translator.

A server that does not take requests (down, restarting, full) costs no attempts: it is waited for, as long as
`--wait` says. A request that was taken and went wrong is tried a few times. A refusal is final.

All pauses are jittered, so that the requests that waited out an outage come back one by one, spread over
some seconds, and not as a herd.
"""

from __future__ import annotations

import asyncio
import email.utils
import itertools
import logging
import random
import re
import time
from typing import TYPE_CHECKING, Protocol, TypedDict, TypeVar

from client.errors import (
    AuthError,
    BabelviewError,
    FailedError,
    QuotaError,
    RefusedError,
    RequestError,
    ServiceLostError,
    StoppedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

logger = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0
LONGEST_PAUSE_AWAY_S = 3.0
"""A server that is away is asked this often at least, so that its return is noticed at once."""
NOTED_S, BUSY_NOTED_S, REMIND_S = 1.0, 30.0, 30.0
"""The user hears of a server that is away, or too busy for anybody, for so long; and again every so often."""
POISON, FAILED = "poison_request", "engine_error"
"""502 that says nothing of other requests: the engine crashes of this one, or fails at it."""
_SECONDS = re.compile(r"-?\d{1,9}(\.\d{0,9})?", re.ASCII)
"""Python's own `float` takes `inf`, `nan` and `1e400` too, of which nothing follows."""
FAILURES_TO_LOSE = 20
"""So many requests given up one after the other, over more than `--wait`: then the server is lost. One that forbids
every one of so many (HTTP 403) and never answered is not waited for."""


class Notify(Protocol):
    """Shows the user a line."""

    def __call__(self, text: str, /) -> None:
        """Show it."""


class Waiting(TypedDict):
    """How long the clients of servers wait, and who ends that: arguments that they have in common."""

    deadline_s: float
    """Of one attempt."""
    wait_s: float
    """For a server that is away."""
    notify: Notify
    stop: asyncio.Event


class RetryPolicy:
    """A server as seen by all the requests that go to it."""

    def __init__(
        self,
        name: str,
        *,
        wait_s: float,
        notify: Notify,
        stop: asyncio.Event,
        leaves: Callable[[UnavailableError], bool] | None = None,
    ) -> None:
        """`name` is for messages; `wait_s` in seconds; `stop` ends all pauses.

        `leaves` says whether a request that the server does not take goes to another one, and is not waited for.
        """
        self._leaves = leaves
        self._name, self._wait_s, self._notify, self._stop = name, wait_s, notify, stop
        self._away_since: float | None = None
        self._said_at: float | None = None
        self._told_since = 0.0
        """When the outage began that the user was told of."""
        self._answered_at: float | None = None
        self._first_call_at: float | None = None
        self._given_up = 0

    async def call(self, attempt: Callable[[], Awaitable[T]], label: str) -> T:
        """Make `attempt` until it succeeds; `label` says in the log what it is about.

        Raises:
            RequestError: it failed too often, or the server was too busy for too long.
            ServiceLostError: the server was away for longer than `wait_s`, gives nothing but errors, or its quota is
                used up.
            StoppedError: the run was stopped meanwhile.
            UnavailableError: the server did not take it, and it leaves for another one.
        """
        began = time.monotonic()
        self._first_call_at = self._first_call_at or began
        failures = 0
        for tries in itertools.count():
            asked_at = time.monotonic()
            try:
                result = await attempt()
            except UnavailableError as error:
                if self._leaves and self._leaves(error):
                    raise
                self._away(error)
                if time.monotonic() - began > self._wait_s:
                    raise self._give_up(f"{error}, for {duration(self._wait_s)}") from error
                longest = LONGEST_PAUSE_S if error.busy else LONGEST_PAUSE_AWAY_S
                reason, retry_after = str(error), error.retry_after
            except FailedError as error:
                failures += 1
                if failures >= ATTEMPTS:
                    raise self._give_up(f"{error} ({ATTEMPTS} attempts)") from error
                longest, reason, retry_after = LONGEST_PAUSE_S, str(error), error.retry_after
            except QuotaError as error:
                raise ServiceLostError(f"{self._name}: {error}") from error
            except AuthError as error:
                if self._answered_at is None and (error.certain or self._given_up + 1 >= FAILURES_TO_LOSE):
                    raise ServiceLostError(f"{self._name}: {error}") from error
                raise self._give_up(str(error)) from error
            else:
                self._back(asked_at)
                return result
            pause_s = self._pause_s(tries, longest, retry_after)
            logger.warning("%s: %s; trying again in %.1f s", label, reason, pause_s)
            await self._pause(pause_s)
        raise AssertionError("unreachable")

    def _give_up(self, reason: str) -> BabelviewError:
        """The error of a request that is not tried again; of the service, if none succeeds any more."""
        self._given_up += 1
        since = self._answered_at or self._first_call_at or 0.0
        if self._given_up >= FAILURES_TO_LOSE and time.monotonic() - since > self._wait_s:
            return ServiceLostError(
                f"{self._name}: {self._given_up} requests failed one after the other; the last: {reason}"
            )
        return RequestError(reason)

    def _away(self, error: UnavailableError) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        gone = now - self._away_since
        if gone > self._wait_s:
            how = how_to_start(self._name, error)
            gave_up = f"{self._name}: {error}, for {duration(self._wait_s)}; gave up waiting{how}"
            raise ServiceLostError(gave_up) from error
        if self._said_at is None:
            # Before a long pause that the server asks for, the user hears of it at once.
            if gone + (error.retry_after or 0) >= (BUSY_NOTED_S if error.busy else NOTED_S):
                waiting = f"waiting up to {duration(self._wait_s)} for it"
                self._notify(f"{self._name}: {error}; {waiting}{how_to_start(self._name, error)}")
                self._said_at, self._told_since = now, self._away_since
        elif now - self._said_at > REMIND_S:
            self._notify(f"{self._name}: {error}; still waiting, {duration(self._wait_s - gone)} left")
            self._said_at = now

    def _back(self, asked_at: float) -> None:
        # A server that is shutting down still answers what it was asked before: it is not back.
        if self._said_at is not None and asked_at >= self._told_since:
            self._notify(f"{self._name}: back after {duration(time.monotonic() - self._told_since)}")
            self._said_at = None
        self._away_since = None
        self._answered_at, self._given_up = time.monotonic(), 0

    def _pause_s(self, tries: int, longest: float, retry_after: float | None) -> float:
        """How long to pause after a try: as the server says, or twice as long each time."""
        if not retry_after:  # none, or one that has passed: to come back at once, for ever, helps nobody
            return min(longest, FIRST_PAUSE_S * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1)
        if retry_after > self._wait_s:
            raise self._give_up(f"the server asks to wait {duration(retry_after)}, --wait is {duration(self._wait_s)}")
        return retry_after + random.uniform(0, max(FIRST_PAUSE_S, retry_after / 4))

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError("interrupted while waiting to try again")


def how_to_start(name: str, error: Exception) -> str:
    """What to type where nothing listens on this machine; `name` of a server holds its URL."""
    here = name.partition("://")[2].startswith(("127.0.0.1", "localhost", "[::1]"))
    return " (is it running? babelview up starts it)" if here and "Connection refused" in str(error) else ""


def failure(status: int, reason: str, retry_after: float | None, code: str | None = None) -> Exception:
    """What an HTTP error status means for the request; `code` is Babelview's own word for it, if it has one."""
    text = f"HTTP {status}: {reason}"
    if code == POISON:
        return RequestError(text)
    if code == FAILED:
        return FailedError(text, retry_after)
    if status in (429, 502, 503, 504):
        return UnavailableError(text, retry_after, busy=status == 429)
    if status in (408, 409) or status >= 500:
        return FailedError(text, retry_after)
    if status in (401, 403):
        return AuthError(f"the server does not let us in ({text})", certain=status == 401)
    return RefusedError(text) if status in (400, 413, 415, 422) else RequestError(text)


def read_retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110, 10.2.3): a number, or a date; None for what is neither."""
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return max(0.0, float(value))
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def duration(seconds: float) -> str:
    """A time as text: `0.5 s`, `90 s`, `10 min`."""
    if seconds < 10:
        return f"{seconds:.3g} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
