"""Slow or hung: what a part that does not answer is doing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from server.sizing.machine import tree_activity
from server.supervision.heartbeat import BEAT_EVERY_S, read_beats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEAST_CPU = 0.05
"""Of a core: less is what a part takes to be asked, and to write its log."""
STALE_S = 10 * BEAT_EVERY_S
"""A process whose heartbeat is older does not run."""


class Progress:
    """Tells whether a part that is silent works."""

    def __init__(
        self, pid: int, heartbeat: Path | None, longest_step_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Of the process `pid` and all below it; `longest_step_s` is how long one step may take, whatever it does."""
        self._pid = pid
        self._heartbeat = heartbeat
        self._longest_step_s = longest_step_s
        self._clock = clock
        self._looked: tuple[float, dict[int, float]] | None = None
        self._steps = 0
        self._silent_since: float | None = None

    def answered(self) -> None:
        """It has answered: what it did before no longer matters."""
        self._looked = self._silent_since = None

    def works(self) -> bool:
        """Whether it does something, now that it has not answered in time.

        It does while no process of it is stopped, and its heartbeat says that a step is going on, or one of its
        processes uses a CPU; for `longest_step_s` since the last step ended or the last answer came.
        """
        now = self._clock()
        stopped, cpu_s = tree_activity(self._pid)
        looked, self._looked = self._looked, (now, cpu_s)
        if self._silent_since is None:
            self._silent_since = now
        beats = [beat for beat in read_beats(self._heartbeat) if beat.pid in cpu_s] if self._heartbeat else []
        if (steps := sum(beat.steps for beat in beats)) != self._steps:
            self._steps, self._silent_since = steps, now
        if stopped or now - self._silent_since > self._longest_step_s:
            return False
        for beat in beats:
            if beat.step_began and now - beat.at < STALE_S:
                return now - beat.step_began <= self._longest_step_s
        return looked is not None and _used(looked[1], cpu_s) >= LEAST_CPU * (now - looked[0])


def _used(before: dict[int, float], after: dict[int, float]) -> float:
    """The most CPU time that one process has used, in seconds."""
    return max((cpu_s - before[pid] for pid, cpu_s in after.items() if pid in before), default=0.0)
