"""Serves an application on a socket until SIGTERM, and lets what is in flight end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from server.gateway.app import GATEWAY, create_app
from server.gateway.connections import Runner

if TYPE_CHECKING:
    from server.gateway.config import GatewayConfig

OTHER_FILES = 128
"""Open files that are no connections of requests."""
LINGER_S = 5.0
"""How long the rest of a refused body is read, so that its sender gets to see the refusal; as nginx's
`lingering_timeout`."""


def make_runner(app: web.Application, config: GatewayConfig) -> web.AppRunner:
    """How the application is served.

    A connection must have sent the headers of its next request after `header_s`: aiohttp closes it then, whether it
    is idle or sends a byte now and then. aiohttp itself refuses what two servers could read in two ways (both
    Content-Length and Transfer-Encoding, several lengths, bare line feeds), and headers beyond 8 KiB each or 128.
    """
    return Runner(
        app,
        most_connections=_most_connections(config.limits.max_connections),
        handler_cancellation=True,  # client gone: the engine need not go on
        keepalive_timeout=config.timeouts.header_s,
        lingering_time=LINGER_S,
        shutdown_timeout=1.0,  # what has not ended by then is ended
        auto_decompress=False,
        access_log=None,
    )


async def serve(config: GatewayConfig, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT: then new requests are refused, and those in flight have `finish_s` to end.

    Raises:
        PreflightError: an API key is not right.
    """
    _raise_file_limit()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = create_app(config)
    gateway = app[GATEWAY]
    runner = make_runner(app, config)
    await runner.setup()
    gc.collect()
    gc.freeze()  # what is there for good need not be gone through again while pieces of streams wait
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
        gateway.middleware.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(config.timeouts.finish_s):
                await gateway.admission.empty()
        # The supervisor holds the socket too: who connects from now on is refused, and does not wait for nobody.
        listener.shutdown(socket.SHUT_RDWR)
    finally:
        await runner.cleanup()


def _most_connections(wanted: int) -> int:
    """So many as there are files for: each connection may need a second one, to an engine."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, max(1, (hard - OTHER_FILES) // 2))


def _raise_file_limit() -> None:
    """Every connection is a file, and the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
