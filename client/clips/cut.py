"""Cuts a part out of a video: as it is, from a key frame on, or exactly, encoded anew."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Self

import av
import numpy as np

from client.errors import MediaError, UsageError
from client.media.hdr import is_hdr, to_srgb
from client.media.jpeg import Orientation, display_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RATE = 48_000
"""Samples a second of the sound of what is encoded anew."""
QUALITY = "18"
"""x264's CRF: hardly to be told from the source."""
_TICK = Fraction(1, 90_000)
_BEFORE_S = 10
"""The first picture is decoded before it is shown: by less than that."""


def copy_part(source: Path, target: Path, start_s: float, end_s: float) -> float:
    """Copy the packets from the last key frame before `start_s` to `end_s`; returns when that key frame is shown.

    Raises:
        MediaError: the source cannot be read, or the container of `target` does not take its codecs.
    """
    with _media_errors(source), _open(source) as (container, video, first):
        streams: list[Stream] = [video, *container.streams.audio[:1]]
        began, packets = _from_key_frame(container, streams, first, start_s)
        if began >= end_s:
            raise MediaError(f"{source}: no picture begins before {end_s:g} s")
        with av.open(f"file:{target}", "w") as output:
            copies = {stream.index: output.add_stream_from_template(stream) for stream in streams}
            late: list[Packet[Stream]] = []
            for packet in packets:
                shown = _time_s(packet, first)
                if shown is None or (packet.stream is not video and not began <= shown < end_s):
                    continue
                if packet.stream is video and shown >= end_s:
                    if packet.is_keyframe:
                        break
                    late.append(packet)  # unless an earlier picture that comes later is made of it
                    continue
                if packet.stream is video:
                    for needed in late:
                        _copy(needed, output, copies, first + began)
                    late.clear()
                _copy(packet, output, copies, first + began)
    return began


def _copy(packet: Packet[Stream], output: OutputContainer, copies: dict[int, Stream], began_s: float) -> None:
    assert packet.time_base is not None
    shift = round(began_s / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts - shift
    packet.dts = None if packet.dts is None else packet.dts - shift
    packet.stream = copies[packet.stream.index]
    output.mux(packet)


def _time_s(packet: Packet[Stream], first: float) -> float | None:
    """When it is shown, in seconds of the video's clock; AVI tells of some packets only when they are decoded."""
    time = packet.pts if packet.pts is not None else packet.dts
    return None if time is None or packet.time_base is None else float(time * packet.time_base) - first


def _decoded_s(packet: Packet[Stream], first: float) -> float:
    """When it is decoded: packets come in this order."""
    return -math.inf if packet.dts is None or packet.time_base is None else float(packet.dts * packet.time_base) - first


def _from_key_frame(
    container: InputContainer, streams: list[Stream], first: float, start_s: float
) -> tuple[float, Iterator[Packet[Stream]]]:
    """When the last key frame up to `start_s` is shown, else the first one; and the packets from it on.

    `streams` begins with that of the pictures.

    Raises:
        MediaError: there is none.
    """
    video = streams[0]
    begin, tick = video.start_time or 0, video.time_base or _TICK
    # Some containers find the place, and not the key frame before it: then all from the beginning is looked at.
    places = (max(round((first + start_s) / tick), begin), begin - round(_BEFORE_S / tick), begin)
    for number, place in enumerate(places):
        try:
            container.seek(place, stream=video, backward=True)
        except av.FFmpegError:  # AVI knows no place before the beginning
            if number == len(places) - 1:
                raise
            continue
        packets = container.demux(*streams)
        began, waiting = _wait_for_key_frame(packets, video, first, start_s)
        if began is not None and (began <= start_s or number > 0):
            return began, chain(waiting, packets)
    raise MediaError("there is no key frame in this video")


def _wait_for_key_frame(
    packets: Iterator[Packet[Stream]], video: Stream, first: float, start_s: float
) -> tuple[float | None, list[Packet[Stream]]]:
    began: float | None = None
    waiting: list[Packet[Stream]] = []
    for packet in packets:
        shown = _time_s(packet, first)
        if shown is None:
            continue
        pictures = packet.stream is video
        if pictures and packet.is_keyframe and (began is None or shown <= start_s):
            began = shown
            waiting = [kept for kept in waiting if kept.stream is not video and (_time_s(kept, first) or 0) >= shown]
        if began is not None or not pictures:
            waiting.append(packet)
        if pictures and began is not None and _decoded_s(packet, first) > start_s:
            break
    return began, waiting


class Reel:
    """A video that parts of others are encoded into, one after the other, in the size of the first one."""

    def __init__(self, target: Path) -> None:
        """Write to `target`, whose suffix names the container."""
        self._target = target
        self._stack = ExitStack()
        self._video: VideoStream | None = None
        self._at_s = 0.0
        self._last_pts = -1
        self._samples = 0
        self._unheard: list[AudioFrame] = []
        """Sound from before the first picture: no packet can be written until there is a stream for pictures."""

    def __enter__(self) -> Self:
        """Open the target.

        Raises:
            UsageError: its suffix is that of no container for H.264 and AAC.
        """
        try:
            self._output = self._stack.enter_context(av.open(f"file:{self._target}", "w"))
            self._audio: AudioStream = self._output.add_stream("aac", RATE, layout="stereo")
        except ValueError as error:
            self._stack.close()
            self._target.unlink(missing_ok=True)
            raise UsageError(
                f"a video cannot be written as {self._target.suffix or 'a file without a suffix'} "
                f"({error}): call it .mp4, .mov or .mkv"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what the encoders hold, unless there was an error, and close."""
        with self._stack:
            if kind is None and self._video is not None:
                self._output.mux(self._video.encode(None))
                self._output.mux(self._audio.encode(None))

    def add(self, source: Path, start_s: float, end_s: float) -> None:
        """Add a part of a video; one without sound is silent.

        Raises:
            MediaError: the source cannot be read, or nothing of it is shown then.
        """
        last_pts = self._last_pts
        try:
            with _media_errors(source), _open(source) as (container, video, first):
                self._add(container, video, first, (start_s, end_s))
            if self._last_pts == last_pts:
                raise MediaError(f"{source}: nothing is shown from {start_s:g} to {end_s:g} s")
        finally:
            if self._last_pts > last_pts:  # what is there of a part that fails stays; the next one begins behind it
                self._at_s += end_s - start_s
                self._be_silent_until(self._at_s)

    def _add(self, container: InputContainer, video: VideoStream, first: float, span_s: tuple[float, float]) -> None:
        start_s, end_s = span_s
        sounds = container.streams.audio[:1]
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        heard: list[tuple[list[AudioFrame], float]] = []  # not before a picture is seen: there may be none
        aspect = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or Fraction(1)
        before: VideoFrame | None = None  # on screen when the part begins, if no frame begins just then
        before_until_s = 0.0
        seen = False
        for frame in _frames(_from_key_frame(container, [video, *sounds], first, start_s)[1]):
            at_s = float(frame.pts * frame.time_base) - first if frame.pts is not None and frame.time_base else 0.0
            if at_s >= end_s:
                if isinstance(frame, av.VideoFrame):
                    before_until_s = end_s
                    break
                continue
            if isinstance(frame, av.AudioFrame):
                if at_s >= start_s:
                    heard.append((resampler.resample(frame), at_s - start_s))
            elif at_s < start_s:
                before = frame
                before_until_s = at_s + float((frame.duration or 0) * (frame.time_base or 0))
            else:
                if before is not None and not seen and at_s > start_s:
                    self._show(before, aspect, 0.0)
                self._show(frame, aspect, at_s - start_s)
                seen = True
            if seen:
                self._hear(heard)
        if not seen and before is not None and start_s < before_until_s:
            self._show(before, aspect, 0.0)
            self._hear(heard)

    def _show(self, frame: VideoFrame, aspect: Fraction, at_s: float) -> None:
        orientation = Orientation.of(frame)
        size = display_size(frame.width, frame.height, aspect, orientation)
        if self._video is None:
            self._video = self._output.add_stream("libx264", options={"crf": QUALITY})
            self._video.width, self._video.height = (max(2, side // 2 * 2) for side in size)
            self._video.pix_fmt, self._video.time_base = "yuv420p", _TICK
            self._video.codec_context.time_base = _TICK
        pts = round((self._at_s + at_s) / _TICK)
        if pts <= self._last_pts:  # of a damaged video
            return
        fitted = _fit(frame, size, orientation, (self._video.width, self._video.height))
        fitted.pts, fitted.time_base, self._last_pts = pts, _TICK, pts
        self._output.mux(self._video.encode(fitted))

    def _hear(self, heard: list[tuple[list[AudioFrame], float]]) -> None:
        for frames, at_s in heard:
            self._be_silent_until(self._at_s + at_s, slack=RATE // 20)
            for frame in frames:
                self._write(frame)
        heard.clear()

    def _be_silent_until(self, time_s: float, slack: int = 0) -> None:
        missing = round(time_s * RATE) - self._samples
        while missing > slack:
            size = min(missing, 1024)
            self._write(av.AudioFrame.from_ndarray(np.zeros((2, size), np.float32), "fltp", "stereo"))
            missing -= size

    def _write(self, frame: AudioFrame) -> None:
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._samples, Fraction(1, RATE)
        self._samples += frame.samples
        self._unheard.append(frame)
        if self._video is not None:
            for waiting in self._unheard:
                self._output.mux(self._audio.encode(waiting))
            self._unheard.clear()


def _fit(frame: VideoFrame, size: tuple[int, int], orientation: Orientation, canvas: tuple[int, int]) -> VideoFrame:
    """A frame on a canvas, upright, scaled to fit, with black around it; `size`, as it is shown, is (width, height)."""
    hdr = is_hdr(frame)
    if (frame.width, frame.height) == size == canvas and orientation == Orientation() and not hdr:
        return frame.reformat(format="yuv420p")
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    width, height = (min(most, max(2, int(side * scale) // 2 * 2)) for side, most in zip(size, canvas, strict=True))
    stored = (height, width) if orientation.transpose else (width, height)
    small = to_srgb(frame, *stored) if hdr else frame
    pixels = small.reformat(*stored, "rgb24").to_ndarray()
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    picture = np.zeros((canvas[1], canvas[0], 3), np.uint8)
    for channel in range(3):
        picture[top : top + height, left : left + width, channel] = orientation.apply(
            pixels[..., channel].astype(np.uint8, copy=False)
        )
    return av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")


def _frames(packets: Iterator[Packet[Stream]]) -> Iterator[VideoFrame | AudioFrame]:
    for packet in packets:
        with suppress(av.InvalidDataError):  # what is damaged is left out
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame | av.AudioFrame):
                    yield frame


@contextmanager
def _open(source: Path) -> Iterator[tuple[InputContainer, VideoStream, float]]:
    """The container, its video stream, and when its first frame is shown, in seconds of the container's clock."""
    with av.open(f"file:{source}", metadata_errors="replace") as container:
        video = next(iter(container.streams.video), None)
        if video is None:
            raise MediaError("no video stream in this file")
        first = float((video.start_time or 0) * video.time_base) if video.time_base else 0.0
        yield container, video, first


@contextmanager
def _media_errors(source: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{source}: cannot be cut ({reason})") from error
