"""Multipart forms (RFC 7578) that are in memory already, taken apart by a few searches.

aiohttp's reader goes line by line, and so through some bodies for half a minute, in which nobody else is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translator.errors import ApiError
from translator.http.headers import parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LONGEST_HEAD = 4096
"""Bytes of the headers of one part."""
_PLAIN = (b"", b"7bit", b"8bit", b"binary")
"""Transfer encodings that leave a part as it is; RFC 7578 knows no other."""


def texts(content_type: str, body: bytes, charsets: Collection[str]) -> Iterator[tuple[str, str]]:
    """Name and text of each part of a form; one that does not say its charset, of `charsets`, is in UTF-8.

    Raises:
        ApiError: 400, it is no form, or a part has no name, is a file, or not in its charset; 415, in another one.
    """
    boundary = parameters(content_type.encode(errors="surrogateescape")).get(b"boundary", b"")
    if not boundary or not boundary.isascii():
        raise _unreadable("its content type names no boundary")
    for head, content in _sections(body, boundary):
        headers = _headers(head)
        name, charset = _name(headers), _charset(headers, charsets)
        try:
            yield name, content.decode(charset)
        except UnicodeError as error:
            raise ApiError(400, f"{name[:40]!r} is not in {charset.upper()}") from error


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


def _name(headers: dict[bytes, bytes]) -> str:
    if headers.get(b"content-transfer-encoding", b"").lower() not in _PLAIN:
        raise _unreadable("a part has a Content-Transfer-Encoding: send it as it is")
    disposition = parameters(headers.get(b"content-disposition", b""))
    name = disposition.get(b"name", b"").decode(errors="replace")
    if not name:
        raise _unreadable("a part has no name")
    if disposition.get(b"filename") or b"filename*" in disposition:
        raise ApiError(400, f"{name[:40]!r} is a file: fields of the form must be text")
    return name


def _charset(headers: dict[bytes, bytes], charsets: Collection[str]) -> str:
    said = parameters(headers.get(b"content-type", b"")).get(b"charset", b"utf-8").decode(errors="replace").lower()
    if said not in charsets:
        raise ApiError(415, f"charset {said[:40]!r} is not known here: send UTF-8")
    return said


def _headers(head: bytes) -> dict[bytes, bytes]:
    """By their names in lower case."""
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _unreadable(why: str) -> ApiError:
    return ApiError(400, f"the form cannot be read: {why}", close=True)
