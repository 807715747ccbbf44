"""A video file becomes the few upright, small JPEG frames that the model sees."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.stream import Disposition

from client.errors import MediaError
from client.media.content import Content, Facts
from client.media.frames import Entry, InexactError, InOrder, Seeker, choose, scan
from client.media.jpeg import Orientation, display_size, encode_frame, fit_short_edge
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from client.media.sampling import Sampling

# A file that ends this much before its own header says was cut.
_MISSING_SHARE, _MISSING_SECONDS = 0.05, 0.5


def load_video(path: Path, sampling: Sampling) -> Content:
    """Sample a video; memory does not grow with its length.

    Raises:
        MediaError: it holds no video, or nothing of it can be decoded.
    """
    warnings: list[str] = []
    with _opened(path) as (container, stream):
        entries, clean = scan(container, stream)
        if not entries:
            raise MediaError(
                "the video stream holds no frames" if clean else "the file is damaged: nothing can be read"
            )
        cut = _cut_short(container, stream, entries, clean)
        camera = _Camera(stream, sampling.short_edge)
        shown: list[int] = []
        by_time = False
        try:
            seeker = Seeker(container, stream, entries)
            shown = seeker.shown
            for frame in seeker.frames(shown[index] for index in choose(len(shown), sampling.frames)):
                camera.take(frame)
        except InexactError:
            camera.jpegs.clear()
        except av.FFmpegError:
            camera.jpegs.clear()
            by_time = True
    available = len(shown)
    for strict in (True, False):
        if camera.jpegs:
            break
        way = _InOrder(path, camera, sampling.frames, strict=strict)
        available = way.by_time(shown) if by_time else way.by_count(sum(not entry.hidden for entry in entries))
        if way.errors or not strict:
            warnings = ["damaged: not all of it can be decoded; frames may be missing or spoilt"]
    if not camera.jpegs:
        raise MediaError("the file is damaged: none of its frames can be decoded")
    if cut:
        warnings.append(cut)
    if camera.resized:
        warnings.append("the picture size changes within the video: all frames were brought to the first one's size")
    duration = _duration(stream, entries)
    facts = Facts(
        *camera.shown_size,
        duration_sec=round(float(duration), 3) if duration else None,
        fps=round(float(available / duration), 3) if duration else None,
        frames=available,
    )
    return Content(Kind.VIDEO, facts, camera.jpegs, warnings)


class _Camera:
    """Takes JPEGs of decoded frames, all of one size."""

    def __init__(self, stream: VideoStream, short_edge: int) -> None:
        self._pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        self._short_edge = short_edge
        self._stored_size: tuple[int, int] | None = None
        self._target = (0, 0)
        self.shown_size = (0, 0)
        self.resized = False
        self.jpegs: list[bytes] = []

    def take(self, frame: av.VideoFrame) -> None:
        orientation = Orientation.of(frame)
        stored = (frame.width, frame.height)
        if self._stored_size is None:
            self._stored_size = stored
            self.shown_size = display_size(*stored, self._pixel_aspect, orientation)
            self._target = fit_short_edge(*self.shown_size, self._short_edge)
        self.resized = self.resized or stored != self._stored_size
        self.jpegs.append(encode_frame(frame, self._target, orientation))


@contextmanager
def _opened(path: Path, *, strict: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and find its video stream, which is not its cover picture.

    A strict decoder reports errors, where the usual one hides them in the picture without a word.

    Raises:
        MediaError: it cannot be opened or has none.
    """
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise MediaError(f"cannot be opened as a video ({reason}): cut off, unfinished or not a video?") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            found = "only sound" if container.streams.audio else "no sound either"
            cover = " and a cover picture" if container.streams.video else ""
            raise MediaError(f"no video stream in this file ({found}{cover})")
        # Of a codec that the decoder does not know, the stream says nothing at all.
        streams = [s for s in streams if s.codec_context is not None]
        if not streams:
            raise MediaError("the decoder does not know this video's codec, or the file is damaged")
        stream = max(streams, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))
        stream.thread_type = "NONE"  # every core already has a file of its own
        if strict:
            stream.codec_context.options = {"err_detect": "explode"}
        yield container, stream


class _InOrder:
    """Takes the wanted frames while decoding all of them."""

    def __init__(self, path: Path, camera: _Camera, wanted: int, *, strict: bool) -> None:
        self._path, self._camera, self._wanted, self._strict = path, camera, wanted, strict
        self.errors = 0

    def by_time(self, shown: list[int]) -> int:
        """For damaged files: the frame of each wanted presentation time, or the next one that is left."""
        targets = [shown[index] for index in choose(len(shown), self._wanted)]
        self._decode(targets, times=True)
        return len(shown)

    def by_count(self, guess: int) -> int:
        """For files whose time stamps do not tell the frames; returns how many frames there are.

        The number of packets is nearly always the number of frames; where it is not, a second pass knows it.
        """
        count = self._decode(choose(guess, self._wanted), times=False)
        if count != guess:
            self._camera.jpegs.clear()
            count = self._decode(choose(count, self._wanted), times=False)
        return count

    def _decode(self, targets: list[int], *, times: bool) -> int:
        count = 0
        waiting = targets[::-1]
        with _opened(self._path, strict=self._strict) as (container, stream):
            decoder = InOrder(container, stream)
            for frame in decoder:
                position = frame.pts if times else count
                count += 1
                if position is None or not waiting or position < waiting[-1]:
                    continue
                self._camera.take(frame)
                while waiting and waiting[-1] <= position:
                    waiting.pop()
        self.errors = decoder.errors
        return count


def _cut_short(container: InputContainer, stream: VideoStream, entries: list[Entry], clean: bool) -> str | None:
    """A warning where the file ends before its own header says."""
    base = stream.time_base or Fraction(1)
    if stream.duration:
        promised = stream.duration * base
    elif container.duration:
        promised = Fraction(container.duration, av.time_base)
    else:
        promised = Fraction(0)
    there = _duration(stream, entries)
    if stream.frames > len(entries):
        return f"cut off: {len(entries)} of {stream.frames} frames can be read"
    if promised - there > max(_MISSING_SECONDS, promised * _MISSING_SHARE):
        return f"cut off: {float(there):.1f} of {float(promised):.1f} seconds can be read"
    return None if clean else "cut off or damaged: read as far as possible"


def _duration(stream: VideoStream, entries: list[Entry]) -> Fraction:
    """Seconds from the first frame shown to the end of the last one; 0 where the file tells no times."""
    times = sorted(
        (time, entry.duration)
        for entry in entries
        if not entry.hidden and (time := entry.dts if entry.pts is None else entry.pts) is not None
    )
    if not times:
        return Fraction(0)
    last, lasting = times[-1]
    if not lasting and len(times) > 1:
        lasting = last - times[-2][0]
    return (last + lasting - times[0][0]) * (stream.time_base or Fraction(1))
