"""How a video is looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a video is looked at: `frames` of it, their short edge at most `short_edge` pixels."""

    frames: int = 8
    short_edge: int = 336
