"""A task of two steps: windows of a video's time, and a merge of what was said about them.

As a program it is the batch client with this task: `python two_steps.py PATH ...`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from client.media.kinds import Kind
from client.tasks.merge import ANSWERS
from client.tasks.prompt import Prompt
from client.tasks.steps import Step, merge, windows
from client.tasks.tasks import Task

if TYPE_CHECKING:
    from pathlib import Path

WINDOW_S = 1.5
TASK = Task(
    "story",
    "story",
    {
        Kind.VIDEO: (
            Step(Prompt("What happens here?", max_tokens=50), windows(WINDOW_S), "scenes"),
            Step(Prompt(f"Tell it as one story:\n{ANSWERS}", max_tokens=80), merge("scenes")),
        )
    },
)


def choose(_: list[str], __: list[str], ___: Path | None = None, *____: object) -> list[Task]:
    return [TASK]


if __name__ == "__main__":
    import client.api.options
    from client.batch import main

    client.api.options.choose_tasks = choose
    sys.exit(main(sys.argv[1:]))
