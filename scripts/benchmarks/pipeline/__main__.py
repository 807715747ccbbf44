"""Files to stored, translated captions: how fast, beside the published way and beside what the servers can do at best.

    python -m scripts.benchmarks.pipeline --models ./bench-models                  # mid-sized random models, on any CPU
    python -m scripts.benchmarks.pipeline --models ./bench-models --kind video --runs 5 --json pipeline.json
    python -m scripts.benchmarks.pipeline --quick                                  # the demo stack, a few files
    python -m scripts.benchmarks.pipeline --profile gpu-24gb --files ./ads         # starts your stack; your files
    python -m scripts.benchmarks.pipeline --profile gpu-24gb --dummy-weights       # the published shapes, no downloads
    python -m scripts.benchmarks.pipeline --files ./ads --base-url http://127.0.0.1:8000/v1 --translator http://127.0.0.1:8003

Measured from the outside: `python -m client.batch FOLDER --concurrency 32`, start and exit included. Two yardsticks,
measured in turn with it, round by round:

- the published sequential way (`baselines.reference`), on some of the same files, with the same models and lengths;
- the speed of light: the same requests, made ready beforehand, sent to the same servers at the same concurrency by a
  bare loop, the translations' along with the questions, for their texts are known. What a cache would know
  is changed (`baselines.upper_bound`), and each round has new files.

Without --profile or --base-url the models are those of `models.mid_sized`, and answers have --tokens tokens each. Your
own stack answers as long as it likes and is not compared with the published way; your files are divided among rounds.
On a machine without a GPU the client shares the cores with the engines: each CPU-second of it is one less for them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from client.errors import BabelviewError
from client.media.kinds import Kind, by_suffix
from scripts.benchmarks.common.cli import natural, new_file, positive, run
from scripts.benchmarks.common.files import draw_pictures, draw_videos
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.models.mid_sized import TOKENS
from scripts.benchmarks.pipeline.stack import Mid, mid_sized_stack
from scripts.benchmarks.pipeline.systems import WORDS, Rounds, Systems, Where, play_round
from scripts.demo.stack import StackError, running_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.benchmarks.baselines.reference import Reference

DRAW = {Kind.VIDEO: draw_videos, Kind.IMAGE: draw_pictures}
COUNT, QUICK_COUNT = 64, 6
"""Files of a round."""
WARM_UP = 8
FEW = 2
"""Of the user's files, to warm up with."""


def draw_rounds(scratch: Path, kind: Kind, runs: int, count: int, console: Console) -> list[Path]:
    """A folder of new files for every round, and of a few for a warm-up before them."""
    folders = []
    for number in range(runs + 1):
        files = count if number else min(count, WARM_UP)
        console.print(f"drawing {files} {WORDS[kind]}, {number + 1} of {runs + 1} times", style="dim")
        folders.append(scratch / f"{kind}-{number}")
        folders[-1].mkdir()
        DRAW[kind](folders[-1], files, seed=number)
    return folders


def deal_out(scratch: Path, paths: Sequence[Path], kind: Kind, runs: int) -> list[Path]:
    """The user's files as links, a few for a warm-up and the others divided among the rounds."""
    folders = [scratch / f"{kind}-{number}" for number in range(runs + 1)]
    for folder in folders:
        folder.mkdir()
    for number, path in enumerate(paths):
        folder = folders[0] if number < FEW else folders[1 + number % runs]
        (folder / f"{number:05}{path.suffix}").symlink_to(path.resolve())
    return folders


def compare(
    kind: Kind,
    folders: Sequence[Path],
    systems: Systems,
    console: Console,
    *,
    reference: Reference | None = None,
    sample: int = 0,
) -> Rounds:
    """All systems in turn, a round for each of `folders`; the first of them warms up and does not count."""
    warm_up, *others = folders
    play_round(0, warm_up, systems, reference, sample=1)
    rounds = Rounds(kind)
    for number, folder in enumerate(others, 1):
        run, bound, timings = play_round(number, folder, systems, reference, sample)
        rounds.add(run, bound, timings)
        said = f"{WORDS[kind]}, round {number}, {len(run.records)} files: {run.total_s:.1f} s"
        said += f", speed of light {bound.answers.total_s:.1f} s"
        said += f", published way {sum(t.total_s for t in timings):.1f} s for {len(timings)}" if timings else ""
        console.print(said, style="dim")
    return rounds


def measure_mid(kind: Kind, args: argparse.Namespace, scratch: Path, console: Console) -> Rounds:
    """On the mid-sized models, beside the published way."""
    from scripts.benchmarks.baselines.reference import load  # noqa: PLC0415  # torch and transformers take seconds

    models = args.models or scratch / "models"
    folders = draw_rounds(scratch, kind, args.runs, args.count, console)
    mid = Mid(models, kind, args.tokens, beams=args.beams, concurrency=args.concurrency)
    reference = None
    if args.reference:
        reference = load(models, kind, tokens=args.tokens, languages=args.languages, beams=args.beams)
    with mid_sized_stack(mid, scratch / f"stack-{kind}") as (where, prompts):
        systems = Systems(where, scratch, concurrency=args.concurrency, languages=args.languages, prompts=prompts)
        return compare(kind, folders, systems, console, reference=reference, sample=args.reference)


def measure_own(
    where: Where, kinds: Sequence[Kind], args: argparse.Namespace, scratch: Path, console: Console
) -> list[Rounds]:
    """Measure a stack that the user runs or whose profile is given."""
    systems = Systems(where, scratch, concurrency=args.concurrency, languages=args.languages)
    systems.check(kinds)
    results = []
    for kind in kinds:
        if args.files:
            folders = deal_out(scratch, files_of(args.files, kind), kind, args.runs)
        else:
            folders = draw_rounds(scratch, kind, args.runs, args.count, console)
        results.append(compare(kind, folders, systems, console))
    return results


def files_of(folder: Path, kind: Kind) -> list[Path]:
    """The user's files of a kind."""
    return sorted(path for path in folder.rglob("*") if by_suffix(path.suffix) is kind)


def with_enough_files(args: argparse.Namespace, kinds: Sequence[Kind], console: Console) -> list[Kind]:
    """Those kinds of which the user has files for all rounds.

    Raises:
        SystemExit: there are none.
    """
    found = []
    least = FEW + 2 * args.runs
    for kind in kinds:
        count = len(files_of(args.files, kind))
        if count >= least:
            found.append(kind)
        else:
            console.print(f"{args.files}: {count} {WORDS[kind]}; --runs {args.runs} needs {least}")
    if not found:
        raise SystemExit(f"--files {args.files}: not enough files to measure with")
    return found


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed command line; exits with 2 where it contradicts itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("video", "image", "both"), default="both", help="(default: both)")
    parser.add_argument(
        "--runs",
        type=positive,
        help="rounds to take medians of; the client is first in one and the bare loop in the next, so better an even "
        "number (default: 2)",
    )
    parser.add_argument("--count", type=positive, help=f"files to draw for a round (default: {COUNT})")
    parser.add_argument("--concurrency", type=positive, default=32, help="(default: 32)")
    parser.add_argument(
        "--languages", default="spa_Latn,fra_Latn,hin_Deva", help='FLORES codes; "" for none (default: %(default)s)'
    )
    mid = parser.add_argument_group("the mid-sized models")
    mid.add_argument("--models", type=Path, metavar="DIR", help="folder to keep them in (default: a temporary one)")
    mid.add_argument("--tokens", type=positive, help=f"of an answer (default: {TOKENS}, as published)")
    mid.add_argument("--beams", type=positive, help="of translations, ours and the bound's (default: 1, as published)")
    mid.add_argument(
        "--reference", type=natural, metavar="N", help="files of a round for the published way (default: 3)"
    )
    own = parser.add_argument_group("your own stack")
    own.add_argument("--profile", help="of python -m server up: a name or a .toml file")
    own.add_argument("--dummy-weights", action="store_true", help="random weights of its models' shapes, no downloads")
    own.add_argument("--base-url", metavar="URL", help="one that runs already")
    own.add_argument("--translator", metavar="URL", help="its translator")
    own.add_argument("--files", type=Path, metavar="DIR", help="your own files (default: drawn ones)")
    parser.add_argument("--quick", action="store_true", help="one round of a few files, by default on the demo stack")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args(arguments)
    args.languages = [code for code in args.languages.split(",") if code]
    mids = [name for name in ("models", "tokens", "beams", "reference") if getattr(args, name) is not None]
    if args.quick and not (args.base_url or mids):
        args.profile = args.profile or "demo"
    if mids and (args.profile or args.base_url):
        parser.error(f"--{mids[0]} is for the mid-sized models, not for a stack of your own")
    if args.count and args.files:
        parser.error("--count is of drawn files; yours are divided among the rounds")
    args.count = args.count or (QUICK_COUNT if args.quick else COUNT)
    args.runs = args.runs or (1 if args.quick else 2)
    args.tokens, args.beams = args.tokens or TOKENS, args.beams or 1
    args.reference = 3 if args.reference is None else args.reference
    if args.count < 2:
        parser.error("--count: at least 2")
    if args.profile and args.base_url:
        parser.error("give --profile or --base-url, not both")
    if args.dummy_weights and not args.profile:
        parser.error("--dummy-weights needs --profile")
    if args.base_url and args.languages and not args.translator:
        parser.error('--base-url needs --translator, or --languages ""')
    if args.files and not (args.profile or args.base_url):
        parser.error("--files needs --profile or --base-url: the mid-sized models know nothing of your files")
    if args.files and not args.files.is_dir():
        parser.error(f"--files: no such folder: {args.files}")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    args = read_arguments(arguments)
    try:
        measure(args)
    except (BabelviewError, StackError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def measure(args: argparse.Namespace) -> None:
    """Measure and print.

    Raises:
        BabelviewError: a server is not there, or does not know what is asked for.
        StackError: the stack did not start.
    """
    kinds = [Kind(args.kind)] if args.kind != "both" else [Kind.VIDEO, Kind.IMAGE]
    console = Console(stderr=True)
    if args.files:
        kinds = with_enough_files(args, kinds, console)
    title = f"Files to translated captions, {args.concurrency} at once"
    report = Report(title, "aiohttp", "ctranslate2", "torch", "transformers", "vllm")
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as name, ExitStack() as running:
        scratch = Path(name)
        if args.profile or args.base_url:
            where = Where(args.base_url, args.translator)
            if args.profile:
                options: tuple[str, ...] = ("--port", "0", "--translator-port", "0", "--log-dir", str(scratch / "logs"))
                options += ("--dummy-weights",) if args.dummy_weights else ()
                stack = running.enter_context(running_stack("--profile", args.profile, *options))
                where = Where(stack.endpoint, stack.translator, (stack.pid,))
            results = measure_own(where, kinds, args, scratch, console)
            weights = ", random weights" if args.dummy_weights else ""
            report.notes.append(f"stack: {args.profile or args.base_url}{weights}; files: {args.files or 'drawn'}")
        else:
            results = [measure_mid(kind, args, scratch, console) for kind in kinds]
            report.notes.append(
                f"mid-sized random models (models.mid_sized), {args.tokens} tokens an answer, translations of fixed "
                f"length into {len(args.languages)} languages by {args.beams} beams, {args.count} files a round, "
                f"{args.reference} of them the published way"
            )
    if args.quick and not args.files:
        report.notes.append(f"{args.count} files: what is seen is above all the start of the client, once a run")
    for rounds in results:
        rounds.report_on(report)
    report.show(args.json)


if __name__ == "__main__":
    run(main)
