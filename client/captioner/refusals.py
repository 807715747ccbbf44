"""Refusals in OpenAI's shape, as the gateway has them."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from client.captioner.uploads import RETRY_AFTER_S
from client.errors import (
    AuthError,
    LedgerError,
    MediaError,
    QuotaError,
    RejectedError,
    RequestError,
    ServiceLostError,
    UsageError,
)

if TYPE_CHECKING:
    from client.captioner.feed import Feed
    from client.record import Record

_KINDS = {401: "authentication_error", 429: "rate_limit_error"}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM_S = 60
_SHOWN_PATH = 200
_MEANINGS: tuple[tuple[type[Exception], type[Exception] | None, int, str], ...] = (
    (UsageError, None, 400, "invalid_parameter"),
    (MediaError, None, 400, "invalid_media"),
    (ServiceLostError, AuthError, 401, "invalid_api_key"),
    (ServiceLostError, QuotaError, 429, "insufficient_quota"),
    (ServiceLostError, None, 503, "engine_unavailable"),
    (RequestError, None, 502, "engine_error"),
    (LedgerError, None, 503, "no_room"),
)
"""Error, what it came of (None: whatever), status, code."""


def refusal(error: RejectedError) -> web.Response:
    """The answer that tells a client what is wrong."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.allow is not None:
        headers["Allow"] = error.allow
    body = orjson.dumps(error_of(error))
    return web.Response(status=error.status, body=body, headers=headers, content_type="application/json")


def error_of(error: RejectedError) -> dict[str, Any]:
    """The JSON of a refusal."""
    kind = _KINDS.get(error.status) or ("invalid_request_error" if error.status < 500 else "server_error")
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}


def rejected(error: Exception) -> RejectedError | None:
    """What an error of ours means for who asked; None of one that nobody foresaw."""
    if isinstance(error, RejectedError):
        return error
    if _is_full_disk(error):
        return RejectedError(503, "the captioner's disk is full", code="no_room", retry_after_s=_NO_ROOM_S)
    for kind, why, status, code in _MEANINGS:
        if isinstance(error, kind) and (why is None or isinstance(error.__cause__, why)):
            return RejectedError(status, str(error), code=code, retry_after_s=RETRY_AFTER_S if status == 503 else None)
    return None


def _is_full_disk(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def from_aiohttp(request: web.Request, error: web.HTTPException) -> RejectedError:
    """What aiohttp itself refuses."""
    message = f"{request.method} {request.rel_url.raw_path[:_SHOWN_PATH]}: {error.reason}"
    code = error.reason.lower().replace(" ", "_")
    return RejectedError(error.status, message, code=code, allow=error.headers.get("Allow"))


def check_any(records: list[Record], feed: Feed) -> None:
    """Make sure that there is something to give: a request of which nothing came has failed.

    Raises:
        RejectedError: 400, no file can be read; 502, no question was answered.
    """
    if any(record["tasks"] or not record["error"] for record in records):
        return
    message = "; ".join(f"{record['file']}: {record['error']}" for record in records)
    if feed.asked:
        raise RejectedError(502, message, code="engine_error")
    raise RejectedError(400, message, code="invalid_media")


def unforeseen() -> RejectedError:
    """What nobody foresaw; its insides are not told."""
    return RejectedError(500, "internal error: the captioner's log says more", code="internal_error")
