"""`--redo`: which answers are asked for again, once, also if it takes several runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.ledger.rows import StoredAnswer
    from client.tasks.plan import Request

REDO_FAILED, REDO_ALL = "failed", "all"


@dataclass(frozen=True, slots=True)
class Redo:
    """What is done again of a file: `failed`, `all`, or a task by its name."""

    what: str
    run: int = sys.maxsize
    """The one that began it: its answers, and those of later runs, are not asked for again."""

    def again(self, request: Request, answer: StoredAnswer) -> bool:
        """Is an answer to be asked for again?"""
        wanted = self.what in (REDO_ALL, request.task) or (self.what == REDO_FAILED and answer.state == "failed")
        return wanted and answer.run < self.run
