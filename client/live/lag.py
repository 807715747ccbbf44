"""How old a caption may be: one that would be older than that is left out, and never shown as if it were new."""

from __future__ import annotations

import math
import statistics
from collections import deque

PERIODS = 2
"""Of `--every`, or of the time that answers take where they take longer than these."""
_ANSWERS = 5
"""The newest, of which the middle one tells what the next one will take."""
_HEADROOM = 1.25
"""An answer may take so much longer than it usually does."""
_FRESH = 1 / 8
"""Of a period: a frame that is no older is new, however slow the model is."""


class LagBound:
    """Learns how long answers take, and says from that what is too old."""

    def __init__(self, every_s: float, most_s: float | None = None) -> None:
        """`most_s` holds whatever the model takes; else two periods, and the first answer has its time.

        A model that usually takes longer than that would never get to say anything: then it is twice its own time.
        """
        self._every_s, self._most_s = every_s, most_s
        self._took_s: deque[float] = deque(maxlen=_ANSWERS)

    @property
    def _usual_s(self) -> float | None:
        return statistics.median_low(self._took_s) if self._took_s else None

    @property
    def limit_s(self) -> float:
        """No caption is older than this, when it is there."""
        if self._most_s is not None:
            return self._most_s
        usual_s = self._usual_s
        if usual_s is None:
            return math.inf
        return PERIODS * (self._every_s if usual_s <= PERIODS * self._every_s else usual_s)

    @property
    def oldest_s(self) -> float:
        """Frames may be so old when they are asked about: the answer will be there in time."""
        if math.isinf(limit_s := self.limit_s):
            return limit_s
        return max(limit_s - _HEADROOM * (self._usual_s or 0.0), _FRESH * self._every_s)

    def answered(self, took_s: float) -> None:
        """An answer came."""
        self._took_s.append(took_s)

    def gave_up(self) -> None:
        """An answer was not waited for any longer: nobody knows what it would have taken."""
        self._took_s.append(math.inf)
