"""The sweep of tasks against the real demo stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.benchmarks.common.report import Report
from scripts.benchmarks.scale.__main__ import TOKENS, Bench, Effort

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.demo.stack import Stack

SMALL = Effort(
    rounds=1,
    files=(1,),
    lengths_s=(1,),
    copies=1,
    languages=(1,),
    pictures=1,
    tasks=(1, 3),
    ad_videos=1,
    ad_pictures=2,
)


def test_every_task_is_answered_on_every_file(stack: Stack, tmp_path: Path) -> None:
    report = Report("Scale")
    Bench(SMALL, tmp_path, report).tasks(stack.endpoint)
    results = json.loads((tmp_path / "captions" / "results.json").read_text())
    assert len(results["files"]) == 3
    for record in results["files"]:
        assert set(record["tasks"]) == {"task1", "task2", "task3"}
        assert all(0 < task["generated_tokens"] <= TOKENS for task in record["tasks"].values())
    time, memory = report.figures
    assert time.name == "tasks: time of an answer at 3 tasks (baseline: 1)"
    assert memory.value > 20
