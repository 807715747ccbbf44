"""What runs and how it is: told by the supervisor on a Unix socket, one JSON object for each connection."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from server.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.supervision.supervisor import ProcessSupervisor

TIMEOUT_S = 5.0


def status_socket(port: int) -> Path:
    """Where the supervisor of the stack answers whose gateway listens on `port`."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"babelview-{os.getuid()}" / f"{port}.sock"


def snapshot(supervisors: Sequence[ProcessSupervisor]) -> dict[str, Any]:
    """The state of every part, for people and scripts."""
    now = time.monotonic()
    return {
        "pid": os.getpid(),
        "endpoint": supervisors[0].part.address,
        "parts": [
            {
                "name": supervisor.part.name,
                "serves": supervisor.part.what,
                "address": supervisor.part.place,
                "state": supervisor.state.value,
                "pid": supervisor.pid,
                "uptime_s": None if supervisor.ready_since is None else round(now - supervisor.ready_since, 1),
                "restarts": supervisor.restarts,
                "memory_bytes": supervisor.memory_bytes,
                "last_end": supervisor.reason,
                "log": str(supervisor.log),
            }
            for supervisor in supervisors
        ],
    }


@asynccontextmanager
async def serve_status(path: Path, supervisors: Sequence[ProcessSupervisor]) -> AsyncIterator[None]:
    """Tell everybody of this user who connects to `path` how the parts are.

    Raises:
        PreflightError: the folder of the socket is not ours alone.
    """
    _prepare(path)

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(orjson.dumps(snapshot(supervisors)))
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(tell, path)
    try:
        async with server:
            yield
    finally:
        _remove(path)


def _prepare(path: Path) -> None:
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PreflightError(f"{folder} must be a folder of yours alone (chmod 700): the stack's status goes there")
    _remove(path)  # of a supervisor that was killed: the gateway's port is ours now


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def ask(port: int) -> dict[str, Any] | None:
    """What the supervisor behind `port` says; None if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(status_socket(port)))
            with connection.makefile("rb") as answer:
                told: dict[str, Any] = orjson.loads(answer.read())
        except (OSError, orjson.JSONDecodeError):
            return None
    return told
