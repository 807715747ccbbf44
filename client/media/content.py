"""What loading a file gives: facts for the record, and frames for the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from client.media.kinds import Kind


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file, as shown on a screen: turned upright, with square pixels.

    `duration_sec`, `fps` (frames a second, averaged) and `frames` (those displayed) are of videos only.
    """

    width: int
    height: int
    duration_sec: float | None = None
    fps: float | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What the packets of a video tell without decoding any."""

    duration_us: int
    """From the first frame displayed to the end of the last one; 0 where the file tells no times."""


class Span(NamedTuple):
    """A part of a video's time, half open, in microseconds; 0 is when its first frame is displayed."""

    start_us: int
    end_us: int

    def __str__(self) -> str:
        """In seconds: `4.0-8.5 s`."""
        return f"{self.start_us / 1e6:.1f}-{self.end_us / 1e6:.1f} s"


class Frame(NamedTuple):
    """A frame as the model gets it."""

    pts_us: int
    """When it is displayed: microseconds after the video's first displayed frame; 0 of a picture."""
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What was loaded of a file: one frame of a picture; the sampled ones of a video, or of a span of it."""

    kind: Kind
    facts: Facts
    frames: list[Frame]
    warnings: list[str] = field(default_factory=list)

    @property
    def jpegs(self) -> list[bytes]:
        """The pictures of the frames."""
        return [frame.jpeg for frame in self.frames]
