"""When frames are displayed, on one clock for all of a session, whatever the source says of time."""

from __future__ import annotations

from typing import NamedTuple

from client.live.source import Pace

_JUMP_S = 10.0
"""A source whose time goes further than this in one step, or back, has begun a new one."""
_BEHIND_S, _LONGEST_BEHIND_S = 1.0, 5.0
"""A frame that comes so much later than the earliest did is decoded too late; if that stays, the source is later."""
_STALL_S = 1.0
"""Of a source that is shown by its own clock: more is a stall, after which it goes on from where it is."""


_EARLIER_S, _SETTLED_S = 0.02, 0.25
"""As long as each frame comes so much earlier than the one before, they lay somewhere: none of them is the newest."""


class Placed(NamedTuple):
    """When a frame is displayed."""

    local_s: float
    """On the clock of the source, made one that never jumps."""
    wait_s: float
    """It is not due before."""


class FrameClock:
    """Follows the time of a source, and what the session's time is ahead of that."""

    def __init__(self, pace: Pace) -> None:
        """Nothing is known yet."""
        self._pace = pace
        self._base_s = 0.0
        """What the local time is ahead of the source's own, since its last jump."""
        self._last_s: float | None = None
        self._behind_since_s: float | None = None
        self._earlier_s = 0.0
        """When a frame came that was earlier than all before it."""
        self.is_settled = False
        """Whether frames come as they are made: not at first, while those come that lay in buffers or a file."""
        self.offset_s = 0.0
        """What the session's time is ahead of the local one: of the frame that came the earliest."""

    @property
    def is_behind(self) -> bool:
        """Whether frames come that are late: decoding is too slow, or catches up after a pause of the network."""
        return self._behind_since_s is not None

    def place(self, pts_s: float | None, now_s: float) -> Placed:
        """A frame that the source shows at `pts_s`, which came at `now_s` of the session."""
        first = self._last_s is None
        last_s = now_s if self._last_s is None else self._last_s
        local_s = now_s - self.offset_s if pts_s is None else pts_s + self._base_s
        if first or not last_s < local_s < last_s + _JUMP_S:
            # In the place of what came before, and as much later as it came later.
            local_s = now_s if first else max(now_s - self.offset_s, last_s + 1e-6)
            self._base_s = local_s - pts_s if pts_s is not None else 0.0
        self._last_s = local_s
        offset_s = now_s - local_s
        if first:
            self.offset_s, self._earlier_s = offset_s, now_s
            self.is_settled = self._pace is Pace.CLOCK
        elif self._pace is Pace.CLOCK:
            if offset_s - self.offset_s > _STALL_S:
                self.offset_s = offset_s
        else:
            self._follow(offset_s, now_s)
        return Placed(local_s, max(0.0, local_s + self.offset_s - now_s) if self._pace is Pace.CLOCK else 0.0)

    def of_sound(self, pts_s: float) -> float | None:
        """When sound is heard, on the local clock; None before the first frame."""
        return None if self._last_s is None else pts_s + self._base_s

    def _follow(self, offset_s: float, now_s: float) -> None:
        """Frames are shown no later than they came, and as much earlier as they were held up."""
        late_s = offset_s - self.offset_s
        if late_s < -_EARLIER_S:
            self._earlier_s = now_s
        self.is_settled = self.is_settled or now_s - self._earlier_s >= _SETTLED_S
        if late_s <= _BEHIND_S:
            self._behind_since_s = None
            self.offset_s = min(offset_s, self.offset_s)
        elif self._behind_since_s is None:
            self._behind_since_s = now_s
        elif now_s - self._behind_since_s >= _LONGEST_BEHIND_S:
            self._behind_since_s = None
            self.offset_s = offset_s
