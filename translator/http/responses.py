"""JSON answers, and errors in the shape of their path: OpenAI's below `/v1/`, LibreTranslate's elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from translator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer, in UTF-8 rather than escapes."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def error_response(error: ApiError, request: web.BaseRequest) -> web.Response:
    """The answer to `request` that says what is wrong."""
    body: Any = error.libretranslate
    if request.path.startswith("/v1/"):
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
        body = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    response = json_response({"error": body}, error.status, error.headers)
    if error.close:
        response.force_close()
    return response


def from_aiohttp(error: web.HTTPException, request: web.Request) -> ApiError:
    """What aiohttp says about `request` (no such path, body too large), with a reason that helps."""
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        most = request.client_max_size >> 20
        return ApiError(413, f"the body is too large: at most {most} MiB are taken", code="too_large", close=True)
    failure = ApiError(error.status, f"{request.method} {request.rel_url.raw_path[:100]}: {error.reason}")
    if "Allow" in error.headers:
        failure.headers["Allow"] = error.headers["Allow"]
    return failure
