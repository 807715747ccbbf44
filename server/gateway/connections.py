"""The connections of clients: how many there may be, and what is said of those that send no HTTP."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from server.errors import RETRY_AFTER_S, PreflightError, RequestError
from server.gateway.middleware import as_openai
from server.gateway.refusals import error_body, kind_of, refusal

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web_request import BaseRequest

UNREAD_MS = 60_000
"""After which the kernel gives up a connection whose other side takes nothing of what was sent: twice the default of
`read_s`, after which we do. By itself Linux tries for a quarter of an hour (`tcp_retries2`)."""

INTERNALS: dict[type, tuple[str, ...]] = {
    RequestHandler: ("_request_in_progress", "_messages"),
    web.Server: ("_loop", "_kwargs", "_connections"),
    web.AppRunner: ("_make_server",),
}
"""What this file uses of aiohttp although it is no part of its interface; seen in 3.14."""

logger = logging.getLogger(__name__)


class Connection(RequestHandler):
    """One connection.

    What cannot be read on it is refused in our words, and repeated neither there nor in a log: it may hold a key.
    """

    __slots__ = ()

    @property
    def idle(self) -> bool:
        """Whether no request has come on it, or the last one is answered."""
        return not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound how long answers may lie in the kernel."""
        super().connection_made(transport)
        if (sock := transport.get_extra_info("socket")) is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request, or to a failure outside of our handlers."""
        if isinstance(exc, HttpProcessingError):
            # Its text, and that of its traceback, is the line that came.
            logger.info("refused what cannot be read: %s", type(exc).__name__)
            failure = RequestError(
                status, f"this is no HTTP that can be read: {type(exc).__name__}", code="bad_request"
            )
        elif isinstance(exc, ConnectionError):
            logger.info("a client went away: %s", type(exc).__name__)
            failure = RequestError(400, "the connection was lost", code="bad_request")
        else:
            logger.error("a connection failed", exc_info=exc)
            failure = RequestError(500, "internal error: the gateway's log says more", code="internal_error")
        if request.writer.output_size > 0:
            raise ConnectionError("too late for another answer")
        response = refusal(failure)
        response.force_close()
        return response

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. An exception of aiohttp is of a request that came to none of our handlers."""
        if isinstance(resp, web.HTTPException):
            resp = refusal(as_openai(request, resp))
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


class Server(web.Server):
    """Takes connections up to a limit. Beyond it an idle one makes room, the oldest first."""

    def __init__(self, server: web.Server, most: int) -> None:
        """As `server`, which aiohttp made, but with at most so many connections."""
        super().__init__(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=server._loop,  # noqa: SLF001  # of its own kind
            **server._kwargs,  # noqa: SLF001
        )
        self._most = most
        self._closing: set[RequestHandler] = set()

    def __call__(self) -> RequestHandler:
        """A protocol for a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count it; if there are too many, one goes."""
        super().connection_made(handler, transport)
        if len(self._connections) - len(self._closing) <= self._most:
            return
        idle = (one for one in self._connections if isinstance(one, Connection) and one.idle)
        going = next((one for one in idle if one not in self._closing), handler)
        self._closing.add(going)
        if going is handler:
            transport.write(_full())
        self._connections[going].close()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """It is gone."""
        super().connection_lost(handler, exc)
        self._closing.discard(handler)


class Runner(web.AppRunner):
    """Runs the gateway's application on connections as they are here."""

    def __init__(self, app: web.Application, *, most_connections: int, **options: Any) -> None:
        super().__init__(app, **options)
        self._most_connections = most_connections

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        check_aiohttp(self, server, server())
        return Server(server, self._most_connections)


def check_aiohttp(*objects: object) -> None:
    """Check that aiohttp is inside as it was when this was written.

    Raises:
        PreflightError: a part of it that is used here is not there.
    """
    for one in objects:
        for kind, names in INTERNALS.items():
            missing = [name for name in names if isinstance(one, kind) and not hasattr(one, name)]
            if missing:
                raise PreflightError(
                    f"the gateway does not know aiohttp {aiohttp.__version__} ({kind.__name__} has no {missing[0]}): "
                    "install one that it knows: pip install 'aiohttp>=3.14,<3.15'"
                )


def _full() -> bytes:
    body = error_body("too many connections: try again in a moment", kind_of(503), code="too_many_connections")
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: {RETRY_AFTER_S}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
