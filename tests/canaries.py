"""Malformed and odd requests with a secret in them, which must come into no log."""

from __future__ import annotations

import asyncio

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
SECRET = "bv-canary-0123456789abcdef"
CANARIES = [
    POST + b"authorization : Bearer SECRET\r\n\r\n",
    POST + b"Authorization: Bearer SECRET\nX: 1\r\n\r\n",
    POST + b"Authorization: Bearer SECRET\0\r\n\r\n",
    POST + b"Author\0ization: Bearer SECRET\r\n\r\n",
    POST + b"Authorization\r\n Bearer SECRET\r\n\r\n",
    POST + b"Authorization: Bearer SECRET" + b"x" * 10_000 + b"\r\n\r\n",
    POST + b"Bearer SECRET\r\n\r\n",
    POST + b": Bearer SECRET\r\n\r\n",
    POST + b"X-Request-Id: SECRET\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    POST + b"Authorization: Bearer SECRET\r\nContent-Length: x\r\n\r\n",
    POST + b"Content-Length: SECRET\r\n\r\n",
    POST + b"Transfer-Encoding: SECRET\r\n\r\n",
    POST + b"Authorization: Bearer SECRET\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n\r\n",
    POST + b"Authorization: Bearer SECRET\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n|SECRET\r\n",
    POST + b"Authorization: Bearer SECRET\r\nTransfer-Encoding: chunked\r\n\r\n1;SECRET\0\r\n{\r\n",
    POST + b"Authorization: Basic SECRET\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    POST + b"Authorization: Bearer SECRET\r\nConnection: close\r\nContent-Length: 8\r\n\r\n{SECRET}",
    b"GET /v1/models/SECRET?key=SECRET HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://me:SECRET@x/v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"Bearer SECRET\r\n\r\n",
    b"GET / SECRET\r\n\r\n",
    b"SECRET / HTTP/1.1\r\nHost: SECRET\r\nConnection: close\r\n\r\n",
]


async def raw(address: str, sent: bytes, later: bytes = b"", *, wait: float = 10) -> bytes:
    """Send bytes as they are, some of them a moment later, and read until the gateway closes."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    if later:
        await asyncio.sleep(0.02)
        writer.write(later)
    try:
        async with asyncio.timeout(wait):
            return await reader.read()
    finally:
        writer.close()
