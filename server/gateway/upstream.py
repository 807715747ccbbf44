"""Connections to the engines and the translator, and passing an answer through as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import aiohttp
import orjson
from aiohttp import hdrs, web

from server.gateway.errors import unavailable

if TYPE_CHECKING:
    from types import TracebackType

REQUEST_HEADERS = (hdrs.CONTENT_TYPE, hdrs.ACCEPT, "X-Request-Id")
RESPONSE_HEADERS = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.RETRY_AFTER, "X-Request-Id")
CONNECT_TIMEOUT_S = 5.0
HEALTH_TIMEOUT_S = 5.0
# A caption may take minutes, and a hung engine is found by its supervisor: no limit on the answer.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)


class Upstream:
    """One server behind the gateway, with its own pool of connections: none can use up another's."""

    def __init__(self, name: str, *, socket: str | None = None, url: str = "http://engine") -> None:
        """`socket` is a Unix socket; None means TCP to `url`."""
        self.name = name
        self._url = url
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        if self._socket:
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(self._socket, limit=0)
        else:
            connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def healthy(self) -> bool:
        """Whether it answers `GET /health` with 200."""
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(HEALTH_TIMEOUT_S)
        try:
            async with self._session.get(f"{self._url}/health", timeout=timeout) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def post(self, request: web.Request, path: str, body: bytes) -> web.StreamResponse:
        """Send `body` on and the answer back, piece by piece.

        If the client goes away this task is cancelled, which closes the connection, and the engine aborts.

        Raises:
            RequestError: 503, nothing has been answered and it may work in a moment.
        """
        assert self._session is not None
        headers = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
        try:
            async with self._session.post(f"{self._url}{path}", data=body, headers=headers) as answer:
                if answer.status >= 500 and not await self.healthy():
                    raise unavailable(self.name)  # the engine has died under the request
                return await _pass_through(request, answer)
        except (aiohttp.ClientConnectionError, aiohttp.ServerTimeoutError) as error:
            raise unavailable(self.name) from error


async def _pass_through(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: answer.headers[name] for name in RESPONSE_HEADERS if name in answer.headers}
    if answer.content_type != "text/event-stream":
        return web.Response(status=answer.status, body=await answer.read(), headers=headers)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
    except aiohttp.ClientError:
        # Too late for a status. SDKs raise on an error event; without it the text would look complete.
        error = {
            "message": "the engine died while answering",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        await response.write(b"data: " + orjson.dumps({"error": error}) + b"\n\n")
    await response.write_eof()
    return response
