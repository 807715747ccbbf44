"""A video file becomes the few upright, small JPEG frames that the model sees."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import deque
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np

from client.errors import DamagedError, InexactError, MediaError
from client.media.content import Content, Facts, Frame, Probe
from client.media.frame_encoder import FrameEncoder
from client.media.frames import NO_TIME, IndexedDecoder, InOrder, Packets, scan
from client.media.kinds import Kind
from client.media.opening import opened
from client.media.sampling import Timeline

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from client.media.content import Look, Span
    from client.media.recent_frames import RecentFrames
    from client.media.sampling import Sampling

# A file that ends this much before its own header says was cut.
_MISSING_SHARE, _MISSING_S = 0.05, 0.5
# So many frames at the end old encoders announce in the header and do not write.
_MISCOUNTED_FRAMES = 2
# Of a damaged file, a decoder that hides errors is believed if it gives so many times the frames of a strict one.
_MARKEDLY_MORE = 1.02
USUAL_RATE = Fraction(25)
"""Frames a second of a file that says nothing of time."""
# JPEGs that lie in memory while a whole video is decoded, of 30 to 50 kB each.
_FRAMES_AT_ONCE = 1024


def load_video(
    path: Path, sampling: Sampling, spans: Sequence[Look | Span | None], recent: RecentFrames | None = None
) -> Iterator[Content]:
    """Sample spans of a video one after the other, after one scan of it; None is all of it.

    Of what is not sampled only the times are kept, about 70 bytes a frame: 13 MB for two hours. From the first span on
    that seeking does not give, all that are left are taken together, while the whole video is decoded once.
    `recent` is told of each frame that is encoded.

    Raises:
        MediaError: it holds no video, or nothing of a span can be decoded.
    """
    left = deque(spans)
    scan_result = yield from _by_seeking(path, sampling, left, recent)
    # Only now, when the other decoder is closed.
    while left:
        at_once = [left.popleft() for _ in range(min(len(left), max(1, _FRAMES_AT_ONCE // sampling.most)))]
        timeline = yield from _in_order(path, sampling, scan_result, at_once, recent)
        scan_result = scan_result._replace(timeline=timeline)


class Scan(NamedTuple):
    """What the packets of a video tell."""

    timeline: Timeline
    """Right nearly always."""
    duration: Fraction
    """Seconds; 0 where the file tells no times."""
    cut: str | None
    """A warning."""
    exact: bool
    """Whether the times are those of the frames; if not, only decoding tells them."""

    @property
    def duration_us(self) -> int:
        """The duration in microseconds."""
        return round(self.duration * 1_000_000)

    def content(
        self, encoder: FrameEncoder, sampling: Sampling, span: Look | Span | None, taken: Taken, *, spoilt: bool
    ) -> Content:
        """What was taken of a span, with the facts of the video and all warnings."""
        timeline, frames = taken
        warnings = ["damaged: not all of it can be decoded; frames may be missing or spoilt"] if spoilt else []
        if remark := sampling.remark(timeline, span):
            warnings.append(remark)
        if self.cut:
            warnings.append(self.cut)
        if encoder.resized:
            warnings.append(
                "the picture size changes within the video: all frames were brought to the first one's size"
            )
        facts = Facts(
            *encoder.shown_size,
            duration_sec=round(float(self.duration), 3) if self.duration else None,
            fps=round(float(len(timeline.shown) / self.duration), 3) if self.duration else None,
            frames=len(timeline.shown),
        )
        return Content(Kind.VIDEO, facts, frames, warnings)


class Taken(NamedTuple):
    """The frames of a span, and when those of the video are shown."""

    timeline: Timeline
    frames: list[Frame]


def _by_seeking(
    path: Path, sampling: Sampling, left: deque[Look | Span | None], recent: RecentFrames | None
) -> Generator[Content, None, Scan]:
    """Take spans from `left` as long as seeking gives them; returns what the packets tell.

    Raises:
        MediaError: the file holds no video, or nothing of it can be read.
    """
    with opened(path, quick=True) as video:
        container, stream, _ = video
        found, packets = scan_video(container, stream)
        try:
            decoder = IndexedDecoder(container, stream, packets)
            while left:
                encoder, errors = FrameEncoder(sampling, recent), decoder.errors
                timeline = found.timeline
                times = [timeline.shown[index] for index in sampling.indices(timeline, left[0])]
                frames = [
                    Frame(timeline.pts_us(frame.pts or 0), encoder.take(frame, video))
                    for frame in decoder.frames(times)
                ]
                spoilt = decoder.errors > errors
                yield found.content(encoder, sampling, left.popleft(), Taken(timeline, frames), spoilt=spoilt)
        except InexactError:
            return found._replace(exact=False)
        except (av.FFmpegError, DamagedError):
            pass
        return found


def _in_order(
    path: Path,
    sampling: Sampling,
    scan_result: Scan,
    spans: Sequence[Look | Span | None],
    recent: RecentFrames | None,
) -> Generator[Content, None, Timeline]:
    """Take spans while all of the video is decoded: once for all, if it is sound and its packets told the truth.

    Returns when frames are shown, as far as it is known now.

    Raises:
        MediaError: nothing of a span can be decoded.
    """
    encoder = FrameEncoder(sampling, recent)
    expected = scan_result.timeline
    strict = _WholeDecoding(path, encoder, strict=True)
    taken = strict.take(expected, sampling, spans, exact=scan_result.exact)
    spoilt = bool(strict.errors)
    # A decoder that gives up at an error may go on only at the next keyframe, which may be far.
    given_up = strict.errors and len(expected.shown) > _MARKEDLY_MORE * strict.frames
    if given_up or not all(of_span.frames for of_span in taken.values()):
        lenient = _WholeDecoding(path, encoder, strict=False)
        found = lenient.take(expected, sampling, spans, exact=scan_result.exact)
        spoilt = True
        whole = lenient.frames > _MARKEDLY_MORE * strict.frames
        taken = {span: found[span] if whole or not of_span.frames else of_span for span, of_span in taken.items()}
    for span in spans:
        if not taken[span].frames:
            raise MediaError("the file is damaged: none of its frames can be decoded")
        yield scan_result.content(encoder, sampling, span, taken[span], spoilt=spoilt)
    return taken[spans[0]].timeline


def probe_video(path: Path) -> Probe:
    """Read a video's packets, and decode none.

    Raises:
        MediaError: it holds no video, or nothing of it can be read.
    """
    with opened(path, quick=True) as (container, stream, _):
        found, _ = scan_video(container, stream)
        return Probe(found.duration_us)


def scan_video(container: InputContainer, stream: VideoStream) -> tuple[Scan, Packets]:
    """Read all packets of a video, and say what they tell.

    Raises:
        MediaError: there are none, or they are encrypted.
    """
    packets, clean = scan(container, stream)
    if not len(packets.pts):
        raise MediaError("the video stream holds no frames" if clean else "the file is damaged: nothing can be read")
    cut = _cut_short(container, stream, packets, clean)
    return Scan(_timeline(stream, packets), _duration(stream, packets), cut, exact=True), packets


class _WholeDecoding:
    """Takes the wanted frames while decoding all of them."""

    def __init__(self, path: Path, encoder: FrameEncoder, *, strict: bool) -> None:
        self._path, self._encoder, self._strict = path, encoder, strict
        self.errors = self.frames = 0

    def take(
        self, guess: Timeline, sampling: Sampling, spans: Sequence[Look | Span | None], *, exact: bool
    ) -> dict[Look | Span | None, Taken]:
        """The wanted frames of each span, and when they really are shown.

        `guess` is what the packets say, right nearly always; where it is not, a second pass knows better.
        If its times can be relied on (`exact`), then, of a file with errors, the frames at these times are taken, or
        the next ones that are left.
        """
        chosen = {span: sampling.indices(guess, span) for span in spans}
        times = {span: [guess.shown[index] for index in chosen[span]] for span in spans} if exact else {}
        timeline, by_index, by_time = self._decode(chain(*chosen.values()), chain(*times.values()))
        if times and self.errors:
            return {span: Taken(guess, _at_or_after(times[span], by_time, guess)) for span in spans}
        chosen = {span: sampling.indices(timeline, span) for span in spans}
        if others := set(chain(*chosen.values())) - by_index.keys():
            by_index |= self._decode(others, ())[1]
        return {
            span: Taken(
                timeline,
                [
                    Frame(timeline.pts_us(timeline.shown[index]), by_index[index])
                    for index in chosen[span]
                    if index in by_index
                ],
            )
            for span in spans
        }

    def _decode(
        self, indices: Iterable[int], times: Iterable[int]
    ) -> tuple[Timeline, dict[int, bytes], dict[int, bytes]]:
        """The timeline, and the frames that were wanted by their indices and by their times, with these."""
        seen = array("q")
        lasting = 0
        by_index, by_time = dict[int, bytes](), dict[int, bytes]()
        wanted_indices, wanted_times = _Wanted(indices), _Wanted(times)
        with opened(self._path, strict=self._strict) as video:
            stream = video.stream
            decoder = InOrder(video.container, stream)
            for frame in decoder:
                index, time = len(seen), NO_TIME if frame.pts is None else frame.pts
                at_index, at_time = wanted_indices.take(index), time != NO_TIME and wanted_times.take(time)
                if at_index or at_time:
                    jpeg = self._encoder.take(frame, video)
                    by_index |= {index: jpeg} if at_index else {}
                    by_time |= {time: jpeg} if at_time else {}
                seen.append(time)
                lasting = frame.duration
            self.errors, self.frames = decoder.errors, len(seen)
            return _line(np.frombuffer(seen, np.int64), lasting, stream), by_index, by_time


class _Wanted:
    """Positions at which frames are wanted, of frames that come in order: these frames, or the next ones after them."""

    def __init__(self, positions: Iterable[int]) -> None:
        self._waiting = sorted(set(positions), reverse=True)

    def take(self, position: int) -> bool:
        """Whether the frame at `position` is wanted; what it stands for is wanted no longer."""
        if not self._waiting or position < self._waiting[-1]:
            return False
        while self._waiting and self._waiting[-1] <= position:
            self._waiting.pop()
        return True


def _at_or_after(times: Iterable[int], jpegs: Mapping[int, bytes], timeline: Timeline) -> list[Frame]:
    """The frames at these times or next after them, each once, of `jpegs` by ascending time."""
    there = list(jpegs)
    indices = sorted({bisect_left(there, time) for time in times} - {len(there)})
    return [Frame(timeline.pts_us(there[index]), jpegs[there[index]]) for index in indices]


def _cut_short(container: InputContainer, stream: VideoStream, packets: Packets, clean: bool) -> str | None:
    """A warning where the file ends before its own header says."""
    there, promised = _duration(stream, packets), _promised(container, stream, packets)
    # An edit list may hide frames at both ends: they are counted and cannot be read, but the time is there.
    lacking = not promised or (promised - there) * len(packets.pts) > there
    if "mp4" in container.format.name and lacking and stream.frames > len(packets.pts) + _MISCOUNTED_FRAMES:
        return f"cut off: {len(packets.pts)} of {stream.frames} frames can be read"
    if promised - there > max(_MISSING_S, promised * _MISSING_SHARE):
        return f"cut off: {float(there):.1f} of {float(promised):.1f} seconds can be read"
    if container.format.name == "mpegts" and not _ends_whole(container.size - packets.position):
        return "cut off: the file ends in the middle of something"
    return None if clean else "cut off or damaged: read as far as possible"


def _ends_whole(length: int) -> bool:
    """Whether so many bytes of a transport stream are whole packets: plain, with a clock or with a checksum each."""
    return length % 188 == 0 or length % 192 == 0 or length % 204 == 0


def _promised(container: InputContainer, stream: VideoStream, packets: Packets) -> Fraction:
    """How many seconds the header speaks of; 0 where it says nothing, or of all streams together."""
    base = stream.time_base or Fraction(1)
    if stream.duration:
        return stream.duration * base
    # Matroska has the time of the end instead, which is later than the duration if the beginning is.
    start = int(min(packets.pts[packets.pts != NO_TIME], default=0)) * base
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds) - start
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base) - start
    return Fraction(0)


def _timeline(stream: VideoStream, packets: Packets) -> Timeline:
    """When the frames of these packets are shown."""
    return _line(*packets.shown(), stream)


def _line(times: NDArray[np.int64], lasting: int, stream: VideoStream) -> Timeline:
    """The timeline of these times; of as many frames at an even rate where the times cannot be right."""
    if len(times) and NO_TIME not in times and (times[:-1] < times[1:]).all():
        if not lasting and len(times) > 1:
            lasting = int(times[-1] - times[-2])
        return Timeline(array("q", times.tobytes()), int(times[-1]) + lasting, stream.time_base or Fraction(1))
    rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
    return Timeline(range(len(times)), len(times), 1 / rate)


def _duration(stream: VideoStream, packets: Packets) -> Fraction:
    """Seconds from the first frame shown to the end of the last one; 0 where the file tells no times."""
    times, lasting = packets.shown()
    times = times[times != NO_TIME]
    if not len(times):
        return Fraction(0)
    if not lasting and len(times) > 1:
        lasting = int(times[-1] - times[-2])
    return (int(times[-1] - times[0]) + lasting) * (stream.time_base or Fraction(1))
