"""Serves the application on a socket until SIGTERM, and lets what is in flight end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from client.captioner.app import CAPTIONER, create_app
from client.cli.log import Lines
from client.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from client.captioner.config import Config

LINGER_S = 5.0
"""How long the rest of a refused body is read, so that its sender gets to see the refusal."""
IDLE_S = 75.0


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        UsageError: the port is taken, or the address is not ours.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def listen_at(path: Path) -> socket.socket:
    """A listening Unix socket, for this user alone.

    Raises:
        UsageError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket():  # of one that was killed
            path.unlink()
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener


async def serve(config: Config, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT: then new requests are refused, and those in flight have `finish_s` to end.

    Raises:
        UsageError: the folder cannot be used.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = create_app(config)
    captioner = app[CAPTIONER]
    runner = web.AppRunner(
        app,
        handler_cancellation=True,  # client gone: nobody waits for the answer
        keepalive_timeout=IDLE_S,
        lingering_time=LINGER_S,
        shutdown_timeout=1.0,
        auto_decompress=False,
        access_log=None,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
        captioner.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(config.limits.finish_s):
                await captioner.incoming.empty()
    finally:
        await runner.cleanup()


def set_up_log() -> None:
    """Write all that is worth knowing to standard error, where a supervisor reads it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines([]))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
