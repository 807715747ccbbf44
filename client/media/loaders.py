"""Files are decoded in processes of their own: a decoder that crashes or hangs costs one file, not the run."""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from client.errors import BabelviewError, MediaError
from client.media.load import load_scenes, load_sound, load_spans, load_together, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from multiprocessing.connection import Connection

    from client.media.content import Content, Look, Probe, Scene, SceneLooks, SoundPart, Span
    from client.media.load import Identity
    from client.media.sampling import Sampling
    from client.media.thumbnail_folder import Thumbnails

T = TypeVar("T")

TIMEOUT_S = 120.0
"""A decoder that has worked so long, in CPU time, on a small file is taken for one that never will be done; and so is
one that did next to nothing for as long by the clock: a busy machine lets it do a little."""

_BYTES_PER_S = 500_000
"""What a file's size adds to that: an hour that must be decoded whole, at a low bit rate."""
_NEXT_TO_NOTHING = 0.001
"""Of the time by the clock: less work than that is none."""

FILES_PER_WORKER = 1000
"""Then a new worker takes over, lest what decoders leak adds up."""

_IS_LINUX = platform.system() == "Linux"
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(16 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}
"""Bytes, for glibc: a worker keeps that much of what a picture took for the next one. By default its heap shrinks after
each, and grows again page by page, which takes as long as a small picture itself."""

_AT_ONCE_S = 1.0
"""Work that takes longer is timed."""
_ENDED_BY_OTHERS = (-signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)
_TRIES = 3


class Loaders:
    """Up to `count` worker processes, started as they are needed; used by as many threads.

    Each worker has a pipe of its own and shares no lock with the others, so that none holds up another one by
    dying.
    """

    def __init__(
        self,
        count: int,
        fork_server: ForkServer | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        work: Callable[..., Iterator[Content]] = load_spans,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        """`timeout_s` is for one item (of a large file longer); `work` is how workers load, by its name.

        Thumbnails of what is loaded are kept in `thumbnails`. A `fork_server` that is given is not closed with them.
        """
        self.count = count
        self._timeout_s, self._work = timeout_s, work
        self._thumbnails, self._shown = thumbnails, thumbnails is not None
        self._fork_server, self._shares = fork_server or ForkServer(), fork_server is not None
        self._closed = False
        self._workers: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self._workers.put(None)

    def load(
        self, path: Path, identity: Identity, sampling: Sampling, spans: Sequence[Look | Span | None] = (None,)
    ) -> Generator[Content, None, None]:
        """Decode a file in a worker, once for each of `spans` (see `client.media.load`); waits for a free worker.

        Each is decoded while the one before is used, and none further ahead; unless the whole video must be decoded for
        them: then up to some 1000 frames lie in the worker.

        Raises:
            MediaError: it is no picture or video, or a broken one; or its decoder crashed or did not end.
            BabelviewError: workers cannot be started, or were closed meanwhile.
        """
        arguments = (path, identity, sampling, spans, self._shown)
        with contextlib.closing(self._work_on(path, self._work, arguments, len(spans))) as contents:
            for content in contents:
                self._keep(content.thumbnail, identity)
                yield content

    def together(self, files: Sequence[tuple[Path, Identity]], sampling: Sampling) -> list[Content | MediaError]:
        """Decode small files together in a worker: the content of each, or what is wrong with it.

        If a decoder crashes, or does not end, each is decoded alone: that costs its own file, and no other.

        Raises:
            BabelviewError: as for `load`.
        """
        try:
            together = (self._work, files, sampling, self._shown)
            (outcomes,) = self._work_on(files[0][0], load_together, together, 1, files=len(files))
        except MediaError:
            return [self._alone(path, identity, sampling) for path, identity in files]
        for (_, identity), outcome in zip(files, outcomes, strict=True):
            if not isinstance(outcome, MediaError):
                self._keep(outcome.thumbnail, identity)
        return outcomes

    def _alone(self, path: Path, identity: Identity, sampling: Sampling) -> Content | MediaError:
        try:
            (content,) = self.load(path, identity, sampling)
        except MediaError as error:
            return error
        return content

    def scenes(
        self, path: Path, identity: Identity, sampling: Sampling, looks: SceneLooks
    ) -> Generator[Scene, None, None]:
        """Find the scenes of a video and decode them in a worker, in one pass (see `client.media.load`).

        Waits and errors are those of `load`.
        """
        arguments = (path, identity, sampling, looks, self._shown)
        with contextlib.closing(self._work_on(path, load_scenes, arguments, None)) as found:
            yield from self._without_thumbnail(found, identity)

    def sound(self, path: Path, identity: Identity, track: int | None) -> Generator[SoundPart, None, None]:
        """Decode the sound of a file in a worker (see `client.media.load`); waits and errors are those of `load`."""
        with contextlib.closing(self._work_on(path, load_sound, (path, identity, track, self._shown), None)) as found:
            yield from self._without_thumbnail(found, identity)

    def _without_thumbnail(self, found: Iterator[Any], identity: Identity) -> Iterator[Any]:
        """The same but for the thumbnail, which is kept."""
        for item in found:
            if not isinstance(item, bytes):
                yield item
            else:
                self._keep(item, identity)

    def _keep(self, thumbnail: bytes | None, identity: Identity) -> None:
        if self._thumbnails and thumbnail:
            self._thumbnails.keep(identity.sha256, thumbnail)

    def probe(self, path: Path, identity: Identity) -> Probe:
        """Look at a video's packets in a worker; errors as for `load`."""
        (found,) = self._work_on(path, probe, (path, identity), 1)
        return found

    def _work_on(
        self,
        path: Path,
        work: Callable[..., Iterator[T]],
        arguments: tuple[Any, ...],
        count: int | None,
        *,
        files: int = 1,
    ) -> Generator[T, None, None]:
        """The `count` items that `work` yields in a worker; None: as many as there are. They are about so many files.

        The end mark behind the last one is read before that is given: a worker that is free has nothing more to send,
        which would be taken for an item of the next file. What goes wrong after the last item costs only the worker.
        """
        timeout_s = self._timeout_s + _size(path) // _BYTES_PER_S
        worker = self._workers.get()
        done = tries = 0
        try:
            while done != count:
                if self._closed:
                    raise BabelviewError("the loaders are closed")
                if tries == _TRIES:
                    raise BabelviewError("the processes that decode files are ended from outside, again and again")
                worker = worker or self._fork_server.fork()
                try:
                    if not worker.busy:
                        worker.begin(work, arguments, files)
                        tries += 1
                        skip = done  # after a worker that died, what is there already
                    item = worker.receive(timeout_s)
                except TimeoutError:
                    self._fork_server.end(worker)
                    worker = None
                    raise MediaError(f"not decoded within {timeout_s:g} s") from None
                except (EOFError, ConnectionError):
                    exit_code = self._fork_server.end(worker)
                    worker = None
                    if exit_code in _ENDED_BY_OTHERS:
                        continue  # a signal from outside says nothing about the file
                    raise MediaError(_exit_message(exit_code)) from None
                if item is None and count is None:
                    return
                _check_no_end(item)
                if skip:
                    skip -= 1
                    continue
                done += 1
                if done == count:
                    worker.receive_end(timeout_s)
                yield item
        finally:
            if worker and (self._closed or worker.busy or worker.files >= FILES_PER_WORKER):
                with contextlib.suppress(BabelviewError):  # closed meanwhile: then it has ended
                    self._fork_server.end(worker)
                worker = None
            self._workers.put(worker)

    def close(self) -> None:
        """End the workers, whatever they are doing; of a fork server that others use too, each after its item."""
        self._closed = True
        if not self._shares:
            self._fork_server.close()
            return
        idle: list[_Worker | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._workers.get_nowait())
        for worker in idle:
            with contextlib.suppress(BabelviewError):  # the fork server is closed already
                if worker:
                    self._fork_server.end(worker)
            self._workers.put(None)


class _Worker:
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

    def _wait(self, timeout_s: float) -> None:
        began_cpu_s = seen_cpu_s = _cpu_s(self.pid)
        while not self._poll.poll(1000 * timeout_s):
            cpu_s = _cpu_s(self.pid)
            if cpu_s - began_cpu_s >= timeout_s or cpu_s - seen_cpu_s <= timeout_s * _NEXT_TO_NOTHING:
                raise TimeoutError
            seen_cpu_s = cpu_s


class ForkServer:
    """The process that forks the workers; it starts with the first of them, unless it is started before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process, which takes a moment until it can fork: meanwhile there is other work to do."""
        with self._lock:
            if not self._closed and not self._control:
                self._start()

    def fork(self) -> _Worker:
        """A new worker."""
        for _ in range(_TRIES):
            ours, theirs = Pipe()
            with theirs, self._lock:
                if pid := self._order(b"fork", theirs.fileno()):
                    return _Worker(int(pid), ours)
            ours.close()
        raise BabelviewError("the process that decodes files cannot be started")

    def end(self, worker: _Worker) -> int:
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
            # -P: the working folder may hold a client.py of the user's, which is not ours.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "client.media.loader_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the parent to heed
                env={
                    **_KEEP_MEMORY,
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


def _check_no_end(item: Any) -> None:
    """Raise what ended the work on a file too early.

    Raises:
        MediaError: `item` is an end mark, and no item of the file.
    """
    if isinstance(item, MediaError) or item is None:
        raise item or MediaError("the decoder ended without an answer")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the decoder will say why


def _cpu_s(pid: int) -> float:
    """Seconds of CPU time that a process has taken; 0 of one that is gone."""
    try:
        if _IS_LINUX:
            return time.clock_gettime(~pid << 3 | 2)  # `clock_getcpuclockid`, which Python has for threads alone
        times = psutil.Process(pid).cpu_times()
    except (OSError, psutil.Error):
        return 0.0
    return float(times.user + times.system)


def _exit_message(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "the decoder was killed (SIGKILL): out of memory?"
    if exit_code == -signal.SIGXCPU:
        return "it takes longer to draw than any picture may"
    if exit_code < 0:
        return f"the decoder crashed ({signal.Signals(-exit_code).name})"
    return f"the decoder ended without an answer (exit code {exit_code})"
