"""Everything that is measured on a GPU, and the documentation's rows about it: one command for who has a card.

    python -m scripts.benchmarks.gpu --profile gpu-80gb --dummy-weights    # the published shapes, nothing to download
    python -m scripts.benchmarks.gpu --profile gpu-80gb                    # the published weights
    python -m scripts.benchmarks.gpu --profile gpu-80gb --quick            # fewer levels and files
    python -m scripts.benchmarks.gpu --rows                                # write the rows again, of what is there

Runs the selftest, every model of the profile under load (`benchmarks.server`), and files to captions
(`benchmarks.pipeline`), each with its JSON in --output; makes plots and a page of them; then writes the table under "On
a GPU" in docs/benchmarks.md and the line in README.md. Without a GPU all of it runs, but nothing is written there: it
prints the rows. What fails is named, and its rows stay out. Exit code: 0 all ran and nothing failed, 1 something did.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from scripts.benchmarks.__main__ import ROOT, run_one, write_page
from scripts.benchmarks.common.cli import INTERRUPTED, run
from scripts.benchmarks.common.page import number
from scripts.benchmarks.common.places import fill
from server.errors import ServerError
from server.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from server.profile import Profile

OWNER = "scripts.benchmarks.gpu"
SELFTEST, PIPELINE = "selftest", "pipeline"
HEAD = "| what | measured | beside |\n| --- | --- | --- |"
FILES = {"pictures": "pictures to captions", "videos": "videos to captions"}


@dataclass(frozen=True)
class Step:
    """One program that measures: `arguments` of python, and where its JSON comes out."""

    name: str
    arguments: tuple[str, ...]
    prints: bool = False
    """Whether its JSON is its standard output; else it is told the file by `--json FILE`."""

    def command(self, results: Path) -> list[str]:
        """What is run; `results` is the folder for its JSON file."""
        told = ["--json"] if self.prints else ["--json", str(self.file(results))]
        return [sys.executable, "-m", *self.arguments, *told]

    def file(self, results: Path) -> Path:
        """Its JSON file."""
        return results / f"{self.name}.json"

    def run(self, results: Path) -> int:
        """Its exit code."""
        if not self.prints:
            return run_one(self.command(results))
        with self.file(results).open("wb") as out:
            return run_one(self.command(results), out)


def steps(name: str, profile: Profile, *, dummy: bool, quick: bool) -> list[Step]:
    """What is run for a profile: the selftest, each model that answers with what it looks at, and the pipeline."""
    of = ("--profile", name, *(("--dummy-weights",) if dummy else ()))
    fast = ("--quick",) if quick else ()
    found = [Step(SELFTEST, ("server", "selftest", *of), prints=True)]
    for engine in profile.engines:
        if engine.task == "generate":
            sent = "video" if engine.max_frames else "image"
            asked = ("--model", engine.name, "--send", sent)
            found.append(Step(f"server-{engine.name}", ("scripts.benchmarks.server", *of, *asked, *fast)))
    return [*found, Step(PIPELINE, ("scripts.benchmarks.pipeline", *of, *fast))]


def read(planned: Sequence[Step], results: Path) -> dict[str, dict[str, Any]]:
    """What was measured, by the step's name; what is no report was not."""
    found = {}
    for step in planned:
        try:
            report = json.loads(step.file(results).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if (
            isinstance(report, dict)
            and ({"checks", "gpus"} if step.prints else {"figures", "machine"}) <= report.keys()
        ):
            found[step.name] = report
    return found


def gpus_of(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The cards that all of it was measured on, as the reports name them; empty: none, or not the same ones."""
    named = {
        ", ".join(report["gpus"]) if name == SELFTEST else str(report["machine"]["gpu"])
        for name, report in found.items()
    }
    return named.pop() if len(named) == 1 else ""


def rows(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The table's rows: what, how much, and beside what."""
    made = list(_selftest_rows(found.get(SELFTEST, {})))
    for name, report in found.items():
        if name.startswith("server-"):
            made += _load_rows(name.removeprefix("server-"), report)
    return [*made, *_pipeline_rows(found.get(PIPELINE, {}))]


def _selftest_rows(report: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    checks = report.get("checks", [])
    if not checks:
        return
    counts = [f"{sum(c['outcome'] == kind for c in checks)} {kind}" for kind in ("pass", "fail", "not run")]
    yield f"`babelview selftest --profile {report['profile']}`", ", ".join(counts), f"{report['took_s']:.0f} s"
    for check in checks:
        figures, about = check["figures"], check["about"]
        if check["outcome"] != "pass":
            continue
        if "share" in figures:
            rate = figures["limit_per_s"] * figures["share"]
            beside = f"{100 * figures['share']:.2g} % of what the card can do at most"
            yield f"{about}, {check['check']}", _short(rate), beside
        elif "taken_bytes" in figures:
            taken, computed = (figures[key] / 2**30 for key in ("taken_bytes", "computed_bytes"))
            yield f"{about}, memory", f"{taken:.2f} GiB", f"{computed:.2f} GiB, computed by `babelview check`"


def _load_rows(model: str, report: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """The level of concurrency with the most answers a second."""
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    levels = {name.partition(", ")[2]: value for name, value in figures.items() if name.startswith("throughput, ")}
    if not levels:
        return
    level = max(levels, key=levels.__getitem__)
    tokens, first = figures[f"output, {level}"], figures[f"TTFT p50, {level}"]
    beside = f"{level}; first token after {_short(first)} ms (median)"
    yield f"{model}, at most", f"{_short(levels[level])} requests/s, {_short(tokens)} tokens/s", beside


def _pipeline_rows(report: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for figure in report.get("figures", []):
        kind, _, what = figure["name"].partition(", ")
        if what == "beside the speed of light":
            share = f"{figure['ratio']:.2g} of the speed of light ({_short(figure['baseline'])})"
            yield f"{FILES[kind]}: files/s", _short(figure["value"]), share


def table(found: Mapping[str, Mapping[str, Any]], gpus: str) -> str:
    """The documentation's table."""
    versions = found.get(PIPELINE, found.get(SELFTEST, {})).get("versions", {})
    notes = " ".join(note for note in found.get(PIPELINE, {}).get("notes", []) if note.startswith("stack:"))
    with_what = ", ".join(f"{name} {version}" for name, version in versions.items() if name in {"vllm", "torch"})
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows(found)]
    return f"On {gpus} ({'; '.join(filter(None, (with_what, notes)))}):\n\n" + "\n".join([HEAD, *lines])


def line(found: Mapping[str, Mapping[str, Any]], gpus: str) -> str:
    """README's line: how much of what is possible."""
    told = [
        f"{what} {much} ({beside})" for what, much, beside in rows(found) if "a second" in what or "files/s" in what
    ]
    return f"- On {gpus}: {'; '.join(told) or 'nothing was measured'}."


def write(found: Mapping[str, Mapping[str, Any]], root: Path, console: Console) -> None:
    """Print the rows; write them into the documentation under `root` if they are of a GPU."""
    gpus = gpus_of(found)
    console.print(table(found, gpus or "no GPU"), markup=False, highlight=False, soft_wrap=True)
    if not gpus:
        console.print("not written into the documentation: these are not of one machine with a GPU", style="yellow")
        return
    fill(root / "docs/benchmarks.md", OWNER, table(found, gpus))
    fill(root / "README.md", OWNER, line(found, gpus))
    console.print("written: docs/benchmarks.md, README.md; what README's Status says of GPUs is yours to change")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Command line: 0 all ran, 1 one failed, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="gpu-80gb", help="a name or a .toml file (default: %(default)s)")
    parser.add_argument("--dummy-weights", action="store_true", help="random weights of its models' shapes")
    parser.add_argument("--quick", action="store_true", help="fewer levels of concurrency, fewer files")
    parser.add_argument("--rows", action="store_true", help="measure nothing: write the rows of what --output holds")
    parser.add_argument("--list", action="store_true", help="show the commands and run nothing")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-results/gpu", metavar="DIR")
    args = parser.parse_args(arguments)
    console, results, failed, code = Console(), args.output.resolve(), [], 0
    try:
        planned = steps(args.profile, load_profile(args.profile), dummy=args.dummy_weights, quick=args.quick)
        results.mkdir(parents=True, exist_ok=True)
    except (ServerError, OSError) as error:
        parser.error(str(error))
    if args.list:
        for step in planned:
            print(shlex.join(["python", *step.command(results)[1:]]))
        return 0
    for step in [] if args.rows else planned:  # what an earlier run measured must not stand for this one
        step.file(results).unlink(missing_ok=True)
    for step in [] if args.rows else planned:
        console.rule(step.name)
        try:
            if code := step.run(results):
                failed.append(f"{step.name}: exit code {code}")
        except KeyboardInterrupt:  # what was measured is reported all the same
            failed.append("interrupted")
            break
    found = read(planned, results)
    if not found:
        console.print(f"{results} holds no results", style="bold red")
        return 1
    write_page(results, f"Babelview: {args.profile}")
    write(found, root, console)
    for problem in failed:
        console.print(f"failed: {problem}", style="bold red")
    return INTERRUPTED if "interrupted" in failed else int(bool(failed))


def _short(value: float) -> str:
    return number(float(f"{value:.3g}"))


if __name__ == "__main__":
    run(main)
