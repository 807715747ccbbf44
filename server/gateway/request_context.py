"""What is known of one request: its id, where it went, what came of it. The log and the metrics are made of it."""

from __future__ import annotations

import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.gateway.admission import Hold

REQUEST_ID = "X-Request-Id"
LEFT_OUT = "X-Babelview-Left-Out"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACE = {
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "tracestate": re.compile(r"[ -~]{1,512}"),
}
_USAGE = re.compile(rb'"(prompt|completion|input|output)_tokens"\s*:\s*(\d+)')

access = logging.getLogger("babelview.access")


@dataclass(slots=True)
class RequestContext:
    """A request on its way: what the log and the metrics say of it."""

    id: str
    method: str
    path: str
    started: float = field(default_factory=time.monotonic)
    key: str = ""
    """Name of the API key."""
    model: str = ""
    """Served name; empty until it is known to be one, so that nobody can make up names of metrics."""
    replica: str = ""
    status: int = 0
    code: str | None = None
    """The code of an error of the gateway's own."""
    body_bytes: int = 0
    first_s: float | None = None
    """Time until the first piece of a stream."""
    duration_s: float = 0.0
    left_out: str | None = None
    """Pictures of earlier turns that did not fit."""
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def streamed(self, piece: bytes) -> None:
        """Note a piece of a stream."""
        if self.first_s is None:
            self.first_s = time.monotonic() - self.started
        if b'"usage"' in piece:
            self._count(piece)

    def answered(self, body: bytes) -> None:
        """Note a whole answer."""
        self._count(body)

    def _count(self, piece: bytes) -> None:
        # Quotes inside texts are escaped in JSON: this is the key itself. The last one counts.
        begin = piece.rfind(b'"usage"')
        for kind, number in _USAGE.findall(piece, begin) if begin >= 0 else ():
            if kind in {b"prompt", b"input"}:
                self.prompt_tokens = int(number)
            else:
                self.completion_tokens = int(number)

    def end(self, status: int) -> None:
        """Note the end of the request."""
        self.status = status
        self.duration_s = time.monotonic() - self.started

    def log(self) -> None:
        """Write one line to the access log."""
        if not access.isEnabledFor(logging.INFO):
            return
        fields = {field: value for name, field in _LOGGED.items() if (value := getattr(self, name)) or name == "status"}
        access.info("%s", _Line(self), extra={"fields": fields})


@dataclass(slots=True)
class _Line:
    """The line of a request for people; put together only if it is written."""

    context: RequestContext

    def __str__(self) -> str:
        of = self.context
        tokens = f"{of.prompt_tokens}+{of.completion_tokens}"
        line = f"{of.id} {of.method} {of.path} {of.status} {of.duration_s:.3f}s key={of.key or '-'} "
        line += f"model={of.model or '-'} replica={of.replica or '-'} tokens={tokens}"
        line += f" retries={of.retries}" if of.retries else ""
        return line + (f" error={of.code}" if of.code else "")


_LOGGED = {name: "seconds" if name == "duration_s" else name for name in RequestContext.__slots__ if name != "started"}
"""Attribute -> its published name in JSON logs."""
CONTEXT = web.RequestKey("context", RequestContext)
HOLD: web.RequestKey[Hold] = web.RequestKey("hold")
"""The memory of a request that was let in."""


def request_id(headers: Mapping[str, str], hide: Callable[[str], str]) -> str:
    """The client's own id if it is one that may stand in logs, else a new one; `hide` takes keys out of texts."""
    given = headers.get(REQUEST_ID, "")
    return given if _ID.fullmatch(given) and hide(given) == given else uuid.uuid4().hex


def trace_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The W3C trace context of a request: an engine with `--otlp-traces-endpoint` goes on with the client's trace."""
    return {name: headers[name] for name, form in _TRACE.items() if form.fullmatch(headers.get(name, ""))}
