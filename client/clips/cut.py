"""Cuts a part out of a video: as it is, from a key frame on, or exactly, encoded anew."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import av
import numpy as np

from client.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RATE = 48_000
"""Samples a second of the sound of what is encoded anew."""
QUALITY = "18"
"""x264's CRF: hardly to be told from the source."""
_TICK = Fraction(1, 90_000)


def copy_part(source: Path, target: Path, start_s: float, end_s: float) -> float:
    """Copy the packets from the last key frame before `start_s` to `end_s`; returns when that key frame is shown.

    Raises:
        MediaError: the source cannot be read, or the container of `target` does not take its codecs.
    """
    with _media_errors(source), _open(source) as (container, video, first):
        streams = [video, *container.streams.audio[:1]]
        with av.open(str(target), "w") as output:
            copies = {stream.index: output.add_stream_from_template(stream) for stream in streams}
            _seek(container, video, first + start_s)
            began: float | None = None
            for packet in container.demux(*streams):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                shown = float(packet.pts * packet.time_base) - first
                if packet.stream is video and began is None and packet.is_keyframe:
                    began = shown
                if began is None or (packet.stream is not video and shown < began):
                    continue
                if shown >= end_s:
                    if packet.stream is video and packet.is_keyframe:
                        break
                    continue
                shift = round((first + began) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
    if began is None:
        raise MediaError(f"there is no key frame before {start_s:g} s")
    return began


class Reel:
    """A video that parts of others are encoded into, one after the other, in the size of the first one."""

    def __init__(self, target: Path) -> None:
        """Write to `target`, whose suffix names the container."""
        self._target = target
        self._stack = ExitStack()
        self._video: VideoStream | None = None
        self._at_s = 0.0
        self._samples = 0
        self._unheard: list[AudioFrame] = []
        """Sound from before the first picture: no packet can be written until there is a stream for pictures."""

    def __enter__(self) -> Self:
        """Open the target."""
        self._output = self._stack.enter_context(av.open(str(self._target), "w"))
        self._audio: AudioStream = self._output.add_stream("aac", RATE, layout="stereo")
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
        with _media_errors(source), _open(source) as (container, video, first):
            sound = next(iter(container.streams.audio), None)
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
            _seek(container, video, first + start_s)
            shown: VideoFrame | None = None
            shown_until_s = 0.0
            added = 0
            for frame in _frames(container, video, sound):
                at_s = float(frame.pts * frame.time_base) - first if frame.pts is not None and frame.time_base else 0.0
                if at_s >= end_s:
                    if isinstance(frame, av.VideoFrame):
                        shown_until_s = end_s
                        break
                    continue
                if isinstance(frame, av.AudioFrame):
                    if at_s >= start_s:
                        self._hear(resampler.resample(frame), at_s - start_s)
                    continue
                if at_s < start_s:
                    shown = frame  # on screen when the part begins, if none begins just then
                    shown_until_s = at_s + float((frame.duration or 0) * (frame.time_base or 0))
                    continue
                if shown is not None and added == 0 and at_s > start_s:
                    self._show(shown, 0.0)
                    added += 1
                self._show(frame, at_s - start_s)
                added += 1
            if added == 0 and shown is not None and start_s < shown_until_s:
                self._show(shown, 0.0)
                added = 1
            if added == 0:
                raise MediaError(f"nothing is shown from {start_s:g} to {end_s:g} s")
        self._at_s += end_s - start_s
        self._be_silent_until(self._at_s)

    def _show(self, frame: VideoFrame, at_s: float) -> None:
        if self._video is None:
            self._video = self._output.add_stream("libx264", options={"crf": QUALITY})
            self._video.width, self._video.height = frame.width // 2 * 2, frame.height // 2 * 2
            self._video.pix_fmt, self._video.time_base = "yuv420p", _TICK
            self._video.codec_context.time_base = _TICK
        fitted = _fit(frame, self._video.width, self._video.height)
        fitted.pts, fitted.time_base = round((self._at_s + at_s) / _TICK), _TICK
        self._output.mux(self._video.encode(fitted))

    def _hear(self, frames: list[AudioFrame], at_s: float) -> None:
        self._be_silent_until(self._at_s + at_s, slack=RATE // 20)
        for frame in frames:
            self._write(frame)

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


def _fit(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """A frame on a canvas of this size, scaled to fit, with black around it."""
    if (frame.width, frame.height) == (width, height):
        return frame.reformat(format="yuv420p")
    scale = min(width / frame.width, height / frame.height)
    inner = [max(2, int(side * scale) // 2 * 2) for side in (frame.width, frame.height)]
    picture = frame.reformat(inner[0], inner[1], "rgb24").to_ndarray()
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = picture
    return av.VideoFrame.from_ndarray(canvas, "rgb24").reformat(format="yuv420p")


def _frames(
    container: InputContainer, video: VideoStream, sound: AudioStream | None
) -> Iterator[VideoFrame | AudioFrame]:
    for packet in container.demux(video, *([sound] if sound else [])):
        with suppress(av.InvalidDataError):  # what is damaged is left out
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame | av.AudioFrame):
                    yield frame


def _seek(container: InputContainer, video: VideoStream, time_s: float) -> None:
    assert video.time_base is not None
    container.seek(max(round(time_s / video.time_base), video.start_time or 0), stream=video, backward=True)


@contextmanager
def _open(source: Path) -> Iterator[tuple[InputContainer, VideoStream, float]]:
    """The container, its video stream, and when its first frame is shown, in seconds of the container's clock."""
    with av.open(str(source)) as container:
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
