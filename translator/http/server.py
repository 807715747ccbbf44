"""The listening socket: a limit of connections, and a stop that loses nothing of what was accepted."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from translator.errors import ApiError
from translator.http.responses import error_response

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

logger = logging.getLogger(__name__)

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\n"
    b'Connection: close\r\n\r\n{"error": "too many connections: try again in a moment"}'
)
_LAST_CALL_S = 0.5
IDLE_S = 75.0
"""After which a connection on which no request comes is closed, as nginx does: aiohttp would wait for an hour, and some
that are idle would keep all others out."""


class MalformedRequests(logging.Filter):
    """Makes one line of the log of a request that is not HTTP, without what was sent, which may be a text."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a record of a malformed request; all records pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
            record.msg, record.args = "refused what cannot be read: %s", (type(error).__name__,)
        return True


class Connection(RequestHandler):
    """One connection: what cannot be read on it is refused as everything else is, and not repeated."""

    __slots__ = ()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is no request, or to a failure outside of our handlers."""
        super().handle_error(request, status, exc, message)  # logs it; raises if an answer has begun
        said = f"this is no HTTP that can be read: {type(exc).__name__}" if status < 500 else "internal error"
        return error_response(ApiError(status, said, code="bad_request" if status < 500 else None, close=True), request)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. An exception of aiohttp is of a request that came to none of our handlers."""
        if isinstance(resp, web.HTTPExpectationFailed):
            failure = ApiError(resp.status, "Expect: only 100-continue is known", code="bad_request", close=True)
            resp = error_response(failure, request)
        return await super().finish_response(request, resp, start_time)


class Listener:
    """A listening socket before an aiohttp server, with a limit of open connections."""

    def __init__(self, server: web.Server, *, connections: int, idle_s: float = IDLE_S, **options: Any) -> None:
        """Pass connections on to `server` as long as it has fewer than `connections`; `options` are aiohttp's."""
        self._server = server
        self._most = connections
        self._options = {"keepalive_timeout": idle_s, **options}
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address and the port that were taken.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._protocol, host, port, backlog=1024, reuse_address=True)
        address = self._listening.sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self) -> None:
        """Take no new connection, and let those that are open come to an end.

        A client with an open connection may have sent a request that has not been read yet. All get a moment in
        which they are answered (with 503, and that the connection closes) before idle connections are closed.
        """
        if self._listening is None:
            return
        await asyncio.sleep(0.05)  # connections that the kernel has completed are accepted
        self._listening.close()
        self._listening = None
        logger.info("no longer listening, %d connections are open", len(self._server.connections))
        for _ in range(round(_LAST_CALL_S / 0.02)):
            if not self._server.connections:
                return
            await asyncio.sleep(0.02)

    def _protocol(self) -> asyncio.BaseProtocol:
        if len(self._server.connections) >= self._most:
            return _Refusal()
        return Connection(self._server, loop=asyncio.get_running_loop(), **self._options)


class _Refusal(asyncio.Protocol):
    """Answers one connection with 503: there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer and hang up."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        # Not at once: closing with the request unread resets the connection, and the answer may be lost.
        asyncio.get_running_loop().call_later(_LAST_CALL_S, transport.close)
