"""One attempt: a request goes to one server, and its answer to the client as it comes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs, web

from server.errors import NotBegunError, RequestError
from server.gateway.engine_errors import ERROR_EVENT, explained, reshape, reshape_event
from server.gateway.health import Probed
from server.gateway.refusals import error_body
from server.gateway.request_context import HOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.gateway.config import Timeouts
    from server.gateway.request_context import RequestContext
    from server.gateway.suspicions import Suspicion
    from server.gateway.transcripts import TranscriptFormat
    from server.gateway.upstream import Deadline, Upstream

RESPONSE_HEADERS = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.RETRY_AFTER)
EVENT_STREAM = "text/event-stream"
JSON = "application/json"
_OPENING = re.compile(rb'data: \{[^\n]*"delta":\{"role":"assistant","content":""[^\n]*\n\n')
"""What vLLM begins the stream of a chat with: it says nothing yet."""
_MEDIA_LOST = re.compile(rb'"message": ?"Internal server error"')
"""vLLM's processes lose track of who holds which picture when a request with it is refused late. The next one with the
same picture fails with these words, and would not fail again: the picture is sent on anew then."""


@dataclass(frozen=True, slots=True)
class Call:
    """The request that goes on to a server, and the context that it is logged with."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    context: RequestContext
    media: bool = False
    """Whether it has pictures or a video."""
    suspicion: Suspicion | None = None
    """What is wrong with it if the server fails at it."""
    transcript: TranscriptFormat | None = None
    """How the answer is to be written, if it is a transcription."""


class ForwardAttempt:
    """One attempt to get a request answered by one server."""

    def __init__(
        self, request: web.Request, call: Call, upstream: Upstream, timeouts: Timeouts, begun: Callable[[], None]
    ) -> None:
        """`begun` is called once the server has begun to answer: it has looked at all that was sent."""
        self._begun = begun
        self._request = request
        self._call = call
        self._upstream = upstream
        self._timeouts = timeouts
        self._answer: aiohttp.ClientResponse | None = None
        self.complete = False
        """Whether the server has answered to the end."""

    async def run(self) -> web.StreamResponse:
        """Ask the server and pass its answer through, streams piece by piece.

        If the client goes away this task is cancelled, which closes the connection, and the engine aborts.

        Raises:
            NotBegunError: ask another one.
            RequestError: 504, it took too long.
        """
        upstream = self._upstream
        upstream.in_flight += 1
        try:
            answer, piece = await self._begin()
            if self._call.media and (answer.status >= 500 or _is_stream(answer)) and _MEDIA_LOST.search(piece):
                answer.close()
                answer, piece = await self._begin()
            self._begun()
            upstream.breaker.heard()
            headers = {name: answer.headers[name] for name in RESPONSE_HEADERS if name in answer.headers}
            if not _is_stream(answer):
                upstream.breaker.answered()
                self.complete = True
                if refusal := explained(answer.status, piece, self._call.suspicion):
                    raise refusal
                self._call.context.answered(piece)
                status = answer.status
                if status >= 400:
                    status, piece = reshape(status, piece)
                    headers[hdrs.CONTENT_TYPE] = JSON
                elif self._call.transcript:
                    piece, headers[hdrs.CONTENT_TYPE] = self._call.transcript.whole(piece)
                return web.Response(status=status, body=piece, headers=headers)
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(self._request)
            upstream.streaming.add(answer)
            await self._stream(response, answer, piece)
            return response
        finally:
            upstream.in_flight -= 1
            if self._answer is not None:
                upstream.streaming.discard(self._answer)
                self._answer.close()  # a connection whose answer has been read is back in its pool

    async def _begin(self) -> tuple[aiohttp.ClientResponse, bytes]:
        """The answer, and all of its body, or the first piece if it is a stream."""
        upstream = self._upstream
        deadline: Deadline | None = None
        try:
            async with asyncio.timeout(self._timeouts.first_byte_s) as timeout:
                with upstream.waiting(timeout) as deadline:
                    answer = await upstream.post(self._call.path, self._call.body, self._call.headers)
                    self._answer = answer
                    await self._check(answer)
                    return answer, await (self._first(answer) if _is_stream(answer) else self._read(answer))
        except aiohttp.ClientConnectorError as error:
            upstream.broke(refused=True)
            raise NotBegunError("no connection") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            upstream.broke()
            await upstream.probe()  # if it is gone, this request was there
            raise NotBegunError(f"broken connection: {error}") from error
        except TimeoutError as error:
            if deadline is None or deadline.moved:
                raise NotBegunError("it hangs") from error
            raise RequestError(504, f"{upstream.name} did not answer in time", code="timeout") from error

    async def _first(self, answer: aiohttp.ClientResponse) -> bytes:
        """The first piece of a stream; if media may be lost, the first one that says something."""
        piece = await answer.content.readany()
        if self._call.media and _OPENING.fullmatch(piece):
            piece += await answer.content.readany()
        return piece

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """A whole answer, counted until the client has read it."""
        hold = self._request[HOLD]
        pieces = []
        while piece := await answer.content.readany():
            hold.count(len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        """An error of the server may mean that it is going away, not that it cannot do this request."""
        gone = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
        if answer.status >= 500 and (await self._upstream.probe() is Probed.DOWN or answer.status in gone):
            raise NotBegunError(f"status {answer.status}")

    async def _stream(self, response: web.StreamResponse, answer: aiohttp.ClientResponse, piece: bytes) -> None:
        """Pass pieces on until the end, `piece` first; neither side may take too long over one."""
        limit_s = self._timeouts.between_bytes_s
        failed = False
        while piece:
            failed = failed or ERROR_EVENT in piece
            self._call.context.streamed(piece)
            transcript = self._call.transcript
            if shown := transcript.piece(piece) if transcript else reshape_event(piece, self._call.suspicion):
                await self._write(response, shown, limit_s)
            try:
                async with asyncio.timeout(limit_s):
                    piece = await answer.content.readany()
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                self._upstream.broke()
                # Too late for a status. SDKs raise on an error event; without it the text would look complete.
                self._call.context.code = "engine_died"
                error = error_body("the engine died while answering", "server_error", code="engine_died")
                await self._write(response, b"data: " + error + b"\n\n", limit_s)
                break
            self._upstream.breaker.heard()
        else:
            self._upstream.breaker.answered()
            self.complete = not failed
        await response.write_eof()

    async def _write(self, response: web.StreamResponse, piece: bytes, limit_s: float) -> None:
        """Write to the client; one that does not read would hold the engine for ever."""
        try:
            async with asyncio.timeout(limit_s):
                await response.write(piece)
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the client does not read") from None


def _is_stream(answer: aiohttp.ClientResponse) -> bool:
    return answer.content_type == EVENT_STREAM
