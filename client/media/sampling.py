"""Which frames of a video the model sees, and how they are fitted to it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from client.media.content import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.media.content import Span

T = TypeVar("T")

FRAMES = 8
MAX_FRAMES = 16
"""LLaVA-NeXT-Video spends 144 tokens on a frame: 16 are 2304 of its 4096, and leave room for long answers."""


class Fit(StrEnum):
    """What becomes of a picture that is no square, for a model that sees squares."""

    CROP = "crop"
    """The short edge fits the square: the model's own processor cuts the long one, as in its training."""
    PAD = "pad"
    """The long edge fits the square, and the rest of it is filled: nothing is lost, all is smaller."""


class Timeline(NamedTuple):
    """When the frames of a video are shown: each one's time and the end of the last, in ticks of so many seconds."""

    shown: Sequence[int]
    end: int
    tick: Fraction

    @property
    def seconds(self) -> Fraction:
        """From the first frame to the end of the last one; 0 where nothing is known of time."""
        return (self.end - self.shown[0]) * self.tick if self.shown else Fraction(0)

    def pts_us(self, time: int) -> int:
        """Microseconds from the first frame shown to a time of this line."""
        return round((time - self.shown[0]) * self.tick * 1_000_000)

    def within(self, span: Span | None) -> tuple[Timeline, int]:
        """The part of it whose frames are on screen within `span`, and the index of the first of them.

        That begins with the first frame that is shown within it, unless there is none.
        """
        if span is None or not self.shown:
            return self, 0
        first, after = (
            bisect_left(self.shown, self.shown[0] + Fraction(at, 1_000_000) / self.tick)
            for at in (span.start_us, span.end_us)
        )
        if first == after:
            first = max(first - 1, 0)
            after = first + 1
        end = self.shown[after] if after < len(self.shown) else self.end
        return Timeline(self.shown[first:after], end, self.tick), first


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a video is looked at.

    `frames` of it, spread evenly; or, if that is given, the frames on screen `every` so many seconds, but at most
    `max_frames` of them. `edge` is the size of the square that the model sees, in pixels.
    """

    frames: int = FRAMES
    edge: int = 336
    every: Fraction | None = None
    max_frames: int = MAX_FRAMES
    fit: Fit = Fit.CROP
    scenes: bool = False
    """Whether spans are scenes, which are looked at before it is known when they end: see `Candidates`."""

    @property
    def most(self) -> int:
        """The most frames that are taken of a video."""
        return self.frames if self.every is None else self.max_frames

    def params(self) -> dict[str, Any]:
        """What makes another request of it, as JSON; a default that came later adds nothing to older ledgers."""
        params: dict[str, Any] = {"short_edge": self.edge}
        if self.every is None:
            params["frames"] = self.frames
        else:
            params |= {"every": str(self.every), "max_frames": self.max_frames}
        return params if self.fit is Fit.CROP else {**params, "fit": self.fit.value}

    def own(self, frames: int | None) -> Sampling:
        """The same with another number of frames, evenly spread, if one is given."""
        return self if frames is None else replace(self, frames=frames, every=None)

    def indices(self, timeline: Timeline, look: Look | Span | None) -> list[int]:
        """Those of the frames of `timeline` to look at for a span of it; None: for all of it."""
        if isinstance(look, Look):
            return self.own(look.frames).indices(timeline, look.span)
        span = look
        part, first = timeline.within(span)
        if span is None or not self.scenes:
            return [first + index for index in self.choose(part)[0]]
        candidates = Candidates[int](self)
        for index, time in enumerate(part.shown, first):
            candidates.offer((time - part.shown[0]) * part.tick, partial(int, index))
        return candidates.chosen()

    def remark(self, timeline: Timeline, look: Look | Span | None) -> str | None:
        """A warning where the frames of a span are not as asked for."""
        if isinstance(look, Look):
            return self.own(look.frames).remark(timeline, look.span)
        span = look
        return None if span and self.scenes else self.choose(timeline.within(span)[0])[1]

    def choose(self, timeline: Timeline) -> tuple[list[int], str | None]:
        """Indices of the frames to look at, ascending, each once; and a warning where it is not as asked for."""
        if self.every is None:
            return evenly(len(timeline.shown), self.frames), None
        spacing, warning = self.every, None
        asked = max(1, math.ceil(timeline.seconds / spacing))
        if asked > self.max_frames:
            spacing = timeline.seconds / self.max_frames
            warning = (
                f"a frame every {float(self.every):g} s would be {asked} of them: it is "
                f"{self.max_frames} (--max-frames), one every {round(float(spacing), 3):g} s"
            )
        return at_times(timeline, spacing, min(asked, self.max_frames)), warning


class Candidates(Generic[T]):
    """Frames of a scene of which it is not known how long it is.

    Every frame that is offered counts at first (or those that are due, if there is to be one `every` so many seconds),
    then every second, every fourth and so on: there are never more than twice as many as are wanted, and which of them
    are `chosen` depends on nothing but the times of the frames.
    """

    def __init__(self, sampling: Sampling) -> None:
        """Begin a scene."""
        self._most, self._every = sampling.most, sampling.every
        self._kept: list[T] = []
        self._offered, self._step = 0, 1
        self._due_s = Fraction(0)

    def offer(self, after_s: Fraction, take: Callable[[], T]) -> None:
        """The next frame, seconds after the first one of the scene; `take` is called if it is to be kept."""
        if self._every is not None:
            if after_s < self._due_s:
                return
            self._due_s = (after_s // self._every + 1) * self._every
        if self._offered % self._step == 0:
            self._kept.append(take())
            if len(self._kept) > 2 * self._most:
                del self._kept[1::2]
                self._step *= 2
        self._offered += 1

    def chosen(self) -> list[T]:
        """The frames to look at if the scene ends here."""
        return [self._kept[index] for index in evenly(len(self._kept), self._most)]


def evenly(available: int, wanted: int) -> list[int]:
    """Indices of `wanted` frames spread over `available` ones, first and last among them, each once.

    `int(linspace(0, n - 1, N))`, as LLaVA-NeXT-Video was trained and as vLLM samples.
    """
    if available <= wanted:
        return list(range(available))
    if wanted == 1:
        return [0]
    step = (available - 1) / (wanted - 1)
    return [*(int(index * step) for index in range(wanted - 1)), available - 1]


def at_times(timeline: Timeline, spacing: Fraction, count: int) -> list[int]:
    """Indices of the frames on screen at 0, `spacing`, 2 * `spacing` ... seconds after the first, each once."""
    shown = timeline.shown
    # Containers round time stamps, to a millisecond at the worst: a frame that is due at the very instant is on screen.
    rounding = min(Fraction(1, 2), Fraction(1, 2000) / timeline.tick)
    instants = (shown[0] + number * spacing / timeline.tick + rounding for number in range(count)) if shown else ()
    return sorted({bisect_right(shown, instant) - 1 for instant in instants})
