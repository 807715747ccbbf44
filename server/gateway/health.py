"""Whether a server behind the gateway is to be asked: what probes and requests say of it."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.gateway.config import Health


class Probed(enum.Enum):
    """The outcome of a probe: a GET of `/health`."""

    WELL = "well"
    SILENT = "silent"
    """No answer in time: it hangs, or is busy."""
    DOWN = "down"
    """Refused, or it says itself that it is not well."""


class HealthState(enum.IntEnum):
    """Whether a server is to be asked; the smaller the better."""

    GOOD = 0
    DOUBTFUL = 1
    """Asked only if there is no better one: it may be hanging, or only slow."""
    OUT = 2
    """It gets no request until it is well again."""


class CircuitBreaker:
    """Decides from probes and requests whether one server is to be asked."""

    def __init__(self, settings: Health, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells the time in seconds."""
        self._settings = settings
        self._clock = clock
        self._down = False
        self._silent = 0
        self._failures = 0
        self._times_opened = 0
        self._closed_until = 0.0

    @property
    def health_state(self) -> HealthState:
        """Whether the server is to be asked now."""
        return HealthState.OUT if self._down or self._clock() < self._closed_until else self.silence

    @property
    def silence(self) -> HealthState:
        """Whether it is to be asked, by its answers to probes alone: a server that hangs keeps its connections open."""
        if self._silent >= self._settings.dead_misses:
            return HealthState.OUT
        return HealthState.DOUBTFUL if self._silent >= self._settings.misses else HealthState.GOOD

    def probed(self, result: Probed) -> None:
        """Note the outcome of a probe."""
        self._down = result is Probed.DOWN
        self._silent = self._silent + 1 if result is Probed.SILENT else 0

    def heard(self) -> None:
        """Bytes of an answer have come: it may be slow to answer probes, but it does not hang."""
        self._silent = 0

    def answered(self) -> None:
        """Note that a request got its whole answer."""
        self._failures = self._times_opened = 0

    def refused(self) -> None:
        """It took no connection: left out until a probe succeeds."""
        self._down = True

    def broke(self) -> None:
        """A request broke off. Several in a row open the circuit, whatever the probes say, longer each time.

        Those that break while it is left out anyway broke for the same reason.
        """
        if self._down or self._clock() < self._closed_until:
            return
        self._failures += 1
        if self._failures >= self._settings.failures:
            wait_s = min(self._settings.open_s * 2**self._times_opened, self._settings.longest_open_s)
            self._closed_until = self._clock() + wait_s
            self._times_opened += 1
            self._failures = self._settings.failures - 1  # half open: the next one decides
