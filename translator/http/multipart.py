"""Multipart forms (RFC 7578) that are in memory already, taken apart by a few searches.

aiohttp's reader goes line by line, and so through some bodies for half a minute, in which nobody else is answered.
"""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING

from translator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_HEAD = 4096
"""Bytes of the headers of one part."""


def texts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """Name and text of each part of a form.

    Raises:
        ApiError: 400, it is no form, or a part has no name, is a file, or not in UTF-8.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if not boundary or not boundary.isascii():
        raise _unreadable("its content type names no boundary")
    for head, content in _sections(body, boundary.encode()):
        name = _name(head)
        try:
            yield name, content.decode()
        except UnicodeDecodeError as error:
            raise ApiError(400, f"{name[:40]!r} is not in UTF-8", param=name[:40]) from error


def _sections(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Headers and content of each part; what stands before the first one and after the last is passed over."""
    line = b"\r\n--" + boundary
    at = -2 if body.startswith(line[2:]) else body.find(line)
    while at != -1:
        at += len(line)
        if body.startswith(b"--", at):
            return
        begin = body.find(b"\r\n", at, at + LONGEST_HEAD)
        head = body.find(b"\r\n\r\n", begin, begin + LONGEST_HEAD)
        if begin == -1 or head == -1 or body[at:begin].strip(b" \t"):
            break
        at = body.find(line, head + 4)
        if at != -1:
            yield body[begin:head], body[head + 4 : at]
    raise _unreadable("it does not end with its boundary, or a part has no headers")


def _name(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            read = Message()
            read["Content-Disposition"] = value.strip().decode(errors="replace")
            name = read.get_param("name", header="Content-Disposition")
            if isinstance(name, str) and name:  # RFC 7578 forbids names that say their encoding
                if read.get_filename() is not None:
                    raise ApiError(400, f"{name[:40]!r} is a file: fields of the form must be text")
                return name
    raise _unreadable("a part has no name")


def _unreadable(why: str) -> ApiError:
    return ApiError(400, f"the form cannot be read: {why}", close=True)
