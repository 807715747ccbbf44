"""`GET /health/core` in vLLM's API server: 200 only if the engine core answers too.

vLLM's own `/health` says that the engine's process has not died. A core that hangs, in a kernel or in a
collective with a dead peer, is well by that. So this asks the core something that it answers between two
steps. Loaded by `--middleware server.engines.engine_health.CoreHealth`; it imports nothing of ours, and lets every
other request through. As it is asked every other second, it also gives memory back that the server no longer needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

PATH = "/health/core"
TRIM_BYTES = 128 << 20
"""By so much the server's memory has to grow until what is free is given back: a picture of 14 megapixels takes as much
while it is decoded, at nine bytes a pixel. All other allocations wait meanwhile, so not after every small one."""


class CoreHealth:
    """ASGI middleware that answers `GET /health/core`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._trimmed_bytes = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer `GET /health/core`, pass on everything else."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        engine = scope["app"].state.engine_client
        status = 200
        try:
            await engine.check_health()
            await engine.is_paused()  # a question to the core; who asks sets the time-out
        except Exception:  # noqa: BLE001  # a dead engine has several; each means the same
            status = 503
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        await self._give_memory_back()

    async def _give_memory_back(self) -> None:
        """Give free memory back to the system once there may be much of it.

        Pictures are decoded in threads, and what each of them has freed stays with it: the C library's allocator keeps
        a gigabyte for ever after a few large ones.
        """
        if _resident_bytes() - self._trimmed_bytes > TRIM_BYTES:
            await asyncio.to_thread(_trim)
            self._trimmed_bytes = _resident_bytes()


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return 0  # not Linux


def _trim() -> None:
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
