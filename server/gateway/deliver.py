"""Whole answers on their way to clients: sent while they are still counted, and not for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from server.gateway.config import Timeouts


SMALL_BYTES = 64 << 10
"""So much is given to the kernel at once, unless earlier answers lie there unread."""


async def deliver(request: web.Request, response: web.StreamResponse, timeouts: Timeouts) -> None:
    """Send an answer that is not a stream, to all but the last piece, which the kernel takes.

    Raises:
        ConnectionError: the client is gone, or reads nothing.
    """
    if response.prepared:
        return  # a stream, which looks after itself
    if isinstance(response, web.Response) and isinstance(response.body, bytes) and len(response.body) <= SMALL_BYTES:
        try:
            async with asyncio.timeout(timeouts.read_s):
                await _send(request, response)
        except TimeoutError:
            raise _cut(request) from None
        return
    sending = asyncio.ensure_future(_send(request, response))
    try:
        unread = 0
        while not (await asyncio.wait([sending], timeout=timeouts.read_s))[0]:
            transport = request.transport
            now = transport.get_write_buffer_size() if transport is not None else 0
            if unread and unread - now < timeouts.read_s * timeouts.body_bytes_per_s:
                raise _cut(request)
            unread = now
        sending.result()
    finally:
        sending.cancel()


def _cut(request: web.Request) -> ConnectionResetError:
    """End the connection with all that is unread."""
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the client does not read")


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    await response.prepare(request)
    await response.write_eof()
