"""What a request says: fields of a JSON object, a form or a query string, each read with its type."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from translator.errors import ApiError
from translator.http import multipart
from translator.http.headers import content_type
from translator.http.state import STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CHARSETS = {
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859-1",
    "latin-1",
    "latin1",
    "windows-1252",
    "utf-16",
    "utf-32",
}
_OTHER_FIELDS = 100
"""Of a form, beside its texts."""
_FORM, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


class Fields:
    """The named values of a request; a form's are strings, or lists where a name came several times."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Hold the fields `values`, by name."""
        self._values = values

    def __contains__(self, name: str) -> bool:
        """Whether a field has a value."""
        return self._values.get(name) is not None

    def string(self, name: str, default: str | None = None) -> str:
        """A field that is one string, of at least one character.

        Raises:
            ApiError: 400, it is missing (and there is no default), or no string.
        """
        value = self._values.get(name)
        if value is None or value == "":
            value = default
        if value is None:
            raise ApiError(400, f"Invalid request: missing {name} parameter", param=name)
        if not isinstance(value, str):
            raise ApiError(400, f"{name} must be a string, once", param=name)
        return _text(value, name)

    def strings(self, name: str) -> list[str]:
        """A field that is a list of strings.

        Raises:
            ApiError: 400, it is not.
        """
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ApiError(400, f"{name} must be a list of strings", param=name)
        return [_text(item, name) for item in value]

    def listed(self, name: str) -> Any:
        """A field that is JSON, which a form writes as text; None if it is not there.

        Raises:
            ApiError: 400, it is not.
        """
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"{name} is not JSON: {error}", param=name) from error

    def one_or_more(self, name: str) -> tuple[list[str], bool]:
        """A string or a list of strings, as a list; and whether it was one string.

        Raises:
            ApiError: 400, it is neither, or nothing.
        """
        value = self._values.get(name)
        if value is None or value in ("", []):
            raise ApiError(400, f"Invalid request: missing {name} parameter", param=name)
        if isinstance(value, str):
            return [_text(value, name)], True
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ApiError(400, f"{name} must be a string or a list of strings", param=name)
        return self.strings(name), False

    def count(self, name: str, most: int) -> int:
        """A number from 0 to `most`; 0 if there is none.

        Raises:
            ApiError: 400, it is something else.
        """
        value = self._values.get(name) or 0
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ApiError(400, f"Invalid request: {name} parameter is not a number", param=name)
        if not 0 <= value <= most:
            raise ApiError(400, f"Invalid request: {name} parameter must be <= {most}", param=name)
        return value


async def read_json(request: web.Request) -> Fields:
    """The fields of a JSON object, whatever the content type says.

    Raises:
        ApiError: the body is no JSON object, or came too slowly.
    """
    return _json_fields(_decode(await _body(request), request))


async def read_fields(request: web.Request) -> Fields:
    """The fields of a JSON object or a form, and of the query string where the body does not have them.

    Raises:
        ApiError: the body cannot be read, or came too slowly.
    """
    query = _gather(request.query.items())
    if request.method == "GET":
        return Fields(query)
    kind, _ = content_type(request.headers.get(hdrs.CONTENT_TYPE, ""))
    body = await _body(request)
    if kind == _MULTIPART:
        return Fields(query | _multipart(body, request))
    if not body.strip():
        return Fields(query)
    if kind == _FORM:
        return Fields(query | _urlencoded(body, request))
    try:
        return _json_fields(_decode(body, request))
    except ApiError as error:
        if kind == "application/json" or kind.endswith("+json"):
            raise
        raise ApiError(415, f"Content-Type {kind!r}: send a JSON object (application/json) or a form") from error


async def _body(request: web.Request) -> bytes:
    limit_s = request.app[STATE].limits.body_timeout_s
    try:
        async with asyncio.timeout(limit_s):
            return await request.read()
    except TimeoutError as error:
        raise ApiError(408, f"the body did not arrive within {limit_s:g} s", code="timeout", close=True) from error
    except (web.RequestPayloadError, BadHttpMessage) as error:
        message = "the body cannot be read: it is broken, or not in its Content-Encoding"
        raise ApiError(400, message, close=True) from error


def _charset(request: web.Request) -> str:
    charset = content_type(request.headers.get(hdrs.CONTENT_TYPE, ""))[1] or "utf-8"
    if charset not in _CHARSETS:
        raise ApiError(415, f"charset {charset[:40]!r} is not known here: send UTF-8")
    return charset


def _decode(body: bytes, request: web.Request) -> str:
    charset = _charset(request)
    try:
        return body.decode(charset)
    except UnicodeError as error:
        raise ApiError(400, f"the body is not JSON in {charset}: {error}") from error


def _json_fields(text: str) -> Fields:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise ApiError(400, "the body is not JSON: too deeply nested") from error
    if not isinstance(values, dict):
        raise ApiError(400, "the body must be a JSON object")
    return Fields(values)


def _urlencoded(body: bytes, request: web.Request) -> dict[str, Any]:
    charset, most = _charset(request), request.app[STATE].limits.texts + _OTHER_FIELDS
    try:
        pairs = parse_qsl(
            body.decode(charset), keep_blank_values=True, encoding=charset, errors="strict", max_num_fields=most
        )
    except UnicodeError as error:
        raise ApiError(400, f"the form is not in {charset}: {error}") from error
    except ValueError as error:
        raise ApiError(413, f"the form has more than {most} fields", code="too_large") from error
    return _gather(pairs)


def _multipart(body: bytes, request: web.Request) -> dict[str, Any]:
    most = request.app[STATE].limits.texts + _OTHER_FIELDS
    read = multipart.texts(request.headers.get(hdrs.CONTENT_TYPE, ""), body, _CHARSETS)
    pairs = list(itertools.islice(read, most + 1))
    if len(pairs) > most:
        raise ApiError(413, f"the form has more than {most} fields", code="too_large")
    return _gather(pairs)


def _gather(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Name -> its value, or the list of its values."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: several if len(several) > 1 else several[0] for name, several in values.items()}


def _text(value: str, name: str) -> str:
    """`value`, if it is text: JSON can spell half a surrogate pair, which no tokenizer takes."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"{name} holds a lone surrogate, which is not text", param=name) from error
    return value
