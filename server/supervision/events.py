"""The supervisor's own log: one JSON object for each thing that happens to a part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.supervision.logs import PartLog

if TYPE_CHECKING:
    from pathlib import Path

    from server.supervision.policy import Policy
    from server.supervision.supervisor import Keeper, Reporter


class EventLog:
    """A reporter that writes `supervisor.log`, and tells another one too."""

    def __init__(self, logs: Path, policy: Policy, other: Reporter) -> None:
        """`logs` is the folder."""
        self._log = PartLog(logs / "supervisor.log", policy)
        self._other = other

    def changed(self, keeper: Keeper) -> None:
        """State or stage of a part is another."""
        self._log.write_event(
            part=keeper.part.name,
            event=keeper.state.value,
            stage=keeper.stage,
            pid=keeper.pid,
            restarts=keeper.restarts,
        )
        self._other.changed(keeper)

    def crashed(self, keeper: Keeper, reason: str, tail: str) -> None:
        """A part has ended or hangs."""
        self._log.write_event(
            part=keeper.part.name, event="crashed", level="ERROR", reason=reason, state=keeper.state.value, tail=tail
        )
        self._other.crashed(keeper, reason, tail)

    def close(self) -> None:
        """Close the file."""
        self._log.close()
