"""Errors in OpenAI's shape, which the SDKs turn into their exception types."""

from __future__ import annotations

import orjson
from aiohttp import web

RETRY_AFTER_S = 2
KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class RequestError(Exception):
    """A request that is refused, with its HTTP status.

    Attributes:
        status: HTTP status.
        code: for programs.
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
        self.code = code
        self.body = error_body(message, KINDS.get(status) or kind_of(status), param, code)
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}

    def response(self) -> web.Response:
        """The answer that says it."""
        return web.Response(status=self.status, body=self.body, headers=self.headers, content_type="application/json")


def kind_of(status: int) -> str:
    """OpenAI's `type` of an error."""
    return "invalid_request_error" if status < 500 else "server_error"


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """The JSON of an error."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def unavailable(what: str) -> RequestError:
    """A part that is starting, restarting or down: worth another try soon."""
    return RequestError(
        503,
        f"{what} is not available now: it is starting, or being restarted. Try again.",
        code="engine_unavailable",
        retry_after_s=RETRY_AFTER_S,
    )
