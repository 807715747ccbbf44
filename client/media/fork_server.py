"""The processes that decode, and the one that forks them; who has them do what is `client.media.loaders`."""

from __future__ import annotations

import contextlib
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import BabelviewError, MediaError
from client.media.worker import MEMORY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

TRIES = 3
_LOOK_S = 0.2
_NEXT_TO_NOTHING = 0.001
"""Of the time by the clock: less work than that is none."""

_IS_LINUX = platform.system() == "Linux"
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(16 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}
"""Bytes, for glibc: a worker keeps that much of what a picture took for the next one. By default its heap shrinks after
each, and grows again page by page, which takes as long as a small picture itself."""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""As numpy is imported, OpenBLAS would start a thread for each core, which have files of their own to decode."""

_AT_ONCE_S = 1.0
"""Work that takes longer is timed."""


class Worker:
    """A process that decodes, and our end of its pipe."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid = pid
        self.pipe = pipe
        self.files = 0
        self.busy = False
        """Whether it is at work on a file: its end mark has not come yet."""
        self._poll = select.poll()  # that of the pipe would be a new one each time
        self._poll.register(pipe.fileno(), select.POLLIN)

    def begin(self, work: Callable[..., Any], arguments: tuple[Any, ...], files: int = 1) -> None:
        """Send it `work` on a file, or several, with its arguments.

        Raises:
            ConnectionError: the process died.
        """
        self.files += files
        self.busy = True
        self.pipe.send((work, arguments))

    def receive(self, timeout_s: float) -> Any:
        """Wait for an item, or for the end mark of the file: None or a MediaError.

        Raises:
            TimeoutError: there was none after so much work, or it did none for so long.
            EOFError, ConnectionError: the process died.
        """
        if not self._poll.poll(1000 * min(timeout_s / 10, _AT_ONCE_S)):
            self._wait(timeout_s)
        item = self.pipe.recv()
        self.busy = not (item is None or isinstance(item, MediaError))
        return item

    def receive_end(self, timeout_s: float) -> None:
        """Wait for the end mark behind the last item; there is none of a process that died."""
        with contextlib.suppress(TimeoutError, EOFError, ConnectionError):
            self.receive(timeout_s)

    def kill(self) -> None:
        """End it, whatever it is doing: who waits for it hears of that. It must not have been reaped."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _wait(self, timeout_s: float) -> None:
        began_cpu_s = seen_cpu_s = _cpu_s(self.pid)
        while not self._poll.poll(1000 * timeout_s):
            cpu_s = _cpu_s(self.pid)
            if cpu_s - began_cpu_s >= timeout_s or cpu_s - seen_cpu_s <= timeout_s * _NEXT_TO_NOTHING:
                raise TimeoutError
            seen_cpu_s = cpu_s


class ForkServer:
    """The process that forks the workers; it starts with the first of them, unless it is started before."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, most_at_work: int | None = None) -> None:
        """A worker takes no more memory than that; so many are at work at the same time, None: as many as there are."""
        self._memory_bytes = memory_bytes
        self._places = threading.Semaphore(most_at_work) if most_at_work else None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process, which takes a moment until it can fork: meanwhile there is other work to do."""
        with self._lock:
            if not self._closed and not self._control:
                self._start()

    @contextlib.contextmanager
    def place(self, is_closed: Callable[[], bool]) -> Iterator[None]:
        """Be one of those that are at work, for as long as the block lasts; waits for that, unless it is closed.

        Raises:
            BabelviewError: it was closed meanwhile.
        """
        while self._places and not self._places.acquire(timeout=_LOOK_S):
            if is_closed():
                raise BabelviewError("the loaders are closed")
        try:
            yield
        finally:
            if self._places:
                self._places.release()

    def fork(self) -> Worker:
        """A new worker."""
        for _ in range(TRIES):
            ours, theirs = Pipe()
            with theirs, self._lock:
                if pid := self._order(b"fork", theirs.fileno()):
                    return Worker(int(pid), ours)
            ours.close()
        raise BabelviewError("the process that decodes files cannot be started")

    def end(self, worker: Worker) -> int:
        """Kill a worker if it lives still, and reap it; its exit code, which is a signal's negative number."""
        worker.pipe.close()
        with self._lock:
            # Without an answer this process is gone, and took its workers with it.
            return int(self._order(b"%d" % worker.pid) or -signal.SIGTERM)

    def close(self) -> None:
        """End this process and its workers; no more are forked."""
        with self._lock:
            self._closed = True
            self._stop()

    def _order(self, order: bytes, *handles: int) -> bytes:
        """The answer to an order; none if the process has died."""
        if self._closed:
            raise BabelviewError("the loaders are closed")
        control = self._control or self._start()
        answer = b""
        with contextlib.suppress(ConnectionError):
            socket.send_fds(control, [order], handles)
            answer = control.recv(32)
        if not answer:
            self._stop()
        return answer

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            told = theirs.fileno(), self._memory_bytes
            # -P: the working folder may hold a client.py of the user's, which is not ours.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "client.media.loader_process", *map(str, told)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the parent to heed
                env={
                    **_KEEP_MEMORY,
                    **_ONE_THREAD,
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
                },
            )
        self._control = ours
        return ours

    def _stop(self) -> None:
        if self._control:
            self._control.close()
            self._control = None
        if self._process:
            self._process.wait()
            self._process = None


def _cpu_s(pid: int) -> float:
    """Seconds of CPU time that a process has taken; 0 of one that is gone."""
    if _IS_LINUX:
        try:
            return time.clock_gettime(~pid << 3 | 2)  # `clock_getcpuclockid`, which Python has for threads alone
        except OSError:
            return 0.0
    import psutil  # noqa: PLC0415  # not needed on Linux

    try:
        times = psutil.Process(pid).cpu_times()
    except (OSError, psutil.Error):
        return 0.0
    return float(times.user + times.system)
