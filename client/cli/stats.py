"""The `stats` of a run, as results.json and the ledger keep them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.cli.progress import Progress
    from client.tasks.plan import Plan


def run_stats(plan: Plan, progress: Progress, *, interrupted: bool) -> dict[str, Any]:
    """The figures of this run alone; `mean_time_per_file_sec` is wall time."""
    seconds = progress.seconds
    fresh = progress.fresh
    stats: dict[str, Any] = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": {kind.value: model for kind, model in plan.models.items()},
        "temperature": plan.temperature,
        "languages": list(plan.languages),
        "files": progress.files,
        "done": progress.done,
        "done_earlier": progress.reused,
        "failures": len(progress.failures),
        "without_prompt": progress.unasked.total(),
        "unfinished": progress.files - progress.finished,
        "interrupted": interrupted,
        "wall_time_sec": round(seconds, 3),
        "mean_time_per_file_sec": round(seconds / fresh, 3) if fresh else None,
        "files_per_sec": round(fresh / seconds, 3),
        "requests": progress.requests,
        "requests_failed": progress.requests_failed,
        "answers_retried": progress.verdicts["retried"],
        "answers_doubtful": progress.verdicts["doubtful"],
        "prompt_tokens": progress.prompt_tokens,
        "generated_tokens": progress.generated_tokens,
        "tokens_per_sec": round(progress.generated_tokens / seconds, 1),
    }
    if progress.cost is not None:
        stats |= {"cost": round(progress.cost, 6), "prices_per_million": list(progress.prices or ())}
    return stats
