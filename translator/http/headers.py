"""Headers with parameters, `text/plain; charset="utf-8"`, each byte of which is looked at once.

Python's own reader of them takes minutes over some, and lets them name codecs of which no text comes.
"""

from __future__ import annotations

import re

_PARAMETER = re.compile(
    rb"[ \t]*;[ \t;]*([\w!#$%&'*+.^`|~-]+)=" rb'(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.ASCII | re.DOTALL
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def parameters(value: bytes) -> dict[bytes, bytes]:
    """Those of a header's value, by their names in lower case."""
    found: dict[bytes, bytes] = {}
    at = len(value.partition(b";")[0])
    while read := _PARAMETER.match(value, at):
        name, quoted, plain = read.groups()
        found.setdefault(name.lower(), plain if quoted is None else _ESCAPED.sub(rb"\1", quoted))
        at = read.end()
    return found


def content_type(value: str) -> tuple[str, str]:
    """Type and charset that a `Content-Type` names, in lower case; "" where it does not."""
    raw = value.encode(errors="surrogateescape")
    charset = parameters(raw).get(b"charset", b"").decode(errors="replace")
    return value.partition(";")[0].strip().lower(), charset.lower()
