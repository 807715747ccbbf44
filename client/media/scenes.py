"""A video is decoded once, scene by scene: its cuts are found, and of each scene a few frames are taken."""

from __future__ import annotations

from functools import partial
from itertools import chain
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from client.errors import MediaError
from client.media.content import Frame, Look, Scene, Span
from client.media.cuts import Shown, find_cuts
from client.media.frame_encoder import FrameEncoder
from client.media.frames import InOrder
from client.media.opening import opened
from client.media.sampling import Candidates
from client.media.video import USUAL_RATE, Taken, load_video, scan_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from fractions import Fraction
    from pathlib import Path

    import av

    from client.media.content import Content, SceneLooks
    from client.media.opening import Opened
    from client.media.recent_frames import RecentFrames
    from client.media.sampling import Sampling
    from client.media.video import Scan

# Of a scene so many bytes of frames are kept as they were decoded; larger frames are kept as JPEGs.
_DECODED_BYTES = 64 << 20


def load_scenes(
    path: Path, sampling: Sampling, looks: SceneLooks, recent: RecentFrames | None = None
) -> Iterator[Scene]:
    """The scenes of a video, each as soon as it ends, and then the whole of it, where that is wanted.

    Of a scene twice as many frames as are wanted lie in memory, and more only where a long one is cut in parts.
    `recent` is told of each that is encoded.

    Raises:
        MediaError: it holds no video, nothing of it can be decoded, or cuts cannot be found here.
    """
    with opened(path, quick=True) as (container, stream, _):
        found, _ = scan_video(container, stream)
    for strict in (True, False):
        decoding = _Decoding(path, found, sampling, looks, recent)
        yield from decoding.scenes(strict=strict)
        if decoding.count:
            break
    else:
        raise MediaError("the file is damaged: none of its frames can be decoded")
    of_whole = [Look(None, own) for own in looks.whole]
    yield from map(Scene, of_whole, decoding.whole() or load_video(path, sampling, of_whole))


class _Held(NamedTuple):
    """A frame that may be wanted: decoded, or as a JPEG."""

    time: int
    picture: av.VideoFrame | bytes


class _Part(NamedTuple):
    """A scene, or a part of one, and the frames that were chosen; times are ticks after the video's first frame."""

    start: int
    end: int | None
    """None: that of the video."""
    frames: dict[int | None, list[_Held]]
    """By how many were asked for."""


class _Begun:
    """A scene, or a part of one, that has not ended yet."""

    def __init__(self, start: int, tick: Fraction, samplings: Mapping[int | None, Sampling]) -> None:
        self._start, self._tick = start, tick
        self._candidates = {own: Candidates[_Held](sampling) for own, sampling in samplings.items()}

    def lasts(self, until: int, length_us: int) -> bool:
        """Whether it has lasted so long then."""
        return (until - self._start) * self._tick * 1_000_000 >= length_us

    def add(self, shown: Shown, hold: Callable[[], _Held]) -> None:
        """The next frame; `hold` is called if it may be wanted."""
        for candidates in self._candidates.values():
            candidates.offer((shown.time - self._start) * self._tick, hold)

    def until(self, end: int | None) -> _Part:
        """What it is if it ends then."""
        return _Part(self._start, end, {own: found.chosen() for own, found in self._candidates.items()})


class _Decoding:
    """A video that is decoded from its beginning to its end."""

    def __init__(
        self, path: Path, found: Scan, sampling: Sampling, looks: SceneLooks, recent: RecentFrames | None
    ) -> None:
        self._path, self._found, self._sampling = path, found, sampling
        self._samplings = {own: sampling.own(own) for own in looks.frames}
        self._bounds = looks.bounds
        self._tick = found.timeline.tick
        self._encoder = FrameEncoder(sampling, recent)
        self._looks = {Look(None, own): sampling.indices(found.timeline, Look(None, own)) for own in looks.whole}
        self._wanted = frozenset(chain(*self._looks.values()))
        self._taken: dict[int, Frame] = {}
        self._errors = self._last = 0
        self.count = 0
        """Frames that were decoded so far."""

    def scenes(self, *, strict: bool) -> Iterator[Scene]:
        """Decode it all."""
        with opened(self._path, strict=strict) as video:
            rate = video.stream.average_rate or video.stream.guessed_rate or USUAL_RATE
            decoder = InOrder(video.container, video.stream)
            marked = find_cuts(
                self._shown(decoder, video, rate), self._tick, rate, self._bounds.shortest_us / 1_000_000
            )
            for part in self._parts(marked, video):
                self._errors = decoder.errors
                # Rounded down, so that no frame of a scene is shown before it begins.
                start_us = floor(part.start * self._tick * 1_000_000)
                end_us = max(self._found.duration_us, self._us(self._last) + 1)
                if part.end is not None:
                    end_us = floor(part.end * self._tick * 1_000_000)
                for own, held in part.frames.items():
                    frames = [Frame(self._us(time), self._jpeg(picture, video)) for time, picture in held]
                    look = Look(Span(start_us, end_us), own)
                    yield Scene(look, self._content(look, frames))
            self._errors = decoder.errors

    def whole(self) -> list[Content] | None:
        """All of it, once it is decoded; None if its packets told of other frames."""
        if self.count != len(self._found.timeline.shown):
            return None
        return [self._content(look, [self._taken[index] for index in indices]) for look, indices in self._looks.items()]

    def _content(self, look: Look, frames: list[Frame]) -> Content:
        taken = Taken(self._found.timeline, frames)
        return self._found.content(self._encoder, self._sampling, look, taken, spoilt=bool(self._errors))

    def _shown(self, decoder: InOrder, video: Opened, rate: Fraction) -> Iterator[Shown]:
        """All frames, with their times; where the file tells none that can be right, one after the other."""
        # Without times that can be right, the timeline's are numbers of frames.
        numbers = isinstance(self._found.timeline.shown, range)
        step = 1 if numbers else max(1, round(1 / (rate * self._tick)))
        first: int | None = None
        for frame in decoder:
            time = self._last + step if self.count else 0
            if not numbers and frame.pts is not None:
                first = frame.pts if first is None else first
                if frame.pts - first > self._last:
                    time = frame.pts - first
            if self.count in self._wanted:
                self._taken[self.count] = Frame(self._us(time), self._encoder.take(frame, video))
            self.count += 1
            self._last = time
            yield Shown(time, frame)

    def _parts(self, marked: Iterable[tuple[Shown, bool]], video: Opened) -> Iterator[_Part]:
        """The scenes; a long one in parts, of which the last one is not shorter than scenes may be."""
        scene: _Begun | None = None
        part: _Part | None = None
        following: _Begun | None = None
        for shown, begins in marked:
            if scene is None or begins:
                if scene:
                    yield scene.until(shown.time)
                scene, part, following = _Begun(shown.time, self._tick, self._samplings), None, None
            elif following is None and scene.lasts(shown.time, self._bounds.longest_us):
                part, following = scene.until(shown.time), _Begun(shown.time, self._tick, self._samplings)
            elif part and following and following.lasts(shown.time, self._bounds.shortest_us):
                yield part
                scene, part, following = following, None, None
            for begun in (scene, following):
                if begun:
                    begun.add(shown, partial(self._hold, shown, video))
        if scene:
            yield scene.until(None)

    def _hold(self, shown: Shown, video: Opened) -> _Held:
        size = sum(plane.buffer_size for plane in shown.frame.planes)
        large = size * 2 * sum(own.most for own in self._samplings.values()) > _DECODED_BYTES
        return _Held(shown.time, self._encoder.take(shown.frame, video) if large else shown.frame)

    def _jpeg(self, picture: av.VideoFrame | bytes, video: Opened) -> bytes:
        return picture if isinstance(picture, bytes) else self._encoder.take(picture, video)

    def _us(self, time: int) -> int:
        return round(time * self._tick * 1_000_000)
