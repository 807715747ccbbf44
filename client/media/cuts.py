"""The cuts of a video, as PySceneDetect finds them in frames that are decoded anyway."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from av.video.reformatter import Interpolation, VideoReformatter

from client.errors import MediaError
from client.hints import install

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    import av
    from scenedetect.common import FrameTimecode

_WIDTH = 256
"""To which PySceneDetect scales frames down before it compares them (`DEFAULT_MIN_WIDTH`)."""


class Shown(NamedTuple):
    """A decoded frame, and when it is shown: ticks after the first one."""

    time: int
    frame: av.VideoFrame


def find_cuts(
    frames: Iterable[Shown], tick: Fraction, rate: Fraction, shortest_s: float
) -> Iterator[tuple[Shown, bool]]:
    """Give each frame, a little later than it came, and whether a scene begins with it.

    It is PySceneDetect's `AdaptiveDetector` with its defaults: a cut is a change between two frames that is much larger
    than those around it. None is found within `shortest_s` seconds of the last one. `tick` is that of the times, in
    seconds; `rate` the video's, in frames a second.

    Raises:
        MediaError: PySceneDetect is not installed here.
    """
    try:
        # Imported late: it takes OpenCV, and most runs ask about no scenes.
        from scenedetect.common import FrameTimecode, Timecode  # noqa: PLC0415
        from scenedetect.detectors import AdaptiveDetector  # noqa: PLC0415
    except ImportError as error:
        raise MediaError(f"scenes cannot be found ({error}): {install('scenes')}") from error
    detector = AdaptiveDetector(min_scene_len=shortest_s)
    waiting: deque[tuple[FrameTimecode, Shown]] = deque()
    cuts: list[FrameTimecode] = []

    def next_frame() -> tuple[Shown, bool]:
        time, shown = waiting.popleft()
        begins = time in cuts
        if begins:
            cuts.remove(time)
        return shown, begins

    size: tuple[int, int] | None = None
    scaler = VideoReformatter()  # each frame would keep one of its own
    for shown in frames:
        size = size or _small_size(shown.frame)
        small = scaler.reformat(shown.frame, *size, "bgr24", interpolation=Interpolation.FAST_BILINEAR, threads=1)
        time = FrameTimecode(Timecode(shown.time, tick), rate)
        cuts += detector.process_frame(time, small.to_ndarray())
        waiting.append((time, shown))
        if len(waiting) > detector.event_buffer_length:
            yield next_frame()
    while waiting:
        yield next_frame()


def _small_size(frame: av.VideoFrame) -> tuple[int, int]:
    scale = max(1.0, frame.width / _WIDTH)
    return round(frame.width / scale), max(1, round(frame.height / scale))
