"""What `benchmarks.pipeline` measures in turn: the client over a folder, a bare loop, and the published way.

All of it is seen from the outside: wall time of processes, the records they wrote, CPU-seconds by part of the stack.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import mean, quantiles
from typing import TYPE_CHECKING, Any

import psutil

from client.endpoints.chat import ModelClient
from client.endpoints.keys import API_KEY, TRANSLATOR_KEY
from client.endpoints.translation import TranslatorClient
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks.plan import make_plan
from client.tasks.tasks import choose_tasks
from scripts.benchmarks.baselines.upper_bound import fire, make_requests
from scripts.demo.stack import ROOT, read_results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from client.endpoints.retry import Waiting
    from scripts.benchmarks.baselines.reference import Reference, Timing
    from scripts.benchmarks.baselines.upper_bound import Answers
    from scripts.benchmarks.common.report import Report

NAMES = {Kind.VIDEO: "llava-next-video-7b", Kind.IMAGE: "llama-3.2-11b-vision"}
WORDS = {Kind.VIDEO: "videos", Kind.IMAGE: "pictures"}
CHECK_S, ANSWER_S = 5.0, 60.0
"""How long servers may be away, and how long a first word may take, before anything is measured."""
CLIENT, GATEWAY, ENGINES, TRANSLATOR = "the client", "the gateway", "the engines", "the translator"


@dataclass(frozen=True)
class Where:
    """A running stack, and the processes that it is made of, if they are ours to look at."""

    endpoint: str
    translator: str | None
    pids: tuple[int, ...] = ()

    def cpu_s(self) -> Counter[str]:
        """CPU-seconds that each part of the stack has used until now."""
        used: Counter[str] = Counter()
        for pid in self.pids:
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                try:
                    command, times = " ".join(process.cmdline()), process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                used[_part(command)] += times.user + times.system  # type: ignore[assignment]  # seconds
        return used


def _part(command: str) -> str:
    if "server.gateway" in command:
        return GATEWAY
    return TRANSLATOR if "translator" in command else ENGINES


@dataclass(frozen=True)
class Run:
    """What one run of the client gave, with the CPU-seconds of every part."""

    total_s: float
    records: list[dict[str, Any]]
    cpu: Counter[str] = field(default_factory=Counter)

    @property
    def tokens(self) -> int:
        """Tokens generated for all files."""
        return sum(task["generated_tokens"] for record in self.records for task in record["tasks"].values())

    @property
    def texts(self) -> list[str]:
        """The texts of all answers."""
        return [task["text"] for record in self.records for task in record["tasks"].values()]

    def percentile(self, share: int) -> float:
        """Seconds that so many percent of the files needed at most, from loading to their translations."""
        each = [record["total_processing_time_sec"] for record in self.records]
        return float(quantiles(each, n=100, method="inclusive")[share - 1])


@dataclass(frozen=True)
class UpperBound:
    """What one run of the bare loop gave, with the CPU-seconds of every part."""

    answers: Answers
    cpu: Counter[str] = field(default_factory=Counter)


class Systems:
    """The client and the bare loop, on one running stack."""

    def __init__(
        self, where: Where, scratch: Path, *, concurrency: int, languages: Sequence[str], prompts: Path | None = None
    ) -> None:
        """`prompts` override the client's own."""
        self._where, self._scratch, self._prompts = where, scratch, prompts
        self._concurrency, self._languages = concurrency, list(languages)
        tasks = choose_tasks(["describe"], [], prompts)
        self._plan = make_plan(tasks, NAMES, 0.0, Sampling(), tuple(languages))
        self.texts: list[str] = []
        """Answers of the last run: what the bare loop has translated."""

    def check(self, kinds: Sequence[Kind]) -> None:
        """Make sure that the servers are there, and know the models and languages.

        Raises:
            BabelviewError: they do not.
        """
        asyncio.run(self._check({NAMES[kind] for kind in kinds}))

    async def _check(self, models: set[str]) -> None:
        waiting: Waiting = {
            "deadline_s": ANSWER_S,
            "wait_s": CHECK_S,
            "notify": lambda text: print(text, file=sys.stderr),
            "stop": asyncio.Event(),
        }
        model = ModelClient(self._where.endpoint, os.environ.get(API_KEY), **waiting)
        try:
            await model.check(models)
        finally:
            await model.close()
        if self._languages and self._where.translator:
            translator = TranslatorClient(self._where.translator, os.environ.get(TRANSLATOR_KEY), **waiting)
            try:
                await translator.check(tuple(self._languages))
                await translator.translate(["Red."], self._languages[:1], "a first translation")
            finally:
                await translator.close()

    def run(self, files: Path) -> Run:
        """`python -m client.batch` in a process of its own.

        Raises:
            SystemExit: it failed.
        """
        output = self._scratch / f"captions-{files.name}"
        command = [sys.executable, "-m", "client.batch", str(files), "--output", str(output), "--quiet"]
        command += ["--ask-once"]  # random models loop, and whoever else is measured asks once
        command += ["--no-hear"]  # as nobody else does
        command += ["--base-url", self._where.endpoint, "--concurrency", str(self._concurrency)]
        command += ["--languages", ",".join(self._languages)]
        command += ["--translator", self._where.translator] if self._where.translator else []
        command += ["--prompts", str(self._prompts)] if self._prompts else []
        before, children = self._where.cpu_s(), _of_children()
        began = time.perf_counter()
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        total_s = time.perf_counter() - began
        cpu = self._where.cpu_s() - before
        cpu[CLIENT] = _of_children() - children  # type: ignore[assignment]  # seconds
        records = read_results(output) if (output / "results.json").exists() else []
        failed = [f"{record['file']}: {record['error']}" for record in records if record["error"]]
        if code or failed or not records:
            raise SystemExit("\n".join([f"client.batch failed with exit code {code}", *failed]))
        run = Run(total_s, records, cpu)
        self.texts = run.texts
        return run

    def upper_bound(self, files: Path, seed: int) -> UpperBound:
        """The requests about the same files and as many translations, and nothing else to do."""
        paths = sorted(files.iterdir())
        # The warm-up had fewer files; the words change places in each one anew.
        requests = make_requests(paths, list(islice(cycle(self.texts), len(paths))), self._plan, seed)
        where = self._where
        before = where.cpu_s()
        keys = os.environ.get(API_KEY), os.environ.get(TRANSLATOR_KEY)
        answers = fire(where.endpoint, where.translator, requests, self._concurrency, keys)
        return UpperBound(answers, where.cpu_s() - before)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Rounds:
    """The values of all rounds about one kind of file."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._translated = False
        self._values: dict[str, list[float]] = defaultdict(list)
        self._cpu: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, run: Run, bound: UpperBound, timings: Sequence[Timing] = ()) -> None:
        """Note one round; `timings` are those of the published way."""
        files, values = len(run.records), self._values
        values["files/s"].append(files / run.total_s)
        values["tokens/s"].append(run.tokens / run.total_s)
        values["bound files/s"].append(files / bound.answers.total_s)
        values["bound tokens/s"].append(bound.answers.generated_tokens / bound.answers.total_s)
        for share in (50, 95):
            values[f"p{share}"].append(run.percentile(share))
        for system, cpu in (("ours", run.cpu), ("bound", bound.cpu)):
            for part, used_s in cpu.items():
                self._cpu[part][system].append(used_s / files)
        self._translated = any(timing.translated_tokens for timing in timings)
        if timings:
            values["reference files/s"].append(1 / mean(timing.total_s for timing in timings))
            for step in ("decode", "generate", "translate"):
                values[step].append(mean(getattr(timing, step) for timing in timings))

    def report_on(self, report: Report) -> None:
        """Add this kind's figures to the report."""
        values, what = self._values, WORDS[self.kind]

        def rates(name: str, unit: str, baseline: str) -> None:
            report.add(f"{what}, {name}", unit, values[unit], values[baseline], more_is_better=True)

        if "reference files/s" in values:
            rates("beside the published way", "files/s", "reference files/s")
            for step in ("decode", "generate", *(["translate"] if self._translated else [])):
                report.add(f"{what}, the published way: {step}", "s a file", values[step])
        rates("beside the speed of light", "files/s", "bound files/s")
        rates("generated, beside the speed of light", "tokens/s", "bound tokens/s")
        for share in ("p50", "p95"):
            report.add(f"{what}, a file from loading to translations, {share}", "s", values[share])
        for part, systems in self._cpu.items():
            report.add(f"{what}, CPU of {part}", "CPU-s a file", systems["ours"], systems["bound"])


def play_round(
    number: int, files: Path, systems: Systems, reference: Reference | None, sample: int
) -> tuple[Run, UpperBound, list[Timing]]:
    """All systems over one folder: the client first in even rounds, the bare loop first in odd ones.

    What comes second is slower by some percent on a machine that is shared or grows hot.
    """
    bound = systems.upper_bound(files, number) if number % 2 else None
    run = systems.run(files)
    bound = bound or systems.upper_bound(files, number)
    timings = [reference.describe(path) for path in sorted(files.iterdir())[:sample]] if reference else []
    return run, bound, timings
