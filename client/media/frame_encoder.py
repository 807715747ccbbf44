"""Decoded frames become JPEGs as the model sees them, all of one size."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.filter

from client.media.jpeg import Orientation, display_size, encode_planes, fit_size, frame_planes
from client.media.sampling import Fit

if TYPE_CHECKING:
    from client.media.containers import Crop
    from client.media.opening import Opened
    from client.media.recent_frames import RecentFrames
    from client.media.sampling import Sampling


class FrameEncoder:
    """Takes JPEGs of decoded frames, all of one size."""

    def __init__(self, sampling: Sampling, recent: RecentFrames | None = None) -> None:
        """Frames are fitted to what `sampling` says of size and shape; `recent` is told of each."""
        self._sampling, self._recent = sampling, recent
        self._stored_size: tuple[int, int] | None = None
        self._target = (0, 0)
        self.shown_size = (0, 0)
        self.resized = False
        """Whether a frame was of another size than the first one."""

    def take(self, frame: av.VideoFrame, video: Opened) -> bytes:
        """A JPEG of a frame of `video`: cropped, upright, with square pixels, of the size of the first one."""
        stored = (frame.width, frame.height)
        if video.crop and stored == (video.stream.width, video.stream.height):
            frame = _cropped(frame, video.crop)
        orientation = Orientation.of(frame)
        if self._stored_size is None:
            self._stored_size = stored
            # What the container says comes first; the decoder knows its own only now.
            stream = video.stream
            aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
            self.shown_size = display_size(frame.width, frame.height, aspect, orientation)
            self._target = fit_size(*self.shown_size, self._sampling.edge, self._sampling.fit)
        self.resized = self.resized or stored != self._stored_size
        planes = frame_planes(frame, self._target, orientation, square=self._sampling.fit is Fit.PAD)
        jpeg = encode_planes(planes)
        if self._recent:
            self._recent.add(jpeg, planes)
        return jpeg


def _cropped(frame: av.VideoFrame, crop: Crop) -> av.VideoFrame:
    """What a crop leaves of a frame; nothing is copied but references."""
    width, height = frame.width - crop.left - crop.right, frame.height - crop.top - crop.bottom
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    graph.link_nodes(
        source, graph.add("crop", f"{width}:{height}:{crop.left}:{crop.top}:exact=1"), graph.add("buffersink")
    ).configure()
    graph.push(frame)
    cropped = graph.pull()
    if not isinstance(cropped, av.VideoFrame):
        raise TypeError(type(cropped))
    return cropped
