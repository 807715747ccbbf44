"""The translation service as it is, on a model with random weights: each translation is as long as its source.

    python -m scripts.benchmarks.translator.fixed_length --model ./bench-models/nllb-mid --port 0

Random weights do not end, and what they write has issues, which would have every sentence translated three times. So
lengths are fixed, and the quality checks look at everything and find nothing. All else is the service's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from translator import loading
from translator.checks.review import with_checks
from translator.cli import translate
from translator.model.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.batcher import Run
    from translator.checks.checks import Thresholds
    from translator.model.job import Job, Translation


class FixedLength(Engine):
    """The engine, with translations as long as the longest source of their batch."""

    def _decoding(self, jobs: Sequence[Job]) -> dict[str, Any]:
        length = max(len(job.tokens) for job in jobs)
        return super()._decoding(jobs) | {"min_decoding_length": length, "max_decoding_length": length}


def without_issues(run: Run, thresholds: Thresholds) -> Run:
    """`run` with the quality checks, whose findings are dropped; so is the issue that there is no end."""
    checked = with_checks(run, thresholds)

    def run_and_drop(jobs: list[Job], /) -> list[Translation]:
        return [replace(result, issues=()) for result in checked(jobs)]

    return run_and_drop


if __name__ == "__main__":
    vars(loading).update(Engine=FixedLength, with_checks=without_issues)
    translate(prog_name="python -m scripts.benchmarks.translator.fixed_length")
