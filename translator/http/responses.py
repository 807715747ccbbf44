"""Every error in the shape of its path: OpenAI's below `/v1/`, LibreTranslate's elsewhere."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


class ApiError(Exception):
    """An answer that is an error, in the shape of its path."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        close: bool = False,
    ) -> None:
        """Say what is wrong, with which field, and for a machine to read.

        Args:
            status: HTTP status.
            message: for a person.
            param: the field to blame.
            code: for a machine.
            retry_after: seconds after which it is worth another try.
            close: whether the connection is of no more use, as the rest of the body may still come.
        """
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.close = close
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    @classmethod
    def of(cls, error: web.HTTPException, request: web.Request) -> ApiError:
        """What aiohttp says, with a reason that helps."""
        if isinstance(error, web.HTTPRequestEntityTooLarge):
            most = request.client_max_size >> 20
            return cls(413, f"the body is too large: at most {most} MiB are taken", code="too_large", close=True)
        failure = cls(error.status, f"{request.method} {request.rel_url.raw_path[:100]}: {error.reason}")
        if "Allow" in error.headers:
            failure.headers["Allow"] = error.headers["Allow"]
        return failure

    def response(self, request: web.Request) -> web.Response:
        """The answer that says it."""
        body: Any = str(self)
        if request.path.startswith("/v1/"):
            kind = "server_error" if self.status >= 500 else "invalid_request_error"
            body = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        response = to_json({"error": body}, self.status, self.headers)
        if self.close:
            response.force_close()
        return response


def to_json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer, in UTF-8 rather than escapes."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")
