"""Multipart forms (RFC 7578) that are in memory already, taken apart by a few searches.

aiohttp's reader goes line by line, and so through some bodies for minutes, in which nobody else is answered; and it
warns of odd headers by writing them into the log.
"""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PARTS = 32
LONGEST_BOUNDARY = 70
"""By RFC 2046."""
LONGEST_HEAD = 4096
"""Bytes of the headers of one part."""


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
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_maintype() != "multipart":
        raise _refusal("the body is no multipart form: its content type is another one")
    boundary = header.get_boundary() or ""
    if not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise _refusal(f"the content type needs a boundary of 1 to {LONGEST_BOUNDARY} ASCII characters")
    return boundary.encode()


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
    for line in head.split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            read = Message()
            read["Content-Disposition"] = value.strip().decode(errors="replace")
            name = read.get_param("name", header="Content-Disposition")
            if isinstance(name, str) and name:  # RFC 7578 forbids names that say their encoding
                return name
    raise _refusal("a part of the form has no name")


def _refusal(message: str) -> RequestError:
    return RequestError(400, message, code="invalid_form")
