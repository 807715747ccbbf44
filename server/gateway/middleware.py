"""What every request passes first: its id, its key, the limits; and last: errors in OpenAI's shape, log, metrics."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from server.errors import RETRY_AFTER_S, RequestError
from server.gateway.captions import PATH as CAPTIONS
from server.gateway.deliver import deliver
from server.gateway.refusals import refusal
from server.gateway.request_context import CONTEXT, HOLD, LEFT_OUT, REQUEST_ID, RequestContext, request_id

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from server.gateway.admission import Admission
    from server.gateway.config import Timeouts
    from server.gateway.cors import Cors
    from server.gateway.metrics import Metrics
    from server.gateway.studio import Studio

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""In log and metrics only, as nginx counts them."""
OPEN = frozenset({"/health", "/health/live", "/openapi.json"})
"""Paths that need no key: an orchestrator must be able to ask."""
_SHOWN_PATH = 200


class RequestMiddleware:
    """The middleware around every request: id, key and limits before it, errors, log and metrics after it."""

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        cors: Cors,
        timeouts: Timeouts,
        *,
        open_metrics: bool,
        pages: Studio,
    ) -> None:
        """`pages` are given without a key."""
        self.draining = False
        """Whether new requests are refused: the gateway is about to stop."""
        self._admission = admission
        self._metrics = metrics
        self._cors = cors
        self._timeouts = timeouts
        self._pages = pages
        self._open = OPEN | {"/metrics"} if open_metrics else OPEN

    def for_aiohttp(self) -> Middleware:
        """The middleware in the form that aiohttp takes."""

        @web.middleware
        async def receive(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.receive(request, handler)

        return receive

    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle one request, and log and count what came of it."""
        hide = self._admission.keys.hide  # a key may stand anywhere
        path = hide(request.rel_url.raw_path[:_SHOWN_PATH])  # percent-encoded: it cannot break a line of the log
        context = RequestContext(id=request_id(request.headers, hide), method=request.method, path=path)
        request[CONTEXT] = context
        status = CLIENT_GONE
        try:
            response = await self._answer(request, handler, context)
            status = response.status
            return response
        finally:
            context.end(status)
            self._metrics.count(context)
            context.log()

    async def _answer(self, request: web.Request, handler: Handler, context: RequestContext) -> web.StreamResponse:
        try:
            self._check_open()
            if self._cors.is_preflight(request):
                return self._cors.preflight(request)
            if request.path not in self._open and not self._pages.serves(request):
                context.key = self._admission.identify(request.headers)
            if not context.key:
                self._cors.check(request)
            if request.method != "POST" or request.path.startswith(CAPTIONS):
                return await handler(request)  # what takes nothing here, or not yet
            with self._admission.enter(context.key) as hold:
                request[HOLD] = hold
                response = await handler(request)
                await deliver(request, response, self._timeouts)
                return response
        except RequestError as error:
            failure = error
        except web.HTTPException as error:
            failure = as_openai(request, error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            logger.exception("%s: %s %s failed", context.id, context.method, context.path)
            failure = RequestError(500, "internal error: the gateway's log says more", code="internal_error")
        context.code = failure.code
        response = refusal(failure)
        if self.draining or not request.content.is_eof():
            response.force_close()  # what is left of its body is not read
        return response

    def _check_open(self) -> None:
        if self.draining:
            raise RequestError(503, "the server is shutting down", code="shutting_down", retry_after_s=RETRY_AFTER_S)


def as_openai(request: web.BaseRequest, error: web.HTTPException) -> RequestError:
    """What aiohttp refuses a request with, in OpenAI's words."""
    message = f"{request.method} {request.rel_url.raw_path[:_SHOWN_PATH]}: {error.reason}"
    if error.status == HTTPStatus.EXPECTATION_FAILED:
        message = "Expect: only 100-continue is known"
    code = error.reason.lower().replace(" ", "_")
    return RequestError(error.status, message, code=code, allow=error.headers.get("Allow"))


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id of a request into the headers of its answer, and what of its conversation was not shown."""
    if (context := request.get(CONTEXT)) is not None:
        response.headers[REQUEST_ID] = context.id
        if context.left_out:
            response.headers[LEFT_OUT] = context.left_out
