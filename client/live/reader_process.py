"""The process that reads a source: `python -m client.live.reader_process FD`, started by `client.live.reader`.

It decodes all that comes, keeps the newest frames, and makes JPEGs of those that are asked for. A decoder that crashes,
hangs or leaks costs a connection, not the session.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import av

from client.live.clock import FrameClock
from client.live.growing_file import GrowingFile
from client.live.messages import Began, Busy, Clip, Ended, Wanted
from client.live.newest import Newest
from client.live.sound import LiveSound
from client.live.source import Pace
from client.media.containers import ENCRYPTED
from client.media.content import Facts, Frame, Span
from client.media.frame_encoder import FrameEncoder
from client.media.opening import Opened, track_of
from client.media.worker import prepare_worker
from client.sources.source import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from client.live.messages import Reading
    from client.media.content import SoundPiece

Decoded: TypeAlias = av.VideoFrame | av.AudioFrame

_FINAL = (
    *(
        av.error.FileNotFoundError,
        av.error.PermissionError,
        av.error.ProtocolNotFoundError,
        av.error.DemuxerNotFoundError,
    ),
    *(av.error.HTTPBadRequestError, av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
    *(av.error.HTTPNotFoundError, av.error.HTTPOtherClientError),
)
"""What another try at once would end with, too."""
_SLEEP_S = 0.2
_BUSY_S = 1.0
"""So often it is told that what was written before is being read."""
_NEWER_S, _LONGEST_NEWER_S = 0.5, 5.0
"""So long, or twice as long as the last one took, a newer frame is waited for where the newest is too old."""
_MOST_ERRORS = 500
"""Packets, one after the other, that cannot be decoded: then the connection is given up."""


class _State:
    """What the thread that decodes and the one that answers share."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.changed = threading.Condition()
        self.newest = Newest[av.VideoFrame](reading.sampling.frames, reading.span_us)
        self.offset_us = 0
        """What the session's clock is ahead of that of the frames."""
        self.shown_s = self.gap_s = 0.0
        """When the newest frame came, and how much later that was than the one before."""
        self.ends_s: float | None = None
        """When a source that is shown by its clock ends, as far as it says so."""
        self.video: Opened | None = None
        self.settled = False
        """Whether the newest frame is one that was just made."""
        self.begun = False
        """Whether a clip was ever given: before the first one all of its time is waited for."""
        self.ended: Ended | None = None

    def add(self, local_us: int, offset_us: int, frame: av.VideoFrame, *, settled: bool) -> None:
        with self.changed:
            self.settled = settled
            self.newest.add(local_us, frame)
            self.offset_us = offset_us
            now_s = time.monotonic()
            self.shown_s, self.gap_s = now_s, now_s - (self.shown_s or now_s)
            self.changed.notify()

    def end(self, ended: Ended) -> None:
        with self.changed:
            self.ended = self.ended or ended
            self.changed.notify()

    def next_clip(self, encoder: FrameEncoder, oldest_s: float) -> Clip | Ended:
        """The newest frames, if there are any that were not given yet: else it waits for one, or for the end."""
        newest = self.newest

        def is_old() -> bool:
            return newest.has_new and time.monotonic() - self.shown_s > oldest_s

        with self.changed:
            self.changed.wait_for(
                lambda: self.ended or (newest.has_new and (self.begun or (newest.is_full and self.settled)))
            )
            ends_in_s = self.ends_s - time.monotonic() if self.ends_s else 0.0
            if 0 < ends_in_s < self.reading.span_us / 2e6:  # else its last moment would be told twice
                self.changed.wait_for(lambda: self.ended, timeout=ends_in_s + _NEWER_S)
            newer_s = min(max(_NEWER_S, 2 * self.gap_s), _LONGEST_NEWER_S)
            self.changed.wait_for(lambda: self.ended or not is_old(), timeout=newer_s)
            if not newest.has_new or not self.video:
                return self.ended or Ended("nothing can be decoded")
            self.begun, old = True, is_old()
            chosen, shown_s, offset_us = newest.choose(for_caption=not old), self.shown_s, self.offset_us
            counts = newest.received, newest.dropped
        frames = [Frame(kept.at_us + offset_us, encoder.take(kept.frame, self.video)) for kept in chosen]
        start_us = max(
            0, newest.since_us + offset_us
        )  # of a file that grows, what is newest may be older than this run
        return Clip(frames, start_us, frames[-1].pts_us, shown_s, *counts, is_old=old)


class _Output:
    """Our end of the pipe, for both threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, message: Any) -> None:
        with self._lock:
            self._connection.send(message)


def main(connection: Connection) -> None:
    """Answer each message with the newest clip, or with the end, until nobody is there any more."""
    with suppress(EOFError, ConnectionError):
        reading: Reading = connection.recv()
        state, output = _State(reading), _Output(connection)
        threading.Thread(target=_read, args=(state, output), daemon=True).start()
        encoder = FrameEncoder(reading.sampling)
        while True:
            wanted: Wanted = connection.recv()
            output.send(state.next_clip(encoder, wanted.oldest_s))


def _read(state: _State, output: _Output) -> None:
    """Decode the source to its end, or to what ends it."""
    reading, source = state.reading, state.reading.source
    opened = False
    try:
        file: Any = source.url
        if source.pace is Pace.GROWING:
            file = GrowingFile(Path(source.url), reading.read_s)
        with av.open(
            file,
            format=source.format,
            options=dict(source.options),
            timeout=(reading.open_s, reading.read_s),
            metadata_errors="replace",
        ) as container:
            opened = True
            lasts = container.duration is not None
            _decode(container, state, output)
        state.end(Ended("" if source.ends or lasts else "the stream ended"))
    except av.error.ExitError:
        what = f"nothing came for {reading.read_s:g} s" if opened else f"not opened within {reading.open_s:g} s"
        state.end(Ended(what))
    except (av.FFmpegError, OSError, ValueError) as error:
        reason, final = _why(error, source.url)
        state.end(Ended(reason, final=final or source.is_file))
    except (MemoryError, ConnectionError) as error:
        state.end(Ended(f"it cannot be decoded ({type(error).__name__})"))


def _why(error: Exception, url: str) -> tuple[str, bool]:
    """What went wrong, in words, and whether another try at once would end in the same way."""
    scheme, is_url, _ = url.partition("://")
    if isinstance(error, av.error.ProtocolNotFoundError):
        return f"FFmpeg, as PyAV brings it, cannot open {scheme}://", True
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there", False
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    if is_url and reason == os.strerror(errno.EIO).lower() and (host := urlsplit(url).hostname):
        try:  # FFmpeg says no more than that
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError) as unknown:
            why = getattr(unknown, "strerror", None) or "it is no name of a host"
            later = getattr(unknown, "errno", None) == socket.EAI_AGAIN  # as where the network is not up yet
            return f"there is no host {printable(host)} that can be found ({why}): check the address", not later
    return reason, isinstance(error, _FINAL)


def _decode(container: InputContainer, state: _State, output: _Output) -> None:
    """Put each frame among the newest when it is due, and send on the sound."""
    reading = state.reading
    videos = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not videos:
        state.end(Ended("there is no video in it that can be decoded", final=True))
        return
    video = max(videos, key=lambda stream: stream.width * stream.height)
    # Before anything is decoded: a decoder makes frames of noise, too, once in a while.
    path = Path(reading.source.url.removeprefix("file:"))
    if reading.source.is_file and track_of(path, container, video).encrypted:
        state.end(Ended(ENCRYPTED, final=True))
        return
    sounds = [stream for stream in container.streams.audio if stream.codec_context is not None] if reading.hears else []
    sound = LiveSound() if sounds else None
    state.video = Opened(container, video, None)
    clock, begun, told_s = FrameClock(reading.source.pace), False, 0.0
    for frame in _frames(container, video, sounds[:1], clock):
        now_s = time.monotonic() - reading.began_s
        if isinstance(frame, av.AudioFrame):
            local_s = clock.of_sound(frame.time) if frame.time is not None else None
            if sound and local_s is not None:
                _send_sound(sound.add(frame, round(local_s * 1e6)), clock, output)
            continue
        placed = clock.place(frame.time, now_s)
        due_s = now_s + placed.wait_s
        while (left_s := due_s - (time.monotonic() - reading.began_s)) > 0:
            time.sleep(min(left_s, _SLEEP_S))
        local_us, offset_us = round(placed.local_s * 1e6), round(clock.offset_s * 1e6)
        if not begun:
            begun = True
            if reading.source.pace is Pace.CLOCK and (length_s := _length_s(container, video)):
                state.ends_s = reading.began_s + due_s + length_s
            facts = Facts(frame.width, frame.height)
            output.send(Began(facts, container.format.name, bool(sound), frame.time, local_us + offset_us))
        state.add(local_us, offset_us, frame, settled=clock.is_settled)
        if not clock.is_settled and now_s - told_s > _BUSY_S:
            output.send(Busy())
            told_s = now_s
    if sound:
        _send_sound(sound.flush(), clock, output)
    if not begun and reading.source.is_file:
        state.end(Ended("nothing in it can be decoded", final=True))


def _length_s(container: InputContainer, video: VideoStream) -> float:
    """How long it is, as far as it says so; else 0."""
    if video.duration and video.time_base:
        return float(video.duration * video.time_base)
    return (container.duration or 0) / av.time_base


def _send_sound(pieces: Iterable[SoundPiece], clock: FrameClock, output: _Output) -> None:
    """Send pieces on the session's clock."""
    offset_us = round(clock.offset_s * 1e6)
    for piece in pieces:
        span = Span(max(0, piece.span.start_us + offset_us), max(0, piece.span.end_us + offset_us))
        output.send(piece._replace(span=span))


def _frames(
    container: InputContainer, video: VideoStream, sounds: list[AudioStream], clock: FrameClock
) -> Iterator[Decoded]:
    """All frames, in the order in which they come; while they are late, of the video its keyframes alone."""
    video.thread_type = "SLICE"  # threads for frames would hold back one frame each
    errors = 0
    with suppress(IndexError):  # see client/media/frames.py
        for packet in container.demux(video, *sounds):
            if packet.stream is video:
                # Those that follow refer to frames that were left out, up to the next keyframe.
                if clock.is_behind:
                    video.codec_context.skip_frame = "NONKEY"
                elif packet.is_keyframe:
                    video.codec_context.skip_frame = "DEFAULT"
            try:
                frames: list[Any] = list(packet.decode())
            except av.EOFError:
                continue
            except av.FFmpegError:
                errors += 1
                if errors > _MOST_ERRORS:
                    raise
                continue
            errors = 0
            yield from (frame for frame in frames if not getattr(frame, "is_corrupt", False))


if __name__ == "__main__":
    prepare_worker(os.getppid())
    main(Connection(socket.socket(fileno=int(sys.argv[1])).detach()))
