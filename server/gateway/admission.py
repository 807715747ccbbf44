"""Who may come in, and how much at a time."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.errors import RETRY_AFTER_S, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from server.gateway.config import Limits
    from server.gateway.keyring import Keyring


class _Account:
    """What one key uses: a token bucket, full at first, and counts."""

    __slots__ = ("at", "buffered_bytes", "in_flight", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at
        self.in_flight = 0
        self.buffered_bytes = 0


class Hold:
    """What one request takes of the gateway's memory, and of the engines'; all is given back when it is over."""

    __slots__ = ("_account", "_admission", "key", "pixels", "size")

    def __init__(self, admission: Admission, key: str, account: _Account | None) -> None:
        self.key = key
        """Name of the API key; empty: none is asked for."""
        self.size = 0
        """Bytes in memory."""
        self.pixels = 0
        """Of its pictures and frames, which an engine decodes; of a sound, its samples."""
        self._admission = admission
        self._account = account

    def check(self, size: int) -> None:
        """Refuse what would not fit if it came now.

        Raises:
            RequestError: 429, there is no room for `size` further bytes.
        """
        admission, limits = self._admission, self._admission.limits
        if self._account is not None and self._account.buffered_bytes + size > limits.key_buffered_bytes:
            raise _too_many("this key has as many bytes of requests here as it may")
        if admission.buffered_bytes + size > limits.max_buffered_bytes:
            raise _too_many("the server holds as many bytes of requests as it may")

    def add(self, size: int) -> None:
        """Take room for `size` further bytes.

        Raises:
            RequestError: 429, there is none.
        """
        self.check(size)
        self.count(size)

    def count(self, size: int) -> None:
        """Count bytes that are there already, or (negative) gone; who comes next is refused if they are too many."""
        self.size += size
        self._admission.buffered_bytes += size
        if self._account is not None:
            self._account.buffered_bytes += size


class Admission:
    """Lets requests in within the limits: keys, requests in flight, requests a minute, bytes in memory."""

    def __init__(self, limits: Limits, keys: Keyring, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells the time in seconds."""
        self.in_flight = 0
        self.buffered_bytes = 0
        """Bytes of requests and answers in memory."""
        self.limits = limits
        self.keys = keys
        """Who may ask."""
        self._clock = clock
        self._left = asyncio.Event()
        self._accounts: dict[str, _Account] = {}

    def identify(self, headers: Mapping[str, str]) -> str:
        """The name of the key that a request carries; empty if none is asked for.

        Raises:
            RequestError: 401.
        """
        if not self.keys:
            return ""
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        name = self.keys.name_of(key.strip()) if scheme.lower() == "bearer" else None
        if name is None:
            raise RequestError(
                401,
                "this endpoint wants an API key that it knows: Authorization: Bearer KEY",
                code="invalid_api_key",
            )
        return name

    @contextmanager
    def enter(self, key: str) -> Iterator[Hold]:
        """Let one request in for as long as the block lasts; gives what its memory is counted with.

        Raises:
            RequestError: 429 with Retry-After.
        """
        account = self._account(key) if key else None
        if account is not None and account.in_flight >= self.limits.key_in_flight:
            raise _too_many(f"this key has {account.in_flight} requests in flight, the most it may have")
        if self.in_flight >= self.limits.max_in_flight:
            raise _too_many("the server is full")
        if account is not None:
            self._take_token(account)
            account.in_flight += 1
        self.in_flight += 1
        hold = Hold(self, key, account)
        try:
            yield hold
        finally:
            hold.count(-hold.size)
            self.in_flight -= 1
            self._left.set()
            if account is not None:
                account.in_flight -= 1

    async def empty(self) -> None:
        """Wait until nothing is in flight."""
        while self.in_flight:
            self._left.clear()
            await self._left.wait()

    def _account(self, key: str) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(self.limits.key_per_minute, self._clock())
        return account

    def _take_token(self, account: _Account) -> None:
        size = self.limits.key_per_minute
        if not size:
            return
        now = self._clock()
        account.tokens = min(size, account.tokens + (now - account.at) * size / 60)
        account.at = now
        if account.tokens < 1:
            wait_s = math.ceil((1 - account.tokens) * 60 / size)
            raise _too_many(f"this key may send {size} requests a minute", wait_s)
        account.tokens -= 1


def _too_many(message: str, retry_after_s: int = RETRY_AFTER_S) -> RequestError:
    return RequestError(
        429, f"{message}: try again in {retry_after_s} s", code="rate_limit_exceeded", retry_after_s=retry_after_s
    )
