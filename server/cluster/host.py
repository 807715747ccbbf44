"""The actor that runs an engine on a machine of the cluster: starts it, tells of it, ends it.

Threads and no event loop: Ray calls the methods of an actor in threads of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from server.cluster.order import Order
from server.engines.standalone import standalone_engine
from server.engines.step_watch import VARIABLE as HEARTBEAT
from server.errors import ServerError
from server.key_variables import ENGINE_KEY
from server.sizing.arithmetic import suit_machine
from server.sizing.machine import GIB, tree_memory
from server.supervision.heartbeat import Beat, read_beats
from server.supervision.process import describe_exit, kill_group
from server.supervision.reaper import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_EVERY_S = 1.0
MEMORY_EVERY_S = 10.0
LAST_WORDS_S = 2.0
"""How long the output of an engine that has ended is waited for."""
STOP_GRACE_S = 10.0
"""Between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True)
class Started:
    """The engine's process runs; it listens in a while."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of its output, cut anywhere."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """What its processes say of themselves; times are seconds ago, as each machine has a clock of its own."""

    beats: tuple[Beat, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended, and nothing of it is left."""

    reason: str


Event = Started | Said | Seen | Ended


class EngineHost:
    """Runs one engine for as long as the actor lives; however it ends, the engine ends with it."""

    def __init__(self, node: Callable[[], str]) -> None:
        """`node` tells the address of this machine."""
        self._node = node
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._reason: str | None = None

    def run(self, content: bytes) -> Iterator[Event]:
        """Start the engine of an order, and tell what happens until it has ended."""
        order = Order.decode(content)
        folder = Path(tempfile.mkdtemp(prefix="babelview-"))
        host = self._node()
        with _reaper(folder) as hold, _free_port(host) as port:
            try:
                profile = suit_machine(order.profile)
                command, environment = standalone_engine(profile, host, port, folder)
            except ServerError as error:
                yield Ended(f"it cannot start on {host}: {error}")
                return
            heartbeat = folder / "heartbeat"
            process = subprocess.Popen(
                command,
                env=environment | {ENGINE_KEY: order.key, HEARTBEAT: str(heartbeat)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            hold(process.pid)
            self._process = process
            yield Started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", process.pid)
            if self._stopping.is_set():
                process.terminate()
            limit = profile.engines[0].memory_limit_gib
            threading.Thread(target=self._watch, args=(process, heartbeat, limit), daemon=True).start()
            while not isinstance(event := self._events.get(), Ended):
                yield event
            yield event

    def stop(self) -> None:
        """End the engine: SIGTERM, and SIGKILL after a while."""
        self._stopping.set()
        if (process := self._process) is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_S)
        kill_group(process.pid)

    def _watch(self, process: subprocess.Popen[bytes], heartbeat: Path, limit_gib: float | None) -> None:
        """Tell of the engine until it has ended, and end it if it takes too much memory."""
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        memory_at = time.monotonic() + MEMORY_EVERY_S
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY_S)
            now = time.monotonic()
            self._events.put(Seen(tuple(ago(beat, now) for beat in read_beats(heartbeat))))
            if limit_gib is not None and now >= memory_at:
                memory_at = now + MEMORY_EVERY_S
                if (taken := tree_memory(process.pid) / GIB) > limit_gib:
                    self._reason = f"it takes {taken:.1f} GiB of memory, its limit is {limit_gib:g} GiB"
                    self.stop()
        kill_group(process.pid)  # what it started itself may still run
        reader.join(LAST_WORDS_S)
        self._events.put(Ended(self._reason or describe_exit(process.returncode)))

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while piece := os.read(process.stdout.fileno(), 1 << 16):
            self._events.put(Said(piece))


def ago(beat: Beat, now: float) -> Beat:
    """A heartbeat with times in seconds ago; a step that has not begun stays 0."""
    return beat._replace(at=now - beat.at, step_began=beat.step_began and now - beat.step_began)


@contextmanager
def _reaper(folder: Path) -> Iterator[Callable[[int], None]]:
    """Inside the block process groups can be named that are killed when this process ends, or the block does."""
    command = [sys.executable, "-I", str(SCRIPT), str(folder), "--detach"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as reaper:
        assert reaper.stdin is not None
        pipe = reaper.stdin

        def hold(group: int) -> None:
            pipe.write(b"+%d\n" % group)
            pipe.flush()

        yield hold


@contextmanager
def _free_port(host: str) -> Iterator[int]:
    """A port that is ours inside the block: bound and not listening, so that the engine may bind it too."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        yield holder.getsockname()[1]
