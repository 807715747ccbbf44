"""How a served model takes load: requests as Babelview sends them, at 1, 2, 4, ... 256 at a time.

    python -m scripts.benchmarks.server --profile                        # starts the demo stack by itself, and stops it
    python -m scripts.benchmarks.server --profile gpu-80gb --model llava-next-video-7b --send video
    python -m scripts.benchmarks.server --profile gpu-24gb --dummy-weights   # the published shapes, nothing to download
    python -m scripts.benchmarks.server --base-url http://127.0.0.1:8000/v1 --concurrency 1,64 --goodput ttft:500
    python -m scripts.benchmarks.server --profile --cross-check --quick  # beside vllm bench serve and guidellm
    python -m scripts.benchmarks.server --profile --json sweep.json      # every percentile, and the lines of the plots

At each concurrency 4 times as many requests are sent (--waves), each with a picture or video of its own, and all
answers have the same length. Tokens are those that the server counts. TTFT is the time to the first token, TPOT the
time per token after it, ITL the time between two pieces of the stream, E2EL the time from end to end, in milliseconds;
goodput counts the requests that kept all objectives. What sends and times the requests is `vllm bench serve`.

A server that wants a key gets BABELVIEW_API_KEY. The exit code is 1 if a request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from client.errors import BabelviewError
from scripts.benchmarks.common.cli import natural, new_file, positive, run
from scripts.benchmarks.common.report import Report, Series
from scripts.benchmarks.server.check import cross_check, find_command
from scripts.benchmarks.server.load import (
    LATENCIES,
    PERCENTILES,
    Level,
    Load,
    LoadError,
    Requests,
    Sent,
    Target,
    check,
    measure,
)
from scripts.demo.stack import StackError, running_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONCURRENCY = (1, 2, 4, 8, 16, 32, 64, 128, 256)
QUICK = (1, 4, 16)
LEAST_REQUESTS = 8
"""Of a level, however low its concurrency."""
SHOWN = (("TTFT", 50), ("TTFT", 95), ("TPOT", 50), ("TPOT", 95), ("ITL", 99))
"""Latencies and percentiles of the table, in milliseconds; all others are in the file."""
OBJECTIVES = ("ttft", "tpot", "e2el")
PORTS = ("--port", "0", "--translator-port", "0")

Sweep = dict[int, list[Level]]
"""For each concurrency, what came of it in each round."""


@dataclass(frozen=True)
class Effort:
    """How many requests at which levels of concurrency are measured."""

    levels: tuple[int, ...]
    """Requests at a time."""
    waves: int
    """How many times that many are sent."""
    rounds: int


def sweep(target: Target, requests: Requests, effort: Effort, objectives: Mapping[str, float]) -> Sweep:
    """Measure all levels in turn, some rounds, after a first load that does not count.

    Raises:
        LoadError: as in `measure`.
    """
    done: Sweep = {level: [] for level in effort.levels}
    measure(Load(target, requests, min(LEAST_REQUESTS, max(effort.levels)), LEAST_REQUESTS), objectives)
    for number in range(1, effort.rounds + 1):
        for level in effort.levels:
            found = measure(Load(target, requests, level, max(LEAST_REQUESTS, effort.waves * level)), objectives)
            done[level].append(found)
            print(f"round {number}, {level} at a time: {found.requests_per_s:.3g} requests/s", file=sys.stderr)
    return done


def add_figures(report: Report, done: Sweep, objectives: Mapping[str, float]) -> None:
    """Every figure of every level."""
    for level, rounds in done.items():

        def add(name: str, unit: str, values: list[float], more: bool = False, level: int = level) -> None:
            report.add(f"{name}, {level} at a time", unit, values, more_is_better=more)

        add("throughput", "requests/s", [each.requests_per_s for each in rounds], True)
        add("output", "tokens/s", [each.tokens_per_s for each in rounds], True)
        if objectives:
            add("goodput", "requests/s", [each.goodput or 0.0 for each in rounds], True)
        for latency in LATENCIES:
            for percent in PERCENTILES:
                add(f"{latency} p{percent}", "ms", [each.percentile(latency, percent) for each in rounds])
        add("requests answered", "requests", [each.completed for each in rounds], True)
        add("requests failed", "requests", [len(each.errors) for each in rounds])
        add("tokens in", "tokens", [each.input_tokens for each in rounds])
        add("tokens out", "tokens", [each.output_tokens for each in rounds])


def add_lines(report: Report, done: Sweep, objectives: Mapping[str, float]) -> None:
    """Throughput and latency against concurrency."""
    levels = [float(level) for level in done]

    def line(plot: str, name: str, y_label: str, values: list[float], *, log_y: bool = False) -> None:
        report.series.append(Series(plot, name, "requests at a time", y_label, levels, values, log_x=True, log_y=log_y))

    def medians(percent: int, latency: str) -> list[float]:
        return [median(each.percentile(latency, percent) for each in rounds) for rounds in done.values()]

    line("Requests", "answered", "requests/s", [median(each.requests_per_s for each in lv) for lv in done.values()])
    if objectives:
        kept = [median(each.goodput or 0.0 for each in rounds) for rounds in done.values()]
        line("Requests", "with " + _words(objectives), "requests/s", kept)
    line("Output", "all requests", "tokens/s", [median(each.tokens_per_s for each in lv) for lv in done.values()])
    for latency in LATENCIES:
        for percent in PERCENTILES:
            line(f"{latency}", f"p{percent}", "ms", medians(percent, latency), log_y=True)


def table(done: Sweep, objectives: Mapping[str, float], title: str) -> Table:
    """A line a level: medians of the rounds; `spread` is how far their rates lie apart, in percent of the median."""
    columns = ["at a\ntime", "req/s", "spread", "tok/s", *(["good\nreq/s"] if objectives else [])]
    columns += [*(f"{latency}\np{percent}" for latency, percent in SHOWN), "failed"]
    shown = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        shown.add_column(column, justify="right")
    for level, rounds in done.items():
        rates = [each.requests_per_s for each in rounds]
        cells = [_digits(median(rates)), f"{100 * (max(rates) - min(rates)) / median(rates):.0f} %"]
        cells.append(_digits(median(each.tokens_per_s for each in rounds)))
        if objectives:
            cells.append(_digits(median(each.goodput or 0.0 for each in rounds)))
        cells += [_digits(median(each.percentile(*shown_latency) for each in rounds)) for shown_latency in SHOWN]
        shown.add_row(str(level), *cells, str(sum(len(each.errors) for each in rounds)))
    return shown


def _digits(value: float) -> str:
    """A number to three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def report_on(args: argparse.Namespace, base_url: str, console: Console) -> int:
    """Measure and report; returns the exit code."""
    target = Target(base_url, args.model, args.output_tokens, args.ignore_eos)
    asyncio.run(check(target, args.send))
    requests = Requests(args.send, args.seed)
    report = Report(f"{args.model} under load ({args.send} requests)", "vllm", "aiohttp")
    report.notes.append(
        f"{args.output_tokens} tokens of answer; at each concurrency {args.waves} times as many requests, "
        f"{LEAST_REQUESTS} at least; the next one is sent when one was answered. Latencies are in milliseconds."
    )
    if args.cross_check:
        load = Load(target, requests, args.cross_check, max(LEAST_REQUESTS, args.waves * args.cross_check))
        failed = cross_check(report, load, args.runs, args.guidellm)
        report.show(args.json, console)
        return 1 if failed else 0
    done = sweep(target, requests, Effort(args.concurrency, args.waves, args.runs), args.goodput)
    add_figures(report, done, args.goodput)
    add_lines(report, done, args.goodput)
    # Hundreds of figures go to the file; the table says what matters of them.
    report.show(args.json, Console(quiet=True))
    console.print(table(done, args.goodput, report.content()["title"]), *report.notes, sep="\n")
    errors = [error for rounds in done.values() for each in rounds for error in each.errors]
    for error in dict.fromkeys(errors):
        console.print(f"failed {errors.count(error)} times: {error}", markup=False)
    return 1 if errors else 0


def _words(objectives: Mapping[str, float]) -> str:
    return ", ".join(f"{name.upper()} up to {limit:g} ms" for name, limit in objectives.items())


def _objective(text: str) -> tuple[str, float]:
    name, _, limit = text.partition(":")
    if name not in OBJECTIVES or not limit.replace(".", "", 1).isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: write ttft, tpot or e2el, a colon and milliseconds, as ttft:500")
    return name, float(limit)


def _levels(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive(part) for part in text.split(",")))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; ends the program on a wrong flag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--base-url", default="http://127.0.0.1:8000/v1", help="of the endpoint (default: %(default)s)")
    where.add_argument(
        "--profile", nargs="?", const="demo", help="start this profile's stack (default: demo) and stop it afterwards"
    )
    parser.add_argument(
        "--dummy-weights",
        action="store_true",
        help="with --profile: random weights of its models' shapes, no downloads",
    )
    parser.add_argument("--model", default="llama-3.2-11b-vision", help="(default: %(default)s)")
    parser.add_argument("--send", type=Sent, choices=list(Sent), default=Sent.IMAGE, help="(default: %(default)s)")
    parser.add_argument("--concurrency", type=_levels, metavar="1,2,4", help="(default: 1,2,4 and so on up to 256)")
    parser.add_argument("--output-tokens", type=positive, default=64, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--ignore-eos",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="have every answer run to its full length; --no-ignore-eos for servers that do not know this",
    )
    parser.add_argument(
        "--goodput",
        "--slo",
        type=_objective,
        nargs="+",
        default=[],
        metavar="ttft:MS",
        help="objectives of a good request, as `vllm bench serve` takes them: ttft, tpot, e2el in milliseconds",
    )
    parser.add_argument("--waves", type=positive, metavar="N", help="requests for each one at a time (default: 4)")
    parser.add_argument("--runs", type=positive, metavar="N", help="rounds through all levels (default: 3)")
    parser.add_argument("--quick", action="store_true", help="1, 4 and 16 at a time, 2 waves, 2 rounds")
    parser.add_argument(
        "--cross-check",
        type=positive,
        nargs="?",
        const=8,
        metavar="N",
        help="compare with vllm bench serve and guidellm at one concurrency (default: 8) instead",
    )
    parser.add_argument(
        "--guidellm",
        default=find_command("guidellm"),
        metavar="PATH",
        help="its command, if it has its own environment",
    )
    parser.add_argument("--seed", type=natural, default=0, help="of the pictures (default: 0)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    args = parser.parse_args(arguments)
    if args.guidellm and shutil.which(args.guidellm) is None:
        parser.error(f"argument --guidellm: {args.guidellm} cannot be run")
    if args.dummy_weights and not args.profile:
        parser.error("--dummy-weights needs --profile")
    args.goodput = dict(args.goodput)
    args.concurrency = args.concurrency or (QUICK if args.quick else CONCURRENCY)
    args.waves = args.waves or (2 if args.quick else 4)
    args.runs = args.runs or (2 if args.quick else 3)
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    args = parse(arguments)
    console = Console()
    try:
        if args.profile is None:
            return report_on(args, args.base_url, console)
        dummy = ["--dummy-weights"] if args.dummy_weights else []
        with running_stack("--profile", args.profile, *dummy, *PORTS) as stack:
            return report_on(args, stack.endpoint, console)
    except (BabelviewError, LoadError, StackError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    run(main)
