"""`GET /health/core` in vLLM's API server: 200 only if the engine core answers too.

vLLM's own `/health` says that the engine's process has not died. A core that hangs, in a kernel or in a
collective with a dead peer, is well by that. So this asks the core something that it answers between two
steps. Loaded by `--middleware server.engines.engine_health.CoreHealth`; it imports nothing, and lets every other
request through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

PATH = "/health/core"


class CoreHealth:
    """ASGI middleware that answers `GET /health/core`."""

    def __init__(self, app: App) -> None:
        self._app = app

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
