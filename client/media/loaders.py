"""Files are decoded in processes of their own: a decoder that crashes or hangs costs one file, not the run."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from client.errors import BabelviewError, DecodersLostError, MediaError
from client.media.fork_server import TRIES, ForkServer, Worker
from client.media.load import load_scenes, load_sound, load_spans, load_together, probe
from client.media.strips import Thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

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

FILES_PER_WORKER = 1000
"""Then a new worker takes over, lest what decoders leak adds up."""

_ENDED_BY_OTHERS = (-signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)


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

        Thumbnails of what is loaded are kept in `thumbnails`, where it has none. A `fork_server` that is given is not
        closed with them.
        """
        self.count = count
        self._timeout_s, self._work = timeout_s, work
        self._thumbnails = thumbnails
        self._fork_server, self._shares = fork_server or ForkServer(), fork_server is not None
        self._closed = False
        self._lock = threading.Lock()
        self._at_work: set[Worker] = set()
        self._workers: queue.LifoQueue[Worker | None] = queue.LifoQueue()
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
        arguments = (path, identity, sampling, spans, self._lacks(identity))
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
            named = [(str(path), identity) for path, identity in files]
            together = (self._work, named, sampling, [self._lacks(identity) for _, identity in files])
            (outcomes,) = self._work_on(files[0][0], load_together, together, 1, files=len(files))
        except MediaError:
            return [self._alone(path, identity, sampling) for path, identity in files]
        if self._thumbnails:
            each = zip(files, outcomes, strict=True)
            loaded = {it.sha256: content for (_, it), content in each if not isinstance(content, MediaError)}
            if made := {sha256: it.thumbnail for sha256, it in loaded.items() if it.thumbnail}:
                self._thumbnails.keep(made)
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
        arguments = (path, identity, sampling, looks, self._lacks(identity))
        with contextlib.closing(self._work_on(path, load_scenes, arguments, None)) as found:
            yield from self._without_thumbnail(found, identity)

    def sound(self, path: Path, identity: Identity, track: int | None) -> Generator[SoundPart, None, None]:
        """Decode the sound of a file in a worker (see `client.media.load`); waits and errors are those of `load`."""
        arguments = (path, identity, track, self._lacks(identity))
        # Takes no place: who has one may wait for what is said.
        with contextlib.closing(self._work_on(path, load_sound, arguments, None, takes_place=False)) as found:
            yield from self._without_thumbnail(found, identity)

    def _without_thumbnail(self, found: Iterator[Any], identity: Identity) -> Iterator[Any]:
        """The same but for the thumbnail, which is kept."""
        for item in found:
            if not isinstance(item, Thumbnail):
                yield item
            else:
                self._keep(item, identity)

    def _lacks(self, identity: Identity) -> bool:
        """Whether a thumbnail is to be made of what is decoded."""
        return self._thumbnails is not None and not self._thumbnails.has(identity.sha256)

    def _keep(self, thumbnail: Thumbnail | None, identity: Identity) -> None:
        if self._thumbnails and thumbnail:
            self._thumbnails.keep({identity.sha256: thumbnail})

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
        takes_place: bool = True,
    ) -> Generator[T, None, None]:
        """The `count` items that `work` yields in a worker; None: as many as there are. They are about so many files.

        The end mark behind the last one is read before that is given: a worker that is free has nothing more to send,
        which would be taken for an item of the next file. What goes wrong after the last item costs only the worker.
        """
        worker = self._workers.get()
        try:
            with self._fork_server.place(lambda: self._closed) if takes_place else contextlib.nullcontext():
                timeout_s = self._timeout_s + _size(path) // _BYTES_PER_S
                done = tries = 0
                try:
                    while done != count:
                        self._check_open()
                        if tries == TRIES:
                            raise DecodersLostError(
                                "the processes that decode files are ended from outside, again and again: by SIGTERM, "
                                "SIGHUP or SIGINT, as of `kill` or a service that is stopped"
                            )
                        worker = worker or self._fork_server.fork()
                        try:
                            if not worker.busy:
                                self._begin(worker, work, arguments, files)
                                tries += 1
                                skip = done  # after a worker that died, what is there already
                            item = worker.receive(timeout_s)
                        except TimeoutError:
                            self._end(worker)
                            worker = None
                            raise MediaError(f"not decoded within {timeout_s:g} s") from None
                        except (EOFError, ConnectionError):
                            exit_code = self._end(worker)
                            worker = None
                            self._check_open()
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
                    worker = self._rest(worker)
        finally:
            self._workers.put(worker)

    def _begin(self, worker: Worker, work: Callable[..., Any], arguments: tuple[Any, ...], files: int) -> None:
        """Have a worker begin; from now on `close` ends it."""
        with self._lock:
            self._check_open()
            self._at_work.add(worker)
        worker.begin(work, arguments, files)

    def _end(self, worker: Worker) -> int:
        """End a worker; its exit code. From now on its process id may be another one's."""
        with self._lock:
            self._at_work.discard(worker)
        return self._fork_server.end(worker)

    def _rest(self, worker: Worker | None) -> Worker | None:
        """A worker that is free for the next file; None: it has ended, as it was still at work or has worked enough."""
        if worker and (self._closed or worker.busy or worker.files >= FILES_PER_WORKER):
            with contextlib.suppress(BabelviewError):  # closed meanwhile: then it has ended
                self._end(worker)
            return None
        if worker:
            with self._lock:
                self._at_work.discard(worker)
        return worker

    def _check_open(self) -> None:
        if self._closed:
            raise BabelviewError("the loaders are closed")

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        if self._thumbnails:
            self._thumbnails.close()
        with self._lock:
            self._closed = True
            if self._shares:
                for worker in self._at_work:
                    worker.kill()
        if not self._shares:
            self._fork_server.close()
            return
        idle: list[Worker | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._workers.get_nowait())
        for free in idle:
            with contextlib.suppress(BabelviewError):  # the fork server is closed already
                if free:
                    self._fork_server.end(free)
            self._workers.put(None)


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


def _exit_message(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "the decoder was killed (SIGKILL): out of memory?"
    if exit_code == -signal.SIGXCPU:
        return "it takes longer to draw than any picture may"
    if exit_code < 0:
        return f"the decoder crashed ({signal.Signals(-exit_code).name})"
    return f"the decoder ended without an answer (exit code {exit_code})"
