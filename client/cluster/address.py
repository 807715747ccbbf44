"""Which cluster a run is on: `local`, one of this machine alone; `auto`, the one that it belongs to; or HOST:PORT."""

from __future__ import annotations

import socket

from client.errors import UsageError
from client.hints import did_you_mean

LOCAL, AUTO = "local", "auto"
_LAST_PORT = 65_535
_LOOK_S = 10.0


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
    """Look whether anybody listens at HOST:PORT: Ray itself looks for minutes.

    Raises:
        UsageError: nobody does.
    """
    if address in {LOCAL, AUTO}:
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _LOOK_S):
            pass
    except (OSError, UnicodeError) as error:  # of a name that no host can have
        raise UsageError(f"--ray {address}: no cluster there: {getattr(error, 'strerror', None) or error}") from error
