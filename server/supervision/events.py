"""The supervisor's own log: one JSON object for each thing that happens to a part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.supervision.logs import PartLog

if TYPE_CHECKING:
    from pathlib import Path

    from server.policy import Policy
    from server.supervision.supervisor import ProcessSupervisor, Reporter


class EventLog:
    """A reporter that writes `supervisor.log`, and tells another one too."""

    def __init__(self, logs: Path, policy: Policy, other: Reporter) -> None:
        """`logs` is the folder."""
        self._log = PartLog(logs / "supervisor.log", policy)
        self._other = other

    def changed(self, supervisor: ProcessSupervisor) -> None:
        """The state or the stage of a part has changed."""
        self._log.write_event(
            part=supervisor.part.name,
            event=supervisor.state.value,
            stage=supervisor.stage,
            pid=supervisor.pid,
            restarts=supervisor.restarts,
        )
        self._other.changed(supervisor)

    def crashed(self, supervisor: ProcessSupervisor, reason: str, tail: str) -> None:
        """A part has ended or hangs."""
        self._log.write_event(
            part=supervisor.part.name,
            event="crashed",
            level="ERROR",
            reason=reason,
            state=supervisor.state.value,
            tail=tail,
        )
        self._other.crashed(supervisor, reason, tail)

    def close(self) -> None:
        """Close the file."""
        self._log.close()
