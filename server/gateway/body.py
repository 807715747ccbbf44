"""Reading a request's body: bounded in bytes, time, depth and number of values before anything looks inside."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from server.errors import RequestError
from server.gateway.request_context import HOLD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from server.gateway.admission import Hold
    from server.gateway.config import Limits, Timeouts

MOST_VALUES = 500_000
"""In one JSON body: some 40 MB of Python objects. 64 MiB of `[],[],...` would become more than a GiB of them."""
MOST_KEYS = 20_000
"""Of all objects of a body together: engines look at each of them, for seconds if there are half a million."""
DEEPEST = 64
"""orjson itself takes 1024; what engines do with that is not tried out."""


class BodyReader:
    """Reads the bodies of requests, within limits of bytes and time."""

    def __init__(self, limits: Limits, timeouts: Timeouts) -> None:
        self._limits = limits
        self._timeouts = timeouts

    @asynccontextmanager
    async def read(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body; its memory is counted, as its bytes arrive, until the end of the block.

        Raises:
            RequestError: 400, 408, 413, 415 or 429.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise RequestError(415, "compressed bodies are not taken", code="unsupported_encoding")
        hold = request[HOLD]
        announced = request.content_length or 0
        if announced > self._limits.max_body_bytes:
            raise self._too_large()
        hold.check(announced)  # nothing is taken for it yet: what is announced may never come
        body = b""
        try:
            body = await self._receive(request, hold)
            yield body
        finally:
            hold.count(-len(body))

    async def _receive(self, request: web.Request, hold: Hold) -> bytes:
        """All of the body, of which each piece is counted as it comes."""
        timeouts = self._timeouts
        pieces: list[bytes] = []
        size = 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(timeouts.body_idle_s) as limit:
                while piece := await request.content.readany():
                    pieces.append(piece)
                    size += len(piece)
                    if size > self._limits.max_body_bytes:
                        raise self._too_large()
                    hold.add(len(piece))
                    enough_until = began + timeouts.body_idle_s + size / timeouts.body_bytes_per_s
                    limit.reschedule(min(loop.time() + timeouts.body_idle_s, enough_until, began + timeouts.body_s))
        except TimeoutError:
            raise RequestError(408, "the body took too long to come", code="request_timeout") from None
        except (HttpProcessingError, web.RequestPayloadError):  # their text has the raw line
            raise RequestError(400, "the body is cut into chunks in a wrong way", code="bad_request") from None
        return b"".join(pieces)

    def _too_large(self) -> RequestError:
        limit = self._limits.max_body_bytes >> 20
        return RequestError(413, f"the request is too large: at most {limit} MiB are taken", code="request_too_large")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        RequestError: 400, it is none, or too deep, or has too many values or keys.
    """
    _check_size(body)
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(asked, dict):
        raise RequestError(400, "the body must be a JSON object", code="invalid_json")
    keys = 0
    for number, level in enumerate(_levels(asked)):
        if number >= DEEPEST:
            raise RequestError(400, f"the body is nested deeper than {DEEPEST} levels", code="invalid_json")
        keys += sum(len(value) for value in level if isinstance(value, dict))
        if keys > MOST_KEYS:
            raise RequestError(400, f"the body has more than {MOST_KEYS} keys", code="invalid_json")
    return asked


def _check_size(body: bytes) -> None:
    """Every value but the first follows a comma or an opened bracket."""
    if len(body) <= MOST_VALUES:
        return
    characters = np.frombuffer(body, np.uint8)
    opened = np.count_nonzero((characters & 0xDF) == ord("["))  # "[" and "{" differ in this bit
    if opened + np.count_nonzero(characters == ord(",")) > MOST_VALUES:
        raise RequestError(400, f"the body has more than {MOST_VALUES} values", code="invalid_json")


def is_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than `DEEPEST` levels."""
    return any(number >= DEEPEST for number, _ in enumerate(_levels(value)))


def _levels(value: Any) -> Iterator[list[Any]]:
    """The objects and lists of a JSON value, level by level."""
    level = [value] if isinstance(value, dict | list) else []
    while level:
        yield level
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
