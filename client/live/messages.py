"""What the process that reads a source and the one that asks tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.live.source import LiveSource
    from client.media.content import Facts, Frame
    from client.media.sampling import Sampling

LONGEST_PIECE_S = 8.0
"""Of sound: what is said first in a piece waits so long to be heard."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read, and how."""

    source: LiveSource
    sampling: Sampling
    """Of its `frames` the newest `span_us` are shown."""
    span_us: int
    hears: bool
    """Whether its sound is wanted too."""
    began_s: float
    """Where the clock of all times begins: of `time.monotonic`, which all processes share."""
    open_s: float
    """How long opening may take."""
    read_s: float
    """How long nothing may come."""


@dataclass(frozen=True, slots=True)
class Began:
    """The first frame was decoded."""

    facts: Facts
    format: str
    sound: bool
    """Whether there is sound that can be decoded."""
    pts_s: float | None
    """The source's own time of the first frame, which is at `at_us`."""
    at_us: int


@dataclass(frozen=True, slots=True)
class Busy:
    """What was written of a file before is being read: the newest frames are not there yet."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Asks for the newest frames."""

    oldest_s: float
    """An older one is too old for a caption: a newer one is waited for, a moment."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The newest frames; times are of the clock of the session."""

    frames: list[Frame]
    start_us: int
    end_us: int
    shown_s: float
    """When the newest frame came: of `time.monotonic`."""
    received: int
    """Frames that came by then, of this connection."""
    dropped: int
    """Of these: those of times that no caption is about."""
    is_old: bool = False
    """Whether they are older than what was wanted, as where the source was lost meanwhile."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes."""

    reason: str
    """In words; empty: it came to its end."""
    final: bool = False
    """Whether another try would end in the same way."""
