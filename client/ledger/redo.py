"""`--redo`: which answers are asked for again, once, also if it takes several runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass

REDO_FAILED, REDO_DOUBTFUL, REDO_ALL = "failed", "doubtful", "all"


@dataclass(frozen=True, slots=True)
class Redo:
    """What is done again of a file: `failed`, `doubtful`, `all`, or a task by its name."""

    what: str
    run: int = sys.maxsize
    """The one that began it: its answers, and those of later runs, are not asked for again."""

    def again(self, task: str, state: str, verdict: str | None, run: int) -> bool:
        """Whether an answer to `task` is to be asked for again, that is in this state and came in this run."""
        wanted = (
            self.what in (REDO_ALL, task)
            or (self.what == REDO_FAILED and state == "failed")
            or (self.what == REDO_DOUBTFUL and verdict == "doubtful")
        )
        return wanted and run < self.run
