"""Captions over HTTP: requests go on to the captioner as they come, and its answers back, both piece by piece.

The captioner asks the models here again, with the caller's own key: there each question is counted against that key's
limits, once. So a request that only goes on to it takes none of them: it would hold what its own questions wait for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from server.errors import RequestError
from server.gateway.refusals import error_body, unavailable
from server.gateway.request_context import CONTEXT, REQUEST_ID, trace_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.gateway.config import Timeouts
    from server.gateway.upstream import Upstream

PATH, EVENT_STREAM = "/v1/captions", "text/event-stream"
DIED = "captioner_died"
PASSED_ON = "X-Babelview-Captions"
"""Says that a gateway has passed a request on: one that comes back goes round in a circle."""
_SENT = (hdrs.AUTHORIZATION, hdrs.ACCEPT, hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING)
_GIVEN = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.RETRY_AFTER, hdrs.LOCATION, hdrs.ALLOW, hdrs.CONTENT_LENGTH)


class Captions:
    """The handler of all that is below `/v1/captions`."""

    def __init__(self, captioner: Upstream | None, timeouts: Timeouts) -> None:
        """None: this stack has no captioner."""
        self._captioner, self._timeouts = captioner, timeouts

    def route(self, app: web.Application) -> None:
        """Add its paths."""
        for path, *methods in (
            (PATH, "POST"),
            (f"{PATH}/jobs", "GET", "POST"),
            (f"{PATH}/jobs/{{id}}", "GET", "DELETE"),
            (f"{PATH}/jobs/{{id}}/events", "GET"),
        ):
            for method in methods:
                app.router.add_route(method, path, self.forward)
                app.router.add_route(method, f"{path}/", self.forward)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, and its answer back. If the client goes away, so does the connection to the captioner.

        Raises:
            RequestError: 404, there is no captioner; 503, it is not there now; 508, the request came here before.
        """
        captioner = self._captioner
        if captioner is None:
            raise RequestError(404, "this stack has no captioner", code="not_found")
        if PASSED_ON in request.headers:
            raise RequestError(508, "the captioner's address leads back to this gateway", code="loop_detected")
        context = request[CONTEXT]
        context.model = context.replica = captioner.name
        headers = {str(name): request.headers[name] for name in _SENT if name in request.headers}
        headers |= {REQUEST_ID: context.id, PASSED_ON: "1", **trace_headers(request.headers)}
        path = URL.build(path=request.rel_url.raw_path.rstrip("/"), encoded=True)
        captioner.in_flight += 1
        try:
            answer = await self._answer(captioner, request, path, headers)
            try:
                return await self._back(request, answer)
            finally:
                answer.close()  # one that was read to its end has given its connection back
        finally:
            captioner.in_flight -= 1

    async def _answer(
        self, captioner: Upstream, request: web.Request, path: URL, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """The captioner's answer, whose body is still to come."""
        body = _body(request) if request.can_read_body else None
        try:
            return await captioner.request(request.method, path, body, headers)
        except aiohttp.ClientConnectorError as error:
            captioner.broke(refused=True)
            raise unavailable(captioner.name) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client went away") from error
            captioner.broke()
            raise unavailable(captioner.name) from error

    async def _back(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = {name: answer.headers[name] for name in _GIVEN if name in answer.headers}
        response = web.StreamResponse(status=answer.status, headers=headers)
        if not request.content.is_eof():
            response.force_close()  # it was refused before all of it had come
        await response.prepare(request)
        while piece := await self._piece(request, response, answer):
            request[CONTEXT].streamed(piece)
            await self._write(response, piece)
        await response.write_eof()
        return response

    async def _piece(self, request: web.Request, response: web.StreamResponse, answer: aiohttp.ClientResponse) -> bytes:
        """The next piece of an answer; if the captioner dies in it, an event says so: it is too late for a status."""
        try:
            return await answer.content.readany()
        except (aiohttp.ClientError, ConnectionError) as error:
            request[CONTEXT].code = DIED
            if answer.content_type != EVENT_STREAM:
                raise ConnectionResetError("the captioner died while answering") from error
            told = error_body("the captioner died while answering", "server_error", code=DIED)
            await self._write(response, b'event: error\ndata: {"type":"error",' + told[1:] + b"\n\n")
            return b""

    async def _write(self, response: web.StreamResponse, piece: bytes) -> None:
        try:
            async with asyncio.timeout(self._timeouts.between_bytes_s):
                await response.write(piece)
        except TimeoutError:
            raise ConnectionResetError("the client does not read") from None


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. How fast that has to be, and how much it may be, is the captioner's to say."""
    while piece := await request.content.readany():
        request[CONTEXT].body_bytes += len(piece)
        yield piece
