"""Server-sent events: what happens to a request, for who follows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web

if TYPE_CHECKING:
    from client.captioner.feed import Event, Follower

EVENTS = "text/event-stream"
COMMENT_S = 10.0
"""After so long without an event a comment is sent: nobody takes the connection for a dead one."""
WRITE_S = 60.0
"""For who reads nothing: then the connection is cut, and what was held for it is free."""


def wants_events(request: web.Request) -> bool:
    """Whether a client asks for events by its `Accept`."""
    return EVENTS in request.headers.get(hdrs.ACCEPT, "").lower()


async def send(request: web.Request, follower: Follower, first: list[Event]) -> web.StreamResponse:
    """Send the `first` events, and then all until the last one."""
    response = await _begun(request, first)
    async for events in follower.batches(COMMENT_S):
        await _write(request, response, b"".join(map(_encoded, events)) or b": still at it\n\n")
    return await _ended(request, response)


async def send_all(request: web.Request, events: list[Event]) -> web.StreamResponse:
    """Send these events, and no others."""
    return await _ended(request, await _begun(request, events))


async def _begun(request: web.Request, events: list[Event]) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: EVENTS, hdrs.CACHE_CONTROL: "no-cache"})
    await response.prepare(request)
    await _write(request, response, b"".join(map(_encoded, events)))
    return response


async def _ended(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    await _write(request, response, b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(WRITE_S):
            await response.write(data)
    except TimeoutError:
        if request.transport:
            request.transport.abort()
        raise ConnectionResetError("who follows reads nothing") from None


def _encoded(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), orjson.dumps(event))
