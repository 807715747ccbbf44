"""No request without the engine's key, where it has one.

vLLM asks for it below `/v1` and three other paths only. It leaves open `/invocations`, which answers chats,
`/tokenize`, `/metrics` and more, to whoever reaches an engine that listens on a network. Loaded by
`--middleware server.engines.require_key.RequireKey`; it imports nothing of ours.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = frozenset({"/health", "/health/core"})
"""What supervisors and container platforms probe, without a key."""
REFUSAL = (
    b'{"error": {"message": "this engine wants its API key: Authorization: Bearer KEY", '
    b'"type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}'
)
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(REFUSAL)),
    (b"www-authenticate", b"Bearer"),
]


class RequireKey:
    """ASGI middleware that lets nobody pass without the key of the engine, if it has one."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on what is open or has the key; refuse everything else, preflights of browsers too."""
        if scope["type"] not in {"http", "websocket"} or scope["path"] in OPEN or _may_pass(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the client gets a 403
        else:
            await send({"type": "http.response.start", "status": 401, "headers": HEADERS})
            await send({"type": "http.response.body", "body": REFUSAL})


def engine_keys(app: Any) -> list[str]:
    """The keys that vLLM takes, as it reads them: those of `--api-key`, without any the variable's."""
    args = getattr(app.state, "args", None)
    return [key for key in getattr(args, "api_key", None) or [os.environ.get("VLLM_API_KEY")] if key]


def _may_pass(scope: Message) -> bool:
    if not (keys := engine_keys(scope["app"])):
        return True
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, key = given.partition(b" ")
    # All are compared, each in constant time.
    matches = [hmac.compare_digest(known.encode(errors="surrogateescape"), key.strip()) for known in keys]
    return scheme.lower() == b"bearer" and any(matches)
