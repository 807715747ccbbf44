"""Errors in OpenAI's shape, which the SDKs turn into their exception types."""

from __future__ import annotations

import orjson
from aiohttp import web

RETRY_AFTER_S = 2


class RequestError(Exception):
    """A request that is refused, with its HTTP status.

    Attributes:
        status: HTTP status.
        body: `{"error": {"message", "type", "param", "code"}}`.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}

    def response(self) -> web.Response:
        """The answer that says it."""
        return web.Response(status=self.status, body=self.body, headers=self.headers, content_type="application/json")


def unavailable(what: str) -> RequestError:
    """A part that is starting, restarting or down: worth another try soon."""
    return RequestError(
        503,
        f"{what} is not available now: it is starting, or being restarted. Try again.",
        code="engine_unavailable",
        retry_after_s=RETRY_AFTER_S,
    )
