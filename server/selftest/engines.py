"""vLLM engines in processes of their own, and what they wrote.

An engine changes much of its process (threads, default types, patched modules), and needs settings in the environment
before anything is imported. Engines with the same settings share a process, one after the other:

    python -m server.selftest.engine_process jobs.json results.json
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from server.supervision.part import PYTHON

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_INT4_W4A8": "0",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
MODULE = "server.selftest.engine_process"


@dataclass
class Request:
    """A prompt as token ids, files of its pictures, and how many tokens to write.

    Attributes:
        video: The pictures are the frames of a video.
    """

    prompt: list[int]
    pictures: list[str] = field(default_factory=list)
    tokens: int = 16
    video: bool = False


@dataclass
class Job:
    """An engine (arguments of `vllm.LLM`) and its batches; the requests of a batch run together.

    Attributes:
        environment: Of its process, on top of `ENVIRONMENT`.
        reset_before: The batch before which vLLM's encoder cache is reset.
        sleep_before: The batch before which the engine sleeps and wakes.
    """

    checkpoint: str
    batches: list[list[Request]]
    arguments: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    reset_before: int | None = None
    sleep_before: int | None = None


@dataclass
class Written:
    """What the engine wrote for a request."""

    tokens: list[int]
    logprobs: list[float]


@dataclass
class Batch:
    """What an engine did with a batch.

    Attributes:
        written: What it wrote for each request.
        error: Why it refused the batch, or None.
        preemptions: How often a request had to give way to others and was computed again.
        tower_runs: Pictures for which the vision tower of the plugin ran.
        cached: Pictures for which it did not.
    """

    written: list[Written]
    error: str | None
    preemptions: int
    tower_runs: int
    cached: int


@dataclass
class Done:
    """What became of a job.

    Attributes:
        batches: What it did with each; fewer if it failed.
        runs: How vLLM ran it: model runner, graphs, attention.
        error: Why it failed, or None.
    """

    batches: list[Batch]
    runs: str = ""
    error: str | None = None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Done:
        """Read what the process wrote."""
        batches = [
            Batch(**(batch | {"written": [Written(**written) for written in batch["written"]]}))
            for batch in told["batches"]
        ]
        return cls(batches, told["runs"], told["error"])


def run_engines(jobs: Mapping[str, Job], folder: Path, timeout_s: float | None = None) -> dict[str, Done]:
    """Run engines and wait for what they write.

    Args:
        jobs: The engines, by name.
        folder: For files and logs.
        timeout_s: How long each process may take.

    Returns:
        One for each job; where its process ended without a word, with an error.
    """
    done: dict[str, Done] = {}

    def environment_of(name: str) -> list[tuple[str, str]]:
        return sorted(jobs[name].environment.items())

    for number, (settings, names) in enumerate(groupby(sorted(jobs, key=environment_of), environment_of)):
        together = set(names)
        chosen = {name: job for name, job in jobs.items() if name in together}
        done |= _run_process(chosen, dict(settings), folder, number, timeout_s)
    return {name: done[name] for name in jobs}


def write_jobs(jobs: Mapping[str, Job], path: Path) -> None:
    """Write jobs as the process reads them."""
    path.write_text(json.dumps({name: dataclasses.asdict(job) for name, job in jobs.items()}))


def read_results(path: Path) -> dict[str, Done]:
    """Read what the process wrote, a line a job."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {told["name"]: Done.of(told) for told in map(json.loads, lines)}


def _run_process(
    jobs: Mapping[str, Job], settings: Mapping[str, str], folder: Path, number: int, timeout_s: float | None
) -> dict[str, Done]:
    wanted, results, log = (folder / f"{name}-{number}" for name in ("jobs.json", "results.jsonl", "engines.log"))
    write_jobs(jobs, wanted)
    with log.open("w") as output:
        try:
            code = subprocess.run(
                [*PYTHON, "-m", MODULE, str(wanted), str(results)],
                env={**os.environ, **ENVIRONMENT, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            ).returncode
            ended = f"its process ended (exit code {code}): {_last_line(log)}"
        except subprocess.TimeoutExpired:
            ended = f"it was not done within {timeout_s:.0f} s"
    found = read_results(results)
    return {name: found.get(name) or Done([], error=ended) for name in jobs}


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
