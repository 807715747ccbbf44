"""Reading a request's body: bounded in bytes, time, depth and number of values before anything looks inside."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from aiohttp import hdrs

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from server.gateway.admission import Admission
    from server.gateway.config import Limits, Timeouts

MOST_VALUES = 500_000
"""In one JSON body: some 40 MB of Python objects. 64 MiB of `[],[],...` would become more than a GiB of them."""
DEEPEST = 64
"""orjson itself takes 1024; what engines do with that is not tried out."""


class BodyReader:
    """Reads the bodies of requests, within limits of bytes and time."""

    def __init__(self, limits: Limits, timeouts: Timeouts, admission: Admission) -> None:
        self._limits = limits
        self._timeouts = timeouts
        self._admission = admission

    @asynccontextmanager
    async def read(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body; its memory is counted until the end of the block.

        Raises:
            RequestError: 408, 413, 415 or 429.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise RequestError(415, "compressed bodies are not taken", code="unsupported_encoding")
        held = request.content_length or 0
        if held > self._limits.max_body_bytes:
            raise self._too_large()
        self._admission.reserve(held)
        try:
            pieces: list[bytes] = []
            size = 0
            loop = asyncio.get_running_loop()
            end = loop.time() + self._timeouts.body_s
            try:
                async with asyncio.timeout(self._timeouts.body_idle_s) as limit:
                    while piece := await request.content.readany():
                        pieces.append(piece)
                        size += len(piece)
                        if size > self._limits.max_body_bytes:
                            raise self._too_large()
                        if size > held:  # sent in chunks, without saying how much
                            self._admission.reserve(size - held)
                            held = size
                        limit.reschedule(min(loop.time() + self._timeouts.body_idle_s, end))
            except TimeoutError:
                raise RequestError(408, "the body took too long to come", code="request_timeout") from None
            yield b"".join(pieces)
        finally:
            self._admission.free(held)

    def _too_large(self) -> RequestError:
        limit = self._limits.max_body_bytes >> 20
        return RequestError(413, f"the request is too large: at most {limit} MiB are taken", code="request_too_large")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        RequestError: 400, it is none, or too deep, or has too many values.
    """
    _check_size(body)
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(asked, dict):
        raise RequestError(400, "the body must be a JSON object", code="invalid_json")
    if is_deep(asked):
        raise RequestError(400, f"the body is nested deeper than {DEEPEST} levels", code="invalid_json")
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
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
