"""One process from which all runs within this one fork the workers that decode: importing decoders takes 0.3 s."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import BabelviewError
from client.media.fork_server import ForkServer
from client.media.loaders import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.media.fork_server import Worker

_server = ForkServer()
atexit.register(_server.close)


def enter(folder: Path) -> Iterator[None]:
    """What a worker does first: the process that it is forked from stays where the first run was."""
    os.chdir(folder)
    yield from ()


class SharedForkServer(ForkServer):
    """What a run takes for its own: its workers end with it, the process that forks them stays."""

    def __init__(self, *limits: int) -> None:
        super().__init__(*limits)
        self._workers: list[Worker] = []

    def start(self) -> None:
        _server.start()

    def fork(self) -> Worker:
        with self._lock:
            self._refuse_if_closed()
            worker = _server.fork()
            self._workers.append(worker)
        worker.begin(enter, (Path.cwd(),))
        worker.receive_end(TIMEOUT_S)
        worker.files = 0
        return worker

    def end(self, worker: Worker) -> int:
        with self._lock:
            self._refuse_if_closed()
            self._workers.remove(worker)
            return _server.end(worker)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._workers:
                # Its pipe stays: a thread may be waiting there, and hears of the end.
                with _server._lock:
                    _server._order(b"%d" % self._workers.pop().pid)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BabelviewError("the loaders are closed")
