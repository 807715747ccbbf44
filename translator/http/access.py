"""Who may ask: API keys, and web pages of other origins."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from translator.errors import ApiError
from translator.http.state import STATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def authorize(request: web.Request, api_key: str | None = None) -> None:
    """Make sure that a request has a key, if keys are needed.

    Args:
        request: its `Authorization: Bearer` counts.
        api_key: so does the field of LibreTranslate's clients.

    Raises:
        ApiError: 403 (on `/v1` 401, as OpenAI has it), it has none, or a wrong one.
    """
    keys = request.app[STATE].keys
    if not keys:
        return
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    offered = [api_key] if api_key else []
    if scheme.lower() == "bearer":
        offered.append(given.strip())
    # Every key is compared, in a time that tells nothing of how much of it is right.
    right = [
        hmac.compare_digest(key.encode(), said.encode(errors="surrogateescape")) for key in keys for said in offered
    ]
    if any(right):
        return
    status = 401 if request.path.startswith("/v1/") else 403
    message = "Invalid API key" if offered else "this service needs an API key: Authorization: Bearer KEY, or api_key"
    raise ApiError(status, message, param="api_key" if offered else None, code="invalid_api_key")


@web.middleware
async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the pages of chosen origins ask; off unless origins were named."""
    origins, origin = request.app[STATE].origins, request.headers.get(hdrs.ORIGIN)
    if not origins or origin is None or not ("*" in origins or origin in origins):
        return await handler(request)
    if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        response: web.StreamResponse = web.Response(status=204)
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Authorization, Content-Type"
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "86400"
    else:
        response = await handler(request)
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in origins else origin
    response.headers[hdrs.VARY] = hdrs.ORIGIN
    return response
