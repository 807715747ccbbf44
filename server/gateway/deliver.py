"""Whole answers on their way to clients: sent while they are still counted, and not for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from server.gateway.config import Timeouts


async def deliver(request: web.Request, response: web.StreamResponse, timeouts: Timeouts) -> None:
    """Send an answer that is not a stream, to all but the last piece, which the kernel takes.

    Raises:
        ConnectionError: the client is gone, or reads nothing.
    """
    if response.prepared:
        return  # a stream, which looks after itself
    sending = asyncio.ensure_future(_send(request, response))
    try:
        unread = 0
        while not (await asyncio.wait([sending], timeout=timeouts.read_s))[0]:
            transport = request.transport
            now = transport.get_write_buffer_size() if transport is not None else 0
            if unread and unread - now < timeouts.read_s * timeouts.body_bytes_per_s:
                if transport is not None:
                    transport.abort()
                raise ConnectionResetError("the client does not read")
            unread = now
        sending.result()
    finally:
        sending.cancel()


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    await response.prepare(request)
    await response.write_eof()
