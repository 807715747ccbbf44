"""Animated pictures (GIF, WebP, APNG) as the videos that they are: sampled by their own timing.

Sequences of AVIF and HEIF are videos to FFmpeg; Pillow puts the others together.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from client.errors import MediaError
from client.media.content import Content, Facts, Frame, Probe
from client.media.image import MAX_PIXELS, picture_orientation, with_alpha_flag
from client.media.jpeg import Orientation, encode_planes, fit_size, frame_planes
from client.media.kinds import Kind
from client.media.picture_parts import frame_times, parts_of
from client.media.pixels import DECODER_ERRORS, check_size, srgb_picture
from client.media.sampling import Fit, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from client.media.content import Look, Span
    from client.media.jpeg import Planes
    from client.media.recent_frames import RecentFrames
    from client.media.sampling import Sampling

_FORMATS = ("GIF", "WEBP", "PNG")
_TICK = Fraction(1, 1000)
_HELD_FRAMES = 500


def load_animation(
    path: Path, sampling: Sampling, spans: Sequence[Look | Span | None], recent: RecentFrames | None = None
) -> Iterator[Content]:
    """Sample spans of an animation one after the other; None is all of it.

    Frames are put together from the first to the last one that is wanted, once for some `_HELD_FRAMES` of them: so many
    lie in memory at a time, as JPEGs of 30 to 50 kB. `recent` is told of each.

    Raises:
        MediaError: it cannot be decoded, or has too many pixels.
    """
    data = path.read_bytes()
    parts = parts_of(data)
    warnings = [] if parts.is_whole else ["cut off or damaged: frames may be missing or spoilt"]
    if data.startswith(b"RIFF") and not parts.is_whole:
        data = parts.essential
    del parts
    timeline = _timeline(frame_times(data))
    whole = len(timeline.shown)
    while True:
        groups = _groups(spans, timeline, sampling)
        last = max(max(wanted, default=0) for _, wanted in groups)
        # The first time as far as it is wanted at all: only then it is known how far it can be read.
        size, jpegs, readable = _decoded(data, groups[0][1], last, sampling, recent)
        if readable is None:
            break
        if not readable:
            raise MediaError("the animation cannot be decoded: cut off or damaged?")
        timeline = Timeline(timeline.shown[:readable], timeline.shown[readable], _TICK)
        warnings = [f"cut off: {readable} of {whole} frames can be read"]
    duration_s = float(timeline.seconds)
    facts = Facts(*size, round(duration_s, 3), round(len(timeline.shown) / duration_s, 3), len(timeline.shown))
    for number, (group, wanted) in enumerate(groups):
        if number:
            _, jpegs, _ = _decoded(data, wanted, max(wanted, default=0), sampling, recent)
        for span in group:
            remark = sampling.remark(timeline, span)
            frames = [
                Frame(timeline.pts_us(timeline.shown[index]), jpegs[index])
                for index in sampling.indices(timeline, span)
            ]
            yield Content(Kind.VIDEO, facts, frames, [*([remark] if remark else []), *warnings])


def _groups(
    spans: Sequence[Look | Span | None], timeline: Timeline, sampling: Sampling
) -> list[tuple[list[Look | Span | None], set[int]]]:
    """Spans that are decoded together, and the frames that they want."""
    groups: list[tuple[list[Look | Span | None], set[int]]] = [([], set())]
    for span in spans:
        wanted = set(sampling.indices(timeline, span))
        if groups[-1][0] and len(groups[-1][1] | wanted) > _HELD_FRAMES:
            groups.append(([], set()))
        groups[-1][0].append(span)
        groups[-1][1].update(wanted)
    return groups


def probe_animation(path: Path) -> Probe:
    """How long an animation is; nothing is decoded."""
    return Probe(round(_timeline(frame_times(path.read_bytes())).seconds * 1_000_000))


def _timeline(times_ms: list[int]) -> Timeline:
    ends = np.cumsum(times_ms, dtype=np.int64)
    return Timeline(array("q", (ends - times_ms).tobytes()), int(ends[-1]) if times_ms else 0, _TICK)


def _decoded(
    data: bytes, wanted: set[int], last: int, sampling: Sampling, recent: RecentFrames | None
) -> tuple[tuple[int, int], dict[int, bytes], int | None]:
    """The size as shown, the wanted frames by their index, and how many up to the `last` can be read if not all can."""
    jpegs: dict[int, bytes] = {}
    with suppress(*DECODER_ERRORS), Image.open(with_alpha_flag(data), formats=_FORMATS) as image:
        check_size(*image.size, MAX_PIXELS)
        orientation = picture_orientation(image)
        size = image.size[::-1] if orientation >= 5 else image.size
        target = fit_size(*size, sampling.edge, sampling.fit)
        # The picture of an APNG for those who know no animations is none of its frames.
        first = 1 if getattr(image, "default_image", False) else 0
        covered = np.zeros(image.size[::-1], bool)
        for index in range(last + 1):
            try:
                image.seek(index + first)
                image.load()
                left, top, right, bottom = getattr(image, "dispose_extent", None) or (0, 0, *image.size)
                covered[top:bottom, left:right] = True
                if index in wanted:
                    planes = _planes(_cleared(image, covered), target, orientation, sampling.fit)
                    jpegs[index] = encode_planes(planes)
                    if recent:
                        recent.add(jpegs[index], planes)
            except DECODER_ERRORS:
                return size, jpegs, index
        return size, jpegs, None
    return (0, 0), jpegs, 0


def _cleared(image: Image.Image, covered: NDArray[np.bool_]) -> Image.Image:
    """A frame that is transparent where none has drawn yet; Pillow shows the first colour of a GIF's palette there."""
    if covered.all():
        return image.copy()
    pixels = np.array(image.convert("RGBA"))
    pixels[~covered, 3] = 0
    return Image.fromarray(pixels)


def _planes(image: Image.Image, target: tuple[int, int], orientation: int, fit: Fit) -> Planes:
    picture = srgb_picture(image, target, "", orientation=orientation)
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
    return frame_planes(frame, target, Orientation(), square=fit is Fit.PAD)
