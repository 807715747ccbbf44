"""A video file becomes the few upright, small JPEG frames that the model sees."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
from av.stream import Disposition

from client.errors import MediaError
from client.media.content import Content, Facts
from client.media.frames import Entry, InexactError, InOrder, Seeker, scan
from client.media.jpeg import Orientation, display_size, encode_frame, fit_size
from client.media.kinds import Kind
from client.media.sampling import Fit, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from client.media.sampling import Sampling

# A file that ends this much before its own header says was cut.
_MISSING_SHARE, _MISSING_SECONDS = 0.05, 0.5
# Frames a second of a file that says nothing of time.
_USUAL_RATE = Fraction(25)


def load_video(path: Path, sampling: Sampling) -> Content:
    """Sample a video; memory does not grow with its length.

    Raises:
        MediaError: it holds no video, or nothing of it can be decoded.
    """
    spoilt = damaged = False
    with _opened(path) as (container, stream):
        entries, clean = scan(container, stream)
        if not entries:
            raise MediaError(
                "the video stream holds no frames" if clean else "the file is damaged: nothing can be read"
            )
        cut = _cut_short(container, stream, entries, clean)
        camera = _Camera(stream, sampling)
        timeline = _timeline(stream, entries)
        try:
            seeker = Seeker(container, stream, entries)
            for frame in seeker.frames(timeline.shown[index] for index in sampling.choose(timeline)[0]):
                camera.take(frame)
        except InexactError:
            camera.jpegs.clear()
        except av.FFmpegError:
            camera.jpegs.clear()
            damaged = True
    if not camera.jpegs:
        timeline, spoilt = _decode_in_order(path, camera, timeline, sampling, damaged)
    warnings = ["damaged: not all of it can be decoded; frames may be missing or spoilt"] if spoilt else []
    if remark := sampling.choose(timeline)[1]:
        warnings.append(remark)
    if cut:
        warnings.append(cut)
    if camera.resized:
        warnings.append("the picture size changes within the video: all frames were brought to the first one's size")
    duration = _duration(stream, entries)
    facts = Facts(
        *camera.shown_size,
        duration_sec=round(float(duration), 3) if duration else None,
        fps=round(float(len(timeline.shown) / duration), 3) if duration else None,
        frames=len(timeline.shown),
    )
    return Content(Kind.VIDEO, facts, camera.jpegs, warnings)


class _Camera:
    """Takes JPEGs of decoded frames, all of one size."""

    def __init__(self, stream: VideoStream, sampling: Sampling) -> None:
        self._pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        self._sampling = sampling
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
            self._target = fit_size(*self.shown_size, self._sampling.edge, self._sampling.fit)
        self.resized = self.resized or stored != self._stored_size
        self.jpegs.append(encode_frame(frame, self._target, orientation, square=self._sampling.fit is Fit.PAD))


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


def _decode_in_order(
    path: Path, camera: _Camera, timeline: Timeline, sampling: Sampling, damaged: bool
) -> tuple[Timeline, bool]:
    """The slow way: when the frames are shown, and whether some of them may be missing or spoilt.

    Raises:
        MediaError: there are none.
    """
    for strict in (True, False):
        way = _InOrder(path, camera, strict=strict)
        if damaged:
            way.by_time([timeline.shown[index] for index in sampling.choose(timeline)[0]])
        else:
            timeline = way.by_count(timeline, sampling)
        if camera.jpegs:
            return timeline, way.errors > 0 or not strict
    raise MediaError("the file is damaged: none of its frames can be decoded")


class _InOrder:
    """Takes the wanted frames while decoding all of them."""

    def __init__(self, path: Path, camera: _Camera, *, strict: bool) -> None:
        self._path, self._camera, self._strict = path, camera, strict
        self.errors = 0

    def by_time(self, times: list[int]) -> None:
        """For damaged files: the frame of each of these presentation times, or the next one that is left."""
        self._decode(times, by_time=True)

    def by_count(self, guess: Timeline, sampling: Sampling) -> Timeline:
        """For files whose packets do not tell the frames for sure; returns when the frames really are shown.

        The packets are right nearly always; where they are not, a second pass knows better.
        """
        chosen, _ = sampling.choose(guess)
        timeline = self._decode(chosen)
        better, _ = sampling.choose(timeline)
        if better != chosen:
            self._camera.jpegs.clear()
            self._decode(better)
        return timeline

    def _decode(self, targets: list[int], *, by_time: bool = False) -> Timeline:
        times: list[int | None] = []
        lasting = 0
        waiting = targets[::-1]
        with _opened(self._path, strict=self._strict) as (container, stream):
            decoder = InOrder(container, stream)
            for frame in decoder:
                position = frame.pts if by_time else len(times)
                times.append(frame.pts)
                lasting = frame.duration
                if position is None or not waiting or position < waiting[-1]:
                    continue
                self._camera.take(frame)
                while waiting and waiting[-1] <= position:
                    waiting.pop()
            self.errors = decoder.errors
            return _line(times, lasting, stream)


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


def _timeline(stream: VideoStream, entries: list[Entry]) -> Timeline:
    """When the frames of these packets are shown."""
    shown = [(entry.dts if entry.pts is None else entry.pts, entry.duration) for entry in entries if not entry.hidden]
    shown.sort(key=lambda of: of[0] or 0)
    return _line([time for time, _ in shown], shown[-1][1] if shown else 0, stream)


def _line(times: Sequence[int | None], lasting: int, stream: VideoStream) -> Timeline:
    """The timeline of these times; of as many frames at an even rate where the times cannot be right."""
    known = [time for time in times if time is not None]
    if len(known) == len(times) and all(earlier < later for earlier, later in pairwise(known)):
        if not lasting and len(known) > 1:
            lasting = known[-1] - known[-2]
        return Timeline(known, known[-1] + lasting if known else 0, stream.time_base or Fraction(1))
    rate = stream.average_rate or stream.guessed_rate or _USUAL_RATE
    return Timeline(range(len(times)), len(times), 1 / rate)


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
