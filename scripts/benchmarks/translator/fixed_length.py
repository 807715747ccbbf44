"""The translation service as it is, on a model with random weights: each translation is as long as its source.

    python -m scripts.benchmarks.translator.fixed_length --model ./bench-models/nllb-mid --port 0

Random weights do not end, and what they write is flagged by the guards, which would have every sentence translated
three times. So lengths are fixed, and the guards look at everything and find nothing. All else is the service's own.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from translator import __main__ as service
from translator.checks import review
from translator.model import engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.batcher import Run
    from translator.checks.checks import Thresholds
    from translator.model.engine import Job, Translation


class FixedLength(engine.Engine):
    """The engine, with translations as long as the longest source of their batch."""

    def _decoding(self, jobs: Sequence[Job]) -> dict[str, Any]:
        length = max(len(job.tokens) for job in jobs)
        return super()._decoding(jobs) | {"min_decoding_length": length, "max_decoding_length": length}


def never_flagged(run: Run, thresholds: Thresholds) -> Run:
    """`run`, looked at by the guards, whose findings are dropped; so is the fault that there is no end."""
    looked_at = _guarded(run, thresholds)

    def look(jobs: list[Job], /) -> list[Translation]:
        return [replace(result, faults=()) for result in looked_at(jobs)]

    return look


_guarded = review.guarded


if __name__ == "__main__":
    engine.Engine = FixedLength  # type: ignore[misc]
    review.guarded = never_flagged
    sys.exit(service.main())
