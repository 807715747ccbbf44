"""The newest frames of a source, as few of them as are needed to choose from."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from client.media.sampling import evenly

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

_FOR_EACH = 2
"""Frames that are kept for each that is wanted, so that those which are chosen are evenly spread."""


class Kept(NamedTuple, Generic[T]):
    """A frame that may be chosen."""

    number: int
    """Of all that came, from 0."""
    at_us: int
    frame: T


class Newest(Generic[T]):
    """Frames of the last `span_us` microseconds: the newest, and of those that come close to each other the first.

    So memory holds some `2 * frames + 2` decoded frames, whatever the rate of the source is.
    """

    def __init__(self, frames: int, span_us: int) -> None:
        """`frames` are wanted of that time."""
        self._frames, self._span_us = frames, span_us
        self._spacing_us = span_us // (_FOR_EACH * max(frames, 2))
        self._kept: deque[Kept[T]] = deque()
        self._newest: Kept[T] | None = None
        self._taken = self._covered = -1
        """The number of the newest frame that was ever chosen, and of the newest that a caption is about."""
        self._dropped = 0
        self.since_us = 0
        """Where the time begins that the last choice covers."""

    @property
    def received(self) -> int:
        """How many frames came."""
        return self._newest.number + 1 if self._newest else 0

    @property
    def has_new(self) -> bool:
        """Whether any came since the last choice."""
        return self.received - 1 > self._taken

    @property
    def is_full(self) -> bool:
        """Whether they reach over all of the time."""
        oldest, newest = (self._kept[0] if self._kept else None), self._newest
        return bool(oldest and newest and newest.at_us - oldest.at_us >= self._span_us - self._spacing_us)

    def add(self, at_us: int, frame: T) -> None:
        """A frame, displayed at a time that is later than that of all before it."""
        self._newest = Kept(self.received, at_us, frame)
        if not self._kept or at_us - self._kept[-1].at_us >= self._spacing_us:
            self._kept.append(self._newest)
        while len(self._kept) > 1 and self._kept[1].at_us <= at_us - self._span_us:
            self._kept.popleft()

    @property
    def dropped(self) -> int:
        """Frames of times that no caption is about, since the first one, or would be if no further one came."""
        return self._dropped + self._taken - self._covered

    def choose(self, *, for_caption: bool = True) -> Sequence[Kept[T]]:
        """Those that are evenly spread over the time, the newest one last; none where none came."""
        if self._newest is None:
            return []
        both = [*(kept for kept in self._kept if kept.number != self._newest.number), self._newest]
        self._taken, self.since_us = self._newest.number, both[0].at_us
        if for_caption:
            if self._covered >= 0:
                self._dropped += max(0, both[0].number - self._covered - 1)
            self._covered = self._taken
        return both[-1:] if self._frames == 1 else [both[index] for index in evenly(len(both), self._frames)]
