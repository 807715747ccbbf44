"""What a check is, and how it ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol


class State(enum.Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Outcome:
    """How a check ended, and what it says.

    Attributes:
        says: For people: what was found, or why it was not run.
        figures: The same for programs; each name ends in its unit.
    """

    state: State
    says: str
    figures: dict[str, float] = field(default_factory=dict)


def passed(says: str, **figures: float) -> Outcome:
    """What was checked holds."""
    return Outcome(State.PASS, says, figures)


def failed(says: str, **figures: float) -> Outcome:
    """What was checked does not hold."""
    return Outcome(State.FAIL, says, figures)


def not_run(why: str) -> Outcome:
    """Nothing was checked."""
    return Outcome(State.NOT_RUN, why)


class Check(Protocol):
    """One thing that must hold."""

    @property
    def group(self) -> str:
        """What it is about: a model, a part of the stack."""

    @property
    def name(self) -> str:
        """What must hold, in a few words; with the group, a name of its own."""

    def judge(self) -> Outcome:
        """Look, and say what was found."""
