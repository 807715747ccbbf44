"""How patient the supervisor is, and how it keeps logs: the `[supervisor]` table of a profile."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from server.settings import Settings


class Policy(Settings, frozen=True, kw_only=True):
    """How parts are probed, restarted and given up, and how their logs are kept."""

    probe_every_s: float = 2.0
    starting_probe_every_s: float = 0.1
    probe_timeout_s: float = 10.0
    failures: int = 3
    """Probes in a row that must fail before a running part counts as hung. One that is not answered in time counts
    only if the part does nothing meanwhile: engines answer between two steps, and steps may be long."""
    longest_step_s: float = 600.0
    """How long an engine may take for one step, and any part be silent, however busy it is."""
    memory_every_s: float = 10.0
    """How often the memory of a part is looked at."""
    backoff_s: float = 0.5
    """Before the first restart; doubles with each further crash."""
    longest_backoff_s: float = 30.0
    well_s: float = 300.0
    """After so long without a crash the earlier ones are forgotten."""
    crashes: int = 5
    """So many within `crash_window_s` and the part is given up."""
    crash_window_s: float = 900.0
    log_json: bool = False
    """Logs as JSON lines: time, part, level, message."""
    log_max_mib: int = 64
    """A log is begun anew when it has grown so large."""
    log_keep: int = 3
    """Older logs that are kept, for each part."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if name != "log_json" and getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass
class Crashes:
    """The recent crashes of one part, and what follows of them."""

    policy: Policy
    times: deque[float] = field(default_factory=deque)
    excused: int = 0
    """Crashes so far that were no fault of its own."""

    def add(self, now: float, lived_s: float) -> float | None:
        """Note a crash.

        Args:
            now: On any clock that runs steadily.
            lived_s: How long the part had been well, 0 if it never was.

        Returns:
            Seconds to wait before the next start; None: it has crashed too often.
        """
        policy = self.policy
        if lived_s >= policy.well_s:
            self.times.clear()
        while self.times and self.times[0] <= now - policy.crash_window_s:
            self.times.popleft()
        self.times.append(now)
        return self._wait_s()

    def excuse(self, poisoned: int) -> float | None:
        """Forget the latest crashes that were no fault of its own; `poisoned`: how many there were so far in all.

        Returns:
            As `add`.
        """
        for _ in range(min(poisoned - self.excused, len(self.times))):
            self.times.pop()
        self.excused = poisoned
        return self._wait_s()

    def _wait_s(self) -> float | None:
        policy = self.policy
        if len(self.times) >= policy.crashes:
            return None
        return min(policy.backoff_s * 2.0 ** max(0, len(self.times) - 1), policy.longest_backoff_s)
