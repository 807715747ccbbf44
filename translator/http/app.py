"""The application: its paths, and what every request goes through."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from aiohttp import web

from translator.errors import ApiError
from translator.http import libretranslate, native
from translator.http.access import authorize, cors
from translator.http.responses import error_response, from_aiohttp, json_response
from translator.http.spec import description
from translator.http.state import STATE, SUMMARY, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)

_REQUEST_ID = "X-Request-Id"
_PROBES = frozenset({"/health", "/health/details", "/metrics"})


def make_app(state: State) -> web.Application:
    """The application that serves `state`."""
    app = web.Application(client_max_size=state.limits.body_bytes, middlewares=[_account, cors, _errors])
    app[STATE] = state
    for path, methods, handler in (
        ("/v1/translations", "POST", native.translations),
        ("/translate", "GET POST", libretranslate.translate_path),
        ("/detect", "POST", libretranslate.detect_path),
        ("/languages", "GET", libretranslate.languages),
        ("/frontend/settings", "GET", libretranslate.frontend_settings),
        ("/suggest", "POST", libretranslate.not_offered),
        ("/translate_file", "POST", libretranslate.not_offered),
        ("/spec", "GET", _spec),
        ("/health", "GET", _health),
        ("/health/details", "GET", _details),
        ("/metrics", "GET", _metrics),
    ):
        for method in methods.split():
            for written in (path, f"{path}/"):  # as LibreTranslate's clients may write it
                app.router.add_route(method, written, handler)
                if method == "GET":
                    app.router.add_route("HEAD", written, handler)
    return app


async def _health(request: web.Request) -> web.Response:
    request.app[STATE].ready()
    return json_response({"status": "ok"})  # not a word more: LibreTranslate's clients compare


async def _details(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return json_response({"status": "ok", "model": state.model, "waiting": state.ready().translator.waiting})


async def _spec(_: web.Request) -> web.Response:
    return json_response(description())


async def _metrics(request: web.Request) -> web.Response:
    authorize(request)
    body = request.app[STATE].metrics.text()
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"})


@web.middleware
async def _account(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log and count each request, under an id that its answer carries."""
    state, began = request.app[STATE], time.monotonic()
    given = request.headers.get(_REQUEST_ID, "")
    fits = re.fullmatch(r"[\w.:-]{1,64}", given, re.ASCII) and not any(key in given for key in state.keys)
    number = given if fits else uuid.uuid4().hex[:12]
    with state.metrics.in_flight.track_inprogress():
        response = await handler(request)
    duration_s = time.monotonic() - began
    response.headers[_REQUEST_ID] = number
    if state.closing:
        response.force_close()  # or a client would send its next request to a connection that is being closed
    resource = request.match_info.route.resource
    path = resource.canonical.rstrip("/") if resource else "other"
    state.metrics.requests.labels(path, str(response.status)).inc()
    state.metrics.request_seconds.labels(path).observe(duration_s)
    logger.log(
        logging.DEBUG if path in _PROBES else logging.INFO,
        "%s %s %s %d %.3f s %s",
        number,
        request.method,
        path,
        response.status,
        duration_s,
        request.get(SUMMARY, ""),
    )
    return response


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in the shape of its path; what nobody foresaw is logged, its insides are not sent."""
    try:
        if not request.app[STATE].closing:
            return await handler(request)
        failure = ApiError(503, "the translation service is shutting down", code="shutting_down", retry_after_s=5)
    except ApiError as error:
        failure = error
    except web.HTTPException as error:
        failure = from_aiohttp(error, request)
    except Exception:
        resource = request.match_info.route.resource
        logger.exception("%s %s failed", request.method, resource.canonical if resource else "other")
        failure = ApiError(500, "internal error: the service's log says more")
    # Not the message, which says what was sent: a key may stand in any field.
    request[SUMMARY] = " ".join(filter(None, ("refused:", failure.code, failure.param)))
    return error_response(failure, request)
