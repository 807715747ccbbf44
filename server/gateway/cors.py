"""Cross-origin requests: which web pages may ask the gateway from a browser.

The protocol: https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from server.errors import RequestError
from server.gateway.config import ANY_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

METHODS = "GET, POST, DELETE"
READABLE = "Retry-After, X-Request-Id, X-Babelview-Left-Out"
"""Headers of an answer that a page may read, beside the usual ones."""
MAX_AGE_S = 600
"""How long a browser may remember what it was allowed."""
_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_HEADERS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")


class Cors:
    """Answers the questions of browsers, and marks answers that pages of certain origins may read."""

    def __init__(self, origins: Sequence[str]) -> None:
        """`origins` are allowed; none: no page is; `*`: all are."""
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def allows(self, request: web.BaseRequest) -> bool:
        """Whether the page that asks may read the answer."""
        origin = request.headers.get(hdrs.ORIGIN)
        return origin is not None and (ANY_ORIGIN in self._origins or origin.lower() in self._origins)

    def check(self, request: web.BaseRequest) -> None:
        """Refuse what a page of another origin sends without asking first, as forms are; there is no key to stop it.

        Raises:
            RequestError: 403.
        """
        origin = request.headers.get(hdrs.ORIGIN)
        if request.method in _READS or origin is None or self.allows(request):
            return
        if origin.lower().partition("://")[2] != request.headers.get(hdrs.HOST, "").lower():
            message = "web pages of another origin may not ask here: start the server with --cors and their origin"
            raise RequestError(403, message, code="origin_not_allowed")

    def is_preflight(self, request: web.Request) -> bool:
        """Whether a browser asks for a page what it may send; it sends no key with that."""
        return (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            and self.allows(request)
        )

    def preflight(self, request: web.Request) -> web.Response:
        """The answer to it: SDKs in browsers send headers of their own, none of which goes on to an engine."""
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: wanted if _HEADERS.fullmatch(wanted) else "Authorization, Content-Type",
            hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_S),
        }
        return web.Response(status=204, headers=headers)

    async def mark(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Say in an answer, also one that is an error or a stream, who may read it."""
        if not self._origins:
            return
        if ANY_ORIGIN not in self._origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self.allows(request):
            origin = ANY_ORIGIN if ANY_ORIGIN in self._origins else request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = READABLE
