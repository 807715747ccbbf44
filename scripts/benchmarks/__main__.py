"""The short benchmarks one after the other, then plots and a page of all their results: what `make bench` runs.

    python -m scripts.benchmarks                            into bench-results/: JSON, plots/, index.html
    python -m scripts.benchmarks --only client,scale
    python -m scripts.benchmarks --list                     what would run

One that fails is named at the end and in the exit code; the others run all the same, and the page shows what there is.
Each script has more to say than its short version: `python -m scripts.benchmarks.server --help`.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console

from scripts.benchmarks.common.cli import INTERRUPTED, run
from scripts.benchmarks.common.page import page_of
from scripts.benchmarks.common.plots import read_reports, write_plots
from scripts.demo.stack import STOP_S

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "scripts.benchmarks"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's module in `PACKAGE`, and its short version's arguments."""

    name: str
    arguments: tuple[str, ...] = ("--quick",)

    def command(self, results: Path) -> list[str]:
        """What runs it; `results` is the folder for its JSON file."""
        return [
            sys.executable,
            "-m",
            f"{PACKAGE}.{self.name}",
            *self.arguments,
            "--json",
            str(results / f"{self.name}.json"),
        ]


BENCHMARKS = (
    Benchmark("start", ("--runs", "1")),
    Benchmark("client", ("--runs", "1")),
    Benchmark("sampler"),
    Benchmark("gateway"),
    Benchmark("translator", ("--quick", "--shape", "mid")),
    Benchmark("server", ("--profile", "--quick")),
    Benchmark("pipeline", ("--count", "8", "--tokens", "60", "--reference", "1")),
    Benchmark("plugin"),
    Benchmark("scale"),
)


def run_all(benchmarks: Sequence[Benchmark], results: Path, console: Console) -> list[str]:
    """Run the benchmarks one after the other; returns a line for each one that failed."""
    failed = []
    for number, benchmark in enumerate(benchmarks, 1):
        console.rule(f"{number} of {len(benchmarks)}: {benchmark.name}")
        # What an earlier run measured must not stand for this one.
        (results / f"{benchmark.name}.json").unlink(missing_ok=True)
        began = time.monotonic()
        code = run_one(benchmark.command(results))
        console.print(f"{benchmark.name}: {time.monotonic() - began:.0f} s", style="dim")
        if code:
            failed.append(f"{benchmark.name}: exit code {code}")
    return failed


def run_one(command: Sequence[str], stdout: IO[bytes] | None = None) -> int:
    """Its exit code. When this program is stopped, the benchmark is stopped too, and waited for: it stops servers."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=stdout)
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # which one that has had Ctrl-C already does not mind
        try:
            process.wait(STOP_S)
        finally:
            process.kill()
        raise


def write_page(results: Path, title: str) -> Path | None:
    """Draw the plots, and put all that is in the folder on a page; None: nothing was measured."""
    reports = read_reports([results])
    if not reports:
        return None
    write_plots([results], results / "plots")
    page = results / "index.html"
    page.write_text(page_of(reports, title), encoding="utf-8")
    return page


def chosen(text: str) -> list[Benchmark]:
    """Argument type: names of benchmarks, separated by commas."""
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return [known[name] for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: 0 all ran, 1 one failed, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "bench-results", metavar="DIR", help="(bench-results)")
    parser.add_argument("--only", type=chosen, default=BENCHMARKS, metavar="A,B", help="these alone")
    parser.add_argument("--list", action="store_true", help="show the commands and run nothing")
    parser.add_argument("--title", default="Babelview: benchmarks", help="of the page")
    args = parser.parse_args(arguments)
    results, console = args.output.resolve(), Console()
    if args.list:
        for benchmark in args.only:
            print(shlex.join(["python", *benchmark.command(results)[1:]]))
        return 0
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output {args.output}: {error.strerror or error}")
    try:
        failed, code = run_all(args.only, results, console), 0
    except KeyboardInterrupt:  # those that run have had it too
        failed, code = ["interrupted"], INTERRUPTED
    page = write_page(results, args.title)
    console.rule()
    if page:
        console.print(f"all results: {page}", soft_wrap=True)
    for problem in failed:
        console.print(f"failed: {problem}", style="bold red")
    return code or int(bool(failed))


if __name__ == "__main__":
    run(main)
