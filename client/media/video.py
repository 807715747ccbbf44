"""A video file becomes the few upright, small JPEG frames that the model sees."""

from __future__ import annotations

import re
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
# Frames that old encoders announce and do not write, at the end.
_UNTOLD = 2
# Frames a second of a file that says nothing of time.
_USUAL_RATE = Fraction(25)


def load_video(path: Path, sampling: Sampling) -> Content:
    """Sample a video; of what is not sampled only the times are kept, about 350 bytes a frame: 60 MB for two hours.

    Raises:
        MediaError: it holds no video, or nothing of it can be decoded.
    """
    with _opened(path) as (container, stream):
        entries, clean = scan(container, stream)
        if not entries:
            raise MediaError(
                "the video stream holds no frames" if clean else "the file is damaged: nothing can be read"
            )
        cut = _cut_short(container, stream, entries, clean)
        camera = _Camera(stream, sampling)
        timeline, duration = _timeline(stream, entries), _duration(stream, entries)
        jpegs: list[bytes] = []
        try:
            seeker = Seeker(container, stream, entries)
            times = [timeline.shown[index] for index in sampling.choose(timeline)[0]]
            jpegs = [camera.take(frame) for frame in seeker.frames(times)]
        except InexactError:
            times = None  # they do not tell the frames
        except av.FFmpegError:
            pass
    spoilt = False
    for strict in (True, False):
        if not jpegs:
            decoding = _InOrder(path, camera, strict=strict)
            timeline, jpegs = decoding.take(timeline, sampling, times)
            spoilt = decoding.errors > 0 or not strict
    if not jpegs:
        raise MediaError("the file is damaged: none of its frames can be decoded")
    warnings = ["damaged: not all of it can be decoded; frames may be missing or spoilt"] if spoilt else []
    if remark := sampling.choose(timeline)[1]:
        warnings.append(remark)
    if cut:
        warnings.append(cut)
    if camera.resized:
        warnings.append("the picture size changes within the video: all frames were brought to the first one's size")
    facts = Facts(
        *camera.shown_size,
        duration_sec=round(float(duration), 3) if duration else None,
        fps=round(float(len(timeline.shown) / duration), 3) if duration else None,
        frames=len(timeline.shown),
    )
    return Content(Kind.VIDEO, facts, jpegs, warnings)


class _Camera:
    """Takes JPEGs of decoded frames, all of one size."""

    def __init__(self, stream: VideoStream, sampling: Sampling) -> None:
        self._pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        self._sampling = sampling
        self._stored_size: tuple[int, int] | None = None
        self._target = (0, 0)
        self.shown_size = (0, 0)
        self.resized = False

    def take(self, frame: av.VideoFrame) -> bytes:
        orientation = Orientation.of(frame)
        stored = (frame.width, frame.height)
        if self._stored_size is None:
            self._stored_size = stored
            self.shown_size = display_size(*stored, self._pixel_aspect, orientation)
            self._target = fit_size(*self.shown_size, self._sampling.edge, self._sampling.fit)
        self.resized = self.resized or stored != self._stored_size
        return encode_frame(frame, self._target, orientation, square=self._sampling.fit is Fit.PAD)


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

    def __init__(self, path: Path, camera: _Camera, *, strict: bool) -> None:
        self._path, self._camera, self._strict = path, camera, strict
        self.errors = 0

    def take(self, guess: Timeline, sampling: Sampling, times: list[int] | None) -> tuple[Timeline, list[bytes]]:
        """When the frames really are shown, and JPEGs of the wanted ones.

        `guess` is what the packets say, right nearly always; where it is not, a second pass knows better.
        `times` are those of the wanted frames if they can be relied on: then, of a file with errors, the frames
        at these times are taken, or the next ones that are left.
        """
        chosen, _ = sampling.choose(guess)
        timeline, by_place, by_time = self._decode(chosen, times or [])
        if times and self.errors:
            return guess, by_time
        better, _ = sampling.choose(timeline)
        if better != chosen:
            timeline, by_place, _ = self._decode(better, [])
        return timeline, by_place

    def _decode(self, places: list[int], times: list[int]) -> tuple[Timeline, list[bytes], list[bytes]]:
        """The timeline, and the frames that were wanted by their places and by their times."""
        seen: list[int | None] = []
        lasting = 0
        by_place, by_time = _Wanted(places, self._camera), _Wanted(times, self._camera)
        with _opened(self._path, strict=self._strict) as (container, stream):
            decoder = InOrder(container, stream)
            for frame in decoder:
                by_place.offer(len(seen), frame)
                if frame.pts is not None:
                    by_time.offer(frame.pts, frame)
                seen.append(frame.pts)
                lasting = frame.duration
            self.errors = decoder.errors
            return _line(seen, lasting, stream), by_place.jpegs, by_time.jpegs


class _Wanted:
    """Takes the frames at some positions, or the next ones after them, of frames that come in order."""

    def __init__(self, positions: list[int], camera: _Camera) -> None:
        self._waiting, self._camera = positions[::-1], camera
        self.jpegs: list[bytes] = []

    def offer(self, position: int, frame: av.VideoFrame) -> None:
        if self._waiting and position >= self._waiting[-1]:
            self.jpegs.append(self._camera.take(frame))
            while self._waiting and self._waiting[-1] <= position:
                self._waiting.pop()


def _cut_short(container: InputContainer, stream: VideoStream, entries: list[Entry], clean: bool) -> str | None:
    """A warning where the file ends before its own header says."""
    if "mp4" in container.format.name and stream.frames > len(entries) + _UNTOLD:
        return f"cut off: {len(entries)} of {stream.frames} frames can be read"
    there, promised = _duration(stream, entries), _promised(container, stream, entries)
    if promised - there > max(_MISSING_SECONDS, promised * _MISSING_SHARE):
        return f"cut off: {float(there):.1f} of {float(promised):.1f} seconds can be read"
    return None if clean else "cut off or damaged: read as far as possible"


def _promised(container: InputContainer, stream: VideoStream, entries: list[Entry]) -> Fraction:
    """How many seconds the header speaks of; 0 where it says nothing, or of all streams together."""
    base = stream.time_base or Fraction(1)
    if stream.duration:
        return stream.duration * base
    # Matroska has the time of the end instead, which is later than the duration if the beginning is.
    start = min((time for entry in entries if (time := entry.pts) is not None), default=0) * base
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds) - start
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base) - start
    return Fraction(0)


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
