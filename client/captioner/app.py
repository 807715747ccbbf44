"""The service's application.

    POST   /v1/captions                     files in, records out; with `stream` as events, while they are made
    POST   /v1/captions/jobs                the same for later: an id at once
    GET    /v1/captions/jobs                those of the caller's key
    GET    /v1/captions/jobs/{id}           how far one is, and its records once it is done
    GET    /v1/captions/jobs/{id}/events    the same as events
    DELETE /v1/captions/jobs/{id}           end it, and forget it
    GET    /health, /metrics                for the supervisor, and for Prometheus

A request comes in (`incoming`), its body goes to the disk (`body`, `uploads`), waits for a place (`slots`) and is
worked on (`work`): by the batch's own pipeline, which asks the models at the gateway with the caller's own key. So
keys, limits and costs are the gateway's, and each question counts there once.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from client.captioner.callers import Caller
from client.captioner.captions import Captions
from client.captioner.incoming import Incoming
from client.captioner.job_routes import JobRoutes
from client.captioner.jobs import Jobs
from client.captioner.metrics import Metrics
from client.captioner.refusals import from_aiohttp, refusal, rejected, unforeseen
from client.captioner.slots import Slots
from client.captioner.uploads import RETRY_AFTER_S, Uploads
from client.captioner.work import Work
from client.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler

    from client.captioner.config import Config

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-Id"
_PROBES = frozenset({"/health", "/metrics"})
_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_SHOWN_PATH = 200


class Captioner:
    """What the application works with, while it runs."""

    def __init__(self, config: Config) -> None:
        """Nothing is opened yet."""
        limits, slots = config.limits, Slots(config.limits.at_once)
        self._uploads, self._work = Uploads(config.folder, limits), Work(config)
        self.metrics = Metrics(self._uploads, slots)
        self.incoming = Incoming(self._uploads, self._work, limits)
        self._captions = Captions(self.incoming, slots, self._work, self.metrics, limits)
        self._jobs = Jobs(self._uploads, self._work, self.metrics, limits)
        self._keys_only = config.keys_only
        self.draining = False
        """Whether new requests are refused: the service is about to stop."""

    def route(self, router: web.UrlDispatcher) -> None:
        """Add all paths."""
        router.add_get("/health", self._health)
        router.add_get("/metrics", self._metrics_page)
        router.add_post("/v1/captions", self._captions.handle)
        JobRoutes(self._jobs, self.incoming).add(router)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Open what it works with while the application runs."""
        self._uploads.open()
        try:
            self._jobs.open()
            yield
            await self._jobs.close()
        finally:
            self._work.close()
            self._uploads.close()

    def check_open(self, request: web.Request) -> None:
        """Refuse what comes while it stops, or without a key where one is needed.

        Raises:
            RejectedError: 401 or 503.
        """
        if self.draining and request.path not in _PROBES:
            message = "the captioner is shutting down"
            raise RejectedError(503, message, code="shutting_down", retry_after_s=RETRY_AFTER_S)
        if self._keys_only and request.path not in _PROBES and Caller(request).key is None:
            raise RejectedError(401, "send a key, as Authorization: Bearer KEY", code="invalid_api_key")

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _metrics_page(self, _: web.Request) -> web.Response:
        return web.Response(body=self.metrics.page(), headers={hdrs.CONTENT_TYPE: self.metrics.content_type})


CAPTIONER = web.AppKey("captioner", Captioner)


def create_app(config: Config) -> web.Application:
    """The application."""
    captioner = Captioner(config)
    app = web.Application(middlewares=[_every_request])
    app[CAPTIONER] = captioner
    app.cleanup_ctx.append(captioner.running)
    captioner.route(app.router)
    return app


@web.middleware
async def _every_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in OpenAI's shape whatever goes wrong, count it, and log it without what was sent."""
    captioner, began = request.app[CAPTIONER], time.monotonic()
    resource = request.match_info.route.resource
    path = resource.canonical if resource else "other"
    status: int | str = "gone"
    try:
        response = await _answer(request, handler, captioner)
        status = response.status
        return response
    finally:
        if path not in _PROBES:
            took_s = time.monotonic() - began
            captioner.metrics.answered(request.method, path, str(status), took_s)
            given = request.headers.get(REQUEST_ID, "")
            number = given if _ID.fullmatch(given) else "-"
            logger.info("%s %s %s %s %.3f s", number, request.method, path, status, took_s)


async def _answer(request: web.Request, handler: Handler, captioner: Captioner) -> web.StreamResponse:
    try:
        captioner.check_open(request)
        return await handler(request)
    except web.HTTPException as error:
        failure = from_aiohttp(request, error)
    except ConnectionError as error:  # the client is gone: aiohttp would write a traceback, without the request's id
        raise asyncio.CancelledError from error
    except Exception as error:
        if (known := rejected(error)) is None:
            logger.exception("%s %s failed", request.method, request.rel_url.raw_path[:_SHOWN_PATH])
        failure = known or unforeseen()
    response = refusal(failure)
    if not request.content.is_eof():
        response.force_close()  # what is left of its body is not read
    return response
