"""Errors of engines in our own shape: a message for people, OpenAI's type, a code that is a word or nothing."""

from __future__ import annotations

import ast
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from server.gateway.refusals import error_body, kind_of, told_as_error

if TYPE_CHECKING:
    from server.errors import RequestError
    from server.gateway.suspicions import Suspicion

ERROR_EVENT = b'data: {"error"'
"""How vLLM ends a stream when something goes wrong; in a text the quotes would be escaped."""
LONGEST_MESSAGE = 600
LONGEST_READ = 16 << 10
"""Characters of a message that are looked at: an engine may repeat a whole prompt in one."""
NO_PARAMETERS = frozenset({"body", "input_tokens", "input_text"})
"""What vLLM calls parameters although no request has them."""
_LINK = re.compile(r"\s*(?:For further information visit|See)?\s*https?://[^\s'\"\])}]+\s*", re.IGNORECASE)
_PYDANTIC = re.compile(r"\d+ validation errors?\b")
_REPORTED = re.compile(r"'msg': ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
_AT = re.compile(r"'loc': ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
_CLASSES = re.compile(r"\.[A-Z][a-z]\w*")
"""Names of the validator's classes, in a path to what is wrong."""
_OWN_DUMP = re.compile(r"\n(?P<where>\S[^\n]*)\n +(?P<said>[^\n]+?) \[type=")
_TOO_LONG = re.compile(
    r"maximum context length|max_model_len|maximum model length|longer than the maximum", re.IGNORECASE
)
_REPEATED = re.compile(r"\s*\(parameter=\w+(?:, value=.*)?\)$", re.DOTALL)
"""vLLM repeats in a message what `param` says."""
_RUN = re.compile(r"\s{20,}")
"""White space of a client's text: the expressions above would take the cube of its length."""
_GRAMMAR = re.compile(r"^(?:Grammar error|Invalid grammar specification): *", re.IGNORECASE)
_UNREAD = re.compile(r"Failed to apply (\w+) on data=")
"""vLLM, of media that a model's own processor refuses; it goes on with their numbers."""
_NOTHING = "Internal server error"
"""What vLLM says where it does not say what happened."""
_GONE = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


def reshape(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of an error as they leave the gateway.

    An engine's own failure becomes 502: it is not the gateway's. `param` is the name of a parameter; a path to what is
    wrong stands in the message.
    """
    told = _told(body)
    message = _plain(told.get("message"), told.get("param"))
    if status == HTTPStatus.NOT_IMPLEMENTED:
        status = HTTPStatus.BAD_REQUEST
    if status >= 500 and status not in _GONE:
        reason = f": {message}" if message not in ("", _NOTHING) else ""
        return HTTPStatus.BAD_GATEWAY, error_body(
            f"the engine failed at this request{reason}", "server_error", code="engine_error"
        )
    code = told.get("code")
    if not isinstance(code, str) or code.isdigit():
        code = "context_length_exceeded" if _TOO_LONG.search(message) else None
    param = told.get("param")
    param = re.split(r"[.\[]", param.removeprefix("body."))[0] if isinstance(param, str) else None
    param = None if param in NO_PARAMETERS or (param or "").isdigit() else param
    return status, error_body(message or "the engine refuses this request", kind_of(status), param or None, code)


def explained(status: int, body: bytes, suspicion: Suspicion | None) -> RequestError | None:
    """What a client has done wrong, if that is why an engine has failed."""
    if suspicion is None or status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    silent = not suspicion.unexplained or _told(body).get("message") in {"", _NOTHING}
    return suspicion.refusal if silent else None


def reshape_event(piece: bytes, suspicion: Suspicion | None = None) -> bytes:
    """A piece of a stream, with an error in it in our own shape; `suspicion`: see `Call`."""
    if ERROR_EVENT not in piece:
        return piece
    lines = piece.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(ERROR_EVENT):
            status = _told(line[6:]).get("code")
            status = status if isinstance(status, int) and 400 <= status < 600 else 500
            refusal = explained(status, line[6:], suspicion)
            body = told_as_error(refusal) if refusal else reshape(status, line[6:])[1]
            lines[number] = b"data: " + body
    return b"\n".join(lines)


def _told(body: bytes) -> dict[str, Any]:
    """The fields of an error, in whichever shape it comes."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:LONGEST_MESSAGE].decode(errors="replace")}
    told = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(told, dict):
        return told if "message" in told else {"message": str(told.get("detail") or "")}
    return {"message": str(told)}


def _plain(message: Any, param: Any) -> str:
    """What an engine says, without dumps of its validator and links to its documentation."""
    text = _RUN.sub(" ", message[:LONGEST_READ]) if isinstance(message, str) else ""
    if unread := _UNREAD.match(text):
        return f"the model's processor ({unread[1]}) cannot read the pictures or frames of this request"
    if _PYDANTIC.match(text):
        text = _RUN.sub(" ", _first_reported(text, param))
    text = _GRAMMAR.sub("the schema cannot be followed: ", _REPEATED.sub("", _LINK.sub(" ", text))).strip()
    text = re.sub(r"\s*\n\s*", " ", text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."


def _first_reported(dump: str, param: Any) -> str:
    """The first error that a validator reports, with where it is: `messages.0.role: Input should be ...`."""
    found = _REPORTED.search(dump)
    if found is None:
        if own := _OWN_DUMP.search(dump):
            said = own["said"].strip().removeprefix("Value error, ")
            return f"{_CLASSES.sub('', own['where'].strip())}: {said}"
        return "the request has the wrong form" + (f" at {param}" if isinstance(param, str) else "")
    said = str(ast.literal_eval(found[1])).removeprefix("Value error, ")
    place = _AT.search(dump)
    where = _CLASSES.sub("", str(ast.literal_eval(place[1])).removeprefix("body")) if place else ""
    return f"{where.strip('.')}: {said}" if where.strip(".") else said
