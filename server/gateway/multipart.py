"""Multipart forms (RFC 7578) that are in memory already, taken apart by a few searches.

aiohttp's reader goes line by line, and so through some bodies for minutes, in which nobody else is answered; and it
warns of odd headers by writing them into the log.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PARTS = 32
LONGEST_BOUNDARY = 70
"""By RFC 2046."""
LONGEST_HEAD = 4096
"""Bytes of the headers of one part."""
_PARAMETER = re.compile(
    rb"[ \t]*;[ \t;]*([\w!#$%&'*+.^`|~-]+)=" rb'(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.ASCII | re.DOTALL
)
"""One of a header's value; read one after the other, each byte is looked at once."""
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_PLAIN = (b"", b"7bit", b"8bit", b"binary")
"""Transfer encodings that leave a part as it is; RFC 7578 knows no other."""


def parts(content_type: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each part of a form.

    Raises:
        RequestError: 400, it is no form, or has too many parts or one without a name.
    """
    for count, (head, content) in enumerate(_sections(body, _boundary(content_type))):
        if count >= MOST_PARTS:
            raise _refusal(f"more than {MOST_PARTS} form fields")
        yield _name(head), content


def _boundary(content_type: str) -> bytes:
    header = content_type.encode(errors="surrogateescape")
    if not header.lstrip().lower().startswith(b"multipart/"):
        raise _refusal("the body is no multipart form: its content type is another one")
    boundary = _parameters(header).get(b"boundary", b"")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise _refusal(f"the content type needs a boundary of 1 to {LONGEST_BOUNDARY} ASCII characters")
    return boundary


def _sections(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Headers and content of each part; what stands before the first one and after the last is passed over."""
    line = b"\r\n--" + boundary
    at = -2 if body.startswith(line[2:]) else body.find(line)
    while at != -1:
        at += len(line)
        if body.startswith(b"--", at):
            return
        begin = body.find(b"\r\n", at, at + LONGEST_HEAD)
        if begin == -1 or body[at:begin].strip(b" \t"):
            break
        head = body.find(b"\r\n\r\n", begin, begin + LONGEST_HEAD)
        if head == -1:
            break
        at = body.find(line, head + 4)
        if at != -1:
            yield body[begin:head], body[head + 4 : at]
    raise _refusal("the body is no multipart form: it does not end with its boundary, or a part has no headers")


def _name(head: bytes) -> str:
    headers = _headers(head)
    if headers.get(b"content-transfer-encoding", b"").lower() not in _PLAIN:
        raise _refusal("a part of the form has a Content-Transfer-Encoding: send it as it is")
    if name := _parameters(headers.get(b"content-disposition", b"")).get(b"name"):
        return name.decode(errors="replace")
    raise _refusal("a part of the form has no name")


def _headers(head: bytes) -> dict[bytes, bytes]:
    """By their names in lower case."""
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """Those behind a header's value, `form-data; name="a"`, by their names in lower case."""
    found: dict[bytes, bytes] = {}
    at = len(value.partition(b";")[0])
    while read := _PARAMETER.match(value, at):
        name, quoted, plain = read.groups()
        found.setdefault(name.lower(), plain if quoted is None else _ESCAPED.sub(rb"\1", quoted))
        at = read.end()
    return found


def _refusal(message: str) -> RequestError:
    return RequestError(400, message, code="invalid_form")
