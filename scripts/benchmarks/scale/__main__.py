"""How cost grows with files, with the length of videos, with languages and with tasks.

    python -m scripts.benchmarks.scale                          everything: about 15 minutes on two cores
    python -m scripts.benchmarks.scale --quick                  smaller sizes, one round: about a minute
    python -m scripts.benchmarks.scale --only files,videos --json scale.json
    python -m scripts.benchmarks.scale --only tasks --base-url http://127.0.0.1:8000/v1    on a stack that runs already

Whole runs of `python -m client.batch`, each a process of its own with a new ledger. Each figure is the cost of one file
(video, translation, answer) at the largest size, its baseline that at the smallest: a ratio of 1 is flat, below 1 it
grew. Time is that from the first look at the files to the last answer; what a run over one small picture takes is taken
off. Memory is the most that all processes of the client held at once (PSS).

Files, videos and languages are asked about at an endpoint that answers at once, so that what is left is ours; tasks are
asked of the demo models in a real stack, whose caches they are about.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import av

from client.media.frames import scan
from client.media.load import identify
from scripts.benchmarks.client import draw, endpoint
from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.scale.inputs import (
    LANGUAGES,
    copies,
    numbered_endpoint,
    translator,
    write_length,
    write_tasks,
    write_translator,
)
from scripts.benchmarks.scale.runs import Run, Sweep, add, run_client
from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import running_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Effort:
    """Sizes of each sweep, the least first; `rounds` of each."""

    rounds: int
    files: tuple[int, ...]
    lengths_s: tuple[int, ...]
    copies: int
    """Videos of each length."""
    languages: tuple[int, ...]
    pictures: int
    """Files of the sweep of languages."""
    tasks: tuple[int, ...]
    ad_videos: int
    ad_pictures: int
    """Files of the sweep of tasks."""


FULL = Effort(
    rounds=3,
    files=(100, 1000, 10_000),
    lengths_s=(1, 10, 60, 600, 3600, 7200),
    copies=4,
    languages=(1, 2, 5, 10, 20),
    pictures=60,
    tasks=(1, 2, 4, 8),
    ad_videos=8,
    ad_pictures=24,
)
QUICK = Effort(
    rounds=1,
    files=(50, 500),
    lengths_s=(1, 600),
    copies=2,
    languages=(1, 5),
    pictures=20,
    tasks=(1, 4),
    ad_videos=2,
    ad_pictures=14,
)
TOKENS = 24
"""Of an answer in the sweep of tasks: nearly all are as long."""


class Bench:
    """All sweeps, on one folder for files."""

    def __init__(self, effort: Effort, folder: Path, report: Report) -> None:
        self.effort, self.folder, self.report = effort, folder, report
        self._one = folder / "one"
        self._one.mkdir()
        draw(self._one, 1)

    def run(self, files: Path, url: str, *options: str, again: bool = False) -> Run:
        """One run of the client, into a folder of its own or `again` into that of the last run."""
        return run_client(files, self.folder / "captions", "--base-url", url, *options, again=again)

    def rounds(self, sizes: Sequence[int], work: Callable[[int], Run]) -> Sweep:
        """Measure each size in each round, the sizes in turn, and the start of the client."""
        sweep = Sweep()
        with endpoint(0) as idle:
            for number in range(self.effort.rounds):
                sweep.starts.append(self.run(self._one, idle, "--languages", ""))
                for size in sizes if number % 2 == 0 else sizes[::-1]:
                    sweep.runs[size].append(work(size))
        return sweep

    def files(self) -> None:
        """Small pictures at an endpoint that answers at once."""
        sizes = self.effort.files
        for size in sizes:
            (self.folder / f"{size}").mkdir()
            draw(self.folder / f"{size}", size)
        done_before = Sweep()
        with endpoint(0) as url:

            def work(size: int) -> Run:
                files = self.folder / f"{size}"
                run = self.run(files, url, "--languages", "")
                done_before.runs[size].append(self.run(files, url, "--languages", "", again=True))
                return run

            sweep = self.rounds(sizes, work)
        add(self.report, sweep, [(size, size) for size in sizes], of="files", x_label="files", unit="a file")
        least, most = sizes[0], sizes[-1]
        more = [
            1000 * (high - low) / (most - least)
            for high, low in zip(sweep.memory(most), sweep.memory(least), strict=True)
        ]
        self.report.add("files: memory for each more: its path, its hash and what is left to do", "kB", more)
        for what, runs in (("with its start and its results", sweep.runs), ("all done before", done_before.runs)):
            costs = {size: [1000 * run.wall_s / size for run in runs[size]] for size in sizes}
            name = f"files: whole run, {what}, a file at {most:,} files (baseline: {least:,})"
            self.report.add(name, "ms", costs[most], costs[least])
            plot = self.report.series[-2]
            y = [median(costs[size]) for size in sizes]
            self.report.series.insert(-1, replace(plot, name=f"whole run, {what}", y=y, log_y=True))

    def videos(self) -> None:
        """Videos of all lengths; and what must be read of each, which is why long ones cost more."""
        sizes, count, piece = self.effort.lengths_s, self.effort.copies, self.folder / "piece.mp4"
        reading: dict[str, list[float]] = {"reading it for its hash": [], "reading the times of all its frames": []}
        for size in sizes:
            video = write_length(self.folder / f"{size}s.mp4", size, piece)
            for spent, part in zip(reading.values(), (_identify, read_times), strict=True):
                spent.append(1000 * seconds_of(part, video))
            copies(video, self.folder / f"{size}s", count)
            video.unlink()
        with endpoint(0) as url:
            sweep = self.rounds(sizes, lambda size: self.run(self.folder / f"{size}s", url, "--languages", ""))
        units = [(size, count) for size in sizes]
        add(self.report, sweep, units, of="video length", x_label="seconds", unit="a video")
        plot = self.report.series[-2]
        for name, spent in reading.items():
            self.report.series.append(replace(plot, name=name, y=spent))
        self.report.notes.append(
            f"Videos: 640x360, {count} of each length, on all cores. A longer one has more packets; the times of all "
            "of them are read (nothing is decoded for that), so that the sampled frames are exactly the right ones."
        )

    def languages(self) -> None:
        """Translations of numbered sentences, by a tiny model, so that the service and the client are most of it."""
        sizes, count = self.effort.languages, self.effort.pictures
        pictures = self.folder / "pictures"
        pictures.mkdir()
        draw(pictures, count)
        model = write_translator(self.folder / "nllb")
        with numbered_endpoint() as url, translator(model) as service:

            def work(size: int) -> Run:
                return self.run(pictures, url, "--translator", service, "--languages", ",".join(LANGUAGES[:size]))

            work(1)
            sweep = self.rounds(sizes, work)
        units = [(size, size * count) for size in sizes]
        add(self.report, sweep, units, of="languages", x_label="languages", unit="a translation")
        self.report.notes.append("Languages: three sentences a file, a tiny NLLB with random weights, greedy.")

    def tasks(self, base_url: str | None) -> None:
        """Questions about new advertisements, on the demo models: one look at each file."""
        sizes, videos, pictures = self.effort.tasks, self.effort.ad_videos, self.effort.ad_pictures
        prompts = self.folder / "prompts"
        names = write_tasks(prompts, max(sizes), TOKENS)
        seeds = itertools.count(1)

        def work(size: int) -> Run:
            seed = next(seeds)
            ads = self.folder / f"ads{seed}"
            ads.mkdir()
            write_ads(ads, seed=seed, videos=videos, pictures=pictures)
            asked = ",".join(names[:size])
            return self.run(ads, url, "--prompts", str(prompts), "--tasks", asked, "--languages", "")

        with served(base_url) as url:
            work(1)
            sweep = self.rounds(sizes, work)
        units = [(size, size * (videos + pictures)) for size in sizes]
        add(self.report, sweep, units, of="tasks", x_label="tasks", unit="an answer")
        self.report.notes.append(
            f"Tasks: {videos} new videos and {pictures} new pictures a run, answers of {TOKENS} tokens, each task with "
            "a question of its own; further tasks find the file in the server's caches."
        )


def _identify(path: Path) -> None:
    identify(path)


def read_times(path: Path) -> None:
    """All packets' times of a video."""
    with av.open(str(path)) as container:
        scan(container, container.streams.video[0])


def seconds_of(work: Callable[[Path], object], path: Path) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work(path)
    return time.perf_counter() - began


@contextmanager
def served(base_url: str | None) -> Iterator[str]:
    """The base URL of a running stack, or of a demo stack that runs as long as the block."""
    if base_url:
        yield base_url
        return
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as logs,
        running_stack("--port", "0", "--translator-port", "0", "--log-dir", logs) as stack,
    ):
        yield stack.endpoint


SWEEPS = ("files", "videos", "languages", "tasks")


def sweeps(text: str) -> list[str]:
    """Names of sweeps, separated by commas."""
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in SWEEPS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(SWEEPS)}")
    return names


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, one round")
    parser.add_argument("--runs", type=positive, help="rounds (default: 3, quick: 1)")
    parser.add_argument("--only", type=sweeps, default=SWEEPS, metavar="A,B", help=f"of {', '.join(SWEEPS)}")
    parser.add_argument(
        "--base-url", metavar="URL", help="of a stack for the tasks (default: the demo stack is started)"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    effort = QUICK if args.quick else FULL
    if args.runs is not None:
        effort = replace(effort, rounds=args.runs)
    report = Report("How cost grows: files, length, languages, tasks", "av", "aiohttp", "ctranslate2", "vllm")
    report.notes.append("A ratio of 1 is flat; below 1, one costs more where there are more.")
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        bench = Bench(effort, Path(folder), report)
        for name in args.only:
            if name == "tasks":
                bench.tasks(args.base_url)
            else:
                getattr(bench, name)()
    report.show(args.json)


if __name__ == "__main__":
    run(main)
