"""What loading a file gives: facts for the record and JPEGs for the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
class Content:
    """A loaded file: one JPEG for a picture, one for each sampled frame of a video, in order."""

    kind: Kind
    facts: Facts
    jpegs: list[bytes]
    warnings: list[str] = field(default_factory=list)
