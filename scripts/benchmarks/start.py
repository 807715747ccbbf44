"""How long the stack takes to start, part by part and process by process.

Starts `python -m server up`, waits until all is healthy, looks at its processes, stops it, and does so again;
prints medians. `--compare`: the same without the profile's short cuts (`fast_start`), run by run in turn, so
that both meet the same machine. Seconds of CPU are what to trust where other things run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
from rich.console import Console
from rich.table import Table

from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from server.errors import ProfileError
from server.profile import load_profile
from server.shipped_profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).resolve().parents[2]

EVENT = re.compile(r"^ *(?P<seconds>\d+\.\d) s {2}(?P<part>\S+) {2}(?P<stage>.+)$")
"""A line of progress as `up` prints it."""


@dataclass
class Start:
    """One start of the stack."""

    wall_s: float = 0.0
    """From the command to the file that says that all is healthy."""
    stop_s: float = 0.0
    stages: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    """Per part: when each stage began, in seconds."""
    processes: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Per process: CPU seconds and resident MiB once all is healthy."""


def measure(profile: str) -> Start:
    """Start the stack once and stop it."""
    start = Start()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ready, output = Path(folder) / "ready.json", Path(folder) / "output"
        command = [sys.executable, "-m", "server", "up", "--profile", profile, "--ready-file", str(ready)]
        options = ["--port", "0", "--translator-port", "0", "--log-dir", folder]
        began = time.monotonic()
        with output.open("w") as file:
            process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            while not ready.exists():
                if process.poll() is not None:
                    sys.exit(f"the stack did not start:\n{output.read_text()}")
                time.sleep(0.05)
            start.wall_s = time.monotonic() - began
            start.processes = look_at(process.pid, json.loads(ready.read_text())["parts"])
        finally:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            start.stop_s = time.monotonic() - began
        for line in output.read_text().splitlines():
            if event := EVENT.match(line):
                start.stages[event["part"]].append((float(event["seconds"]), event["stage"]))
    return start


def look_at(supervisor: int, parts: dict[str, dict[str, int]]) -> dict[str, tuple[float, float]]:
    """CPU seconds and resident MiB of each process, by what it is."""
    names = {part["pid"]: name for name, part in parts.items()} | {supervisor: "supervisor"}
    looked: dict[str, tuple[float, float]] = {}
    for process in [psutil.Process(supervisor), *psutil.Process(supervisor).children(recursive=True)]:
        with process.oneshot():
            name = names.get(process.pid) or f"{names.get(process.ppid(), 'supervisor')} / {process.name()}"
            times = process.cpu_times()
            looked[name] = (times.user + times.system, process.memory_info().rss / (1 << 20))
    return looked


def stages_s(start: Start) -> dict[tuple[str, str], float]:
    """How long each part was in each stage, up to ready."""
    return {
        (part, stage): after - before
        for part, stages in start.stages.items()
        for (before, stage), (after, _) in itertools.pairwise(stages)
        if not stage.startswith("ready")
    }


def middle(values: Iterable[float]) -> float:
    """The median, to 10 ms."""
    return round(median(values), 2)


def summarise(starts: list[Start]) -> dict[str, object]:
    """Medians of several starts."""
    stages = [stages_s(start) for start in starts]
    return {
        "runs": len(starts),
        "wall_s": middle(start.wall_s for start in starts),
        "wall_s_each": [round(start.wall_s, 2) for start in starts],
        "stop_s": middle(start.stop_s for start in starts),
        "cpu_s": middle(sum(cpu for cpu, _ in start.processes.values()) for start in starts),
        "processes": {
            name: {
                "cpu_s": middle(s.processes[name][0] for s in starts if name in s.processes),
                "rss_mib": middle(s.processes[name][1] for s in starts if name in s.processes),
            }
            for name in starts[-1].processes
        },
        "stages": [
            {"part": part, "stage": stage, "s": middle(s[part, stage] for s in stages if (part, stage) in s)}
            for part, stage in stages[-1]
        ],
    }


def print_summary(title: str, summary: dict[str, object], console: Console) -> None:
    """The medians as tables."""
    console.rule(
        f"{title}: {summary['wall_s']} s until all is healthy, {summary['cpu_s']} CPU-seconds, "
        f"stopped in {summary['stop_s']} s (median of {summary['runs']})"
    )
    table = Table("process", "CPU s", "MiB resident")
    for name, values in summary["processes"].items():  # type: ignore[attr-defined]
        table.add_row(name, f"{values['cpu_s']:.2f}", f"{values['rss_mib']:.0f}")
    console.print(table)
    table = Table("part", "stage", "s")
    for row in summary["stages"]:  # type: ignore[attr-defined]
        table.add_row(row["part"], row["stage"], f"{row['s']:.1f}")
    console.print(table)


def report_of(profile: str, ours: list[Start], plain: Sequence[Start] = ()) -> Report:
    """The common form: the profile as it is, beside it without its short cuts."""
    report = Report(f"Start of the stack of {profile}", "psutil", "ctranslate2", "vllm")
    measures: dict[str, Callable[[Start], float]] = {
        "until all is healthy": lambda start: start.wall_s,
        "until all is healthy: CPU of all processes": lambda start: sum(cpu for cpu, _ in start.processes.values()),
        "until all is stopped": lambda start: start.stop_s,
    }
    for name, measured in measures.items():
        report.add(name, "s", [*map(measured, ours)], [*map(measured, plain)])
    return report


def without_short_cuts(profile: str, folder: Path) -> str:
    """A copy of the profile with `fast_start` off."""
    source = Path(profile) if profile.endswith(".toml") else PROFILES / f"{profile}.toml"
    copy = folder / "plain.toml"
    copy.write_text(source.read_text().replace("fast_start = true", "fast_start = false"))
    return str(copy)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="demo", help="a profile's name or file (default: demo)")
    parser.add_argument("--runs", type=positive, default=3, help="starts to take the median of (default: 3)")
    parser.add_argument("--compare", action="store_true", help="also without the profile's short cuts")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    console = Console()
    try:
        load_profile(args.profile)
    except ProfileError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        variants = {"as the profile says": args.profile}
        if args.compare:
            variants["without short cuts"] = without_short_cuts(args.profile, Path(folder))
        starts: dict[str, list[Start]] = defaultdict(list)
        for run in range(args.runs):
            for title, profile in variants.items():
                console.print(f"start {run + 1} of {args.runs}, {title}", style="dim")
                starts[title].append(measure(profile))
    for title, measured in starts.items():
        print_summary(title, summarise(measured), console)
    report_of(args.profile, *starts.values()).show(args.json)


if __name__ == "__main__":
    run(main)
