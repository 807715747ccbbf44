"""Which cluster a run is on: `local`, one of this machine alone; `auto`, the one that it belongs to; or HOST:PORT."""

from __future__ import annotations

import os
import socket

from client.errors import UsageError
from client.hints import did_you_mean

LOCAL, AUTO = "local", "auto"
_LAST_PORT = 65_535
_LOOK_S = 10.0
_HTTP2_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of gRPC begins (RFC 9113, 3.4), with no settings of its own."""
_SETTINGS, _FRAME_HEAD_BYTES = 4, 9
"""A server begins with a frame of this type, which is the fourth byte of its head."""


def cluster_address(text: str) -> str:
    """What names a cluster; nothing is looked for.

    Raises:
        UsageError: it names none.
    """
    host, _, port = text.rpartition(":")
    there = host and "://" not in host and port.isascii() and port.isdecimal() and 0 < int(port) <= _LAST_PORT
    if text not in {LOCAL, AUTO} and not there:
        hint = did_you_mean(text, (LOCAL, AUTO))
        raise UsageError(f"must be local, auto or HOST:PORT, on a machine of the cluster, not {text!r}{hint}")
    return text


def check_address(address: str) -> None:
    """Look whether what listens at HOST:PORT may be a cluster: Ray itself looks for minutes.

    Raises:
        UsageError: nobody listens, or something that speaks no gRPC.
    """
    if address in {LOCAL, AUTO}:
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _LOOK_S) as connection:
            connection.settimeout(_LOOK_S)
            speaks_grpc = "RAY_USE_TLS" in os.environ or _speaks_grpc(connection)
    except (OSError, UnicodeError) as error:  # of a name that no host can have
        raise UsageError(f"--ray {address}: no cluster there: {getattr(error, 'strerror', None) or error}") from error
    if not speaks_grpc:
        raise UsageError(f"--ray {address}: no cluster there, but something else; Ray's own port is 6379 by default")


def _speaks_grpc(connection: socket.socket) -> bool:
    head = b""
    try:
        connection.sendall(_HTTP2_START)
        while len(head) < _FRAME_HEAD_BYTES and (more := connection.recv(_FRAME_HEAD_BYTES - len(head))):
            head += more
    except OSError:  # it hangs up, or says nothing
        return False
    return len(head) == _FRAME_HEAD_BYTES and head[3] == _SETTINGS
