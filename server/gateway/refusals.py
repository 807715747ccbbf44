"""Refusals in OpenAI's shape, which the SDKs turn into their exception types."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.errors import RETRY_AFTER_S, RequestError
from server.gateway.api_types import Error, ErrorDetail

KINDS = {401: "authentication_error", 429: "rate_limit_error"}


def refusal(error: RequestError) -> web.Response:
    """The answer that tells a client what is wrong."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.allow is not None:
        headers["Allow"] = error.allow
    return web.Response(
        status=error.status, body=told_as_error(error), headers=headers, content_type="application/json"
    )


def told_as_error(error: RequestError) -> bytes:
    """The JSON of a refusal."""
    return error_body(error.message, kind_of(error.status), error.param, error.code)


def kind_of(status: int) -> str:
    """OpenAI's `type` of an error."""
    return KINDS.get(status) or ("invalid_request_error" if status < 500 else "server_error")


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """The JSON of an error."""
    return msgspec.json.encode(Error(error=ErrorDetail(message=message, type=kind, param=param, code=code)))


def unavailable(what: str) -> RequestError:
    """A part that is starting, restarting or down: worth another try soon."""
    return RequestError(
        503,
        f"{what} is not available now: it is starting, or being restarted. Try again.",
        code="engine_unavailable",
        retry_after_s=RETRY_AFTER_S,
    )
