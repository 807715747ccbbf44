"""Files to stored, translated captions: how fast, beside the published way and beside what the servers can do at best.

    python scripts/bench_pipeline.py --models ./bench-models                  # mid-sized random models, on any CPU
    python scripts/bench_pipeline.py --models ./bench-models --kind video --runs 5 --json pipeline.json
    python scripts/bench_pipeline.py --quick                                  # the demo stack, a few files
    python scripts/bench_pipeline.py --profile gpu-24gb --files ./ads         # starts your stack; your files
    python scripts/bench_pipeline.py --files ./ads --base-url http://127.0.0.1:8000/v1 --translator http://127.0.0.1:8003

Measured from the outside: `python -m client.batch FOLDER --concurrency 32`, start and exit included. Two yardsticks,
measured in turn with it, round by round:

- the published sequential way (`bench_reference.py`), on some of the same files, with the same models and lengths;
- the speed of light: the same requests, made ready beforehand, sent to the same servers at the same concurrency by a
  bare loop, the translations' along with the questions, for their texts are known. What a cache would know
  is changed (`bench_light.py`), and each round has new files.

Without --profile or --base-url the models are those of `bench_models.py`, and answers have --tokens tokens each. Your
own stack answers as long as it likes and is not compared with the published way; your files are divided among rounds.
On a machine without a GPU the client shares the cores with the engines: each CPU-second of it is one less for them.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench_files import draw_pictures, draw_videos
from bench_mid_stack import Mid, mid_stack
from bench_report import Report
from bench_sides import WORDS, Rounds, Sides, Where, play_round
from demo_stack import StackError, running_stack
from rich.console import Console

from client.media.kinds import Kind, by_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench_reference import Reference

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
    sides: Sides,
    console: Console,
    *,
    reference: Reference | None = None,
    sample: int = 0,
) -> Rounds:
    """All sides in turn, a round for each of `folders`; the first of them warms up and does not count."""
    warm_up, *others = folders
    play_round(0, warm_up, sides, reference, sample=1)
    rounds = Rounds(kind)
    for number, folder in enumerate(others, 1):
        run, light, timings = play_round(number, folder, sides, reference, sample)
        rounds.add(run, light, timings)
        said = f"{WORDS[kind]}, round {number}, {len(run.records)} files: {run.seconds:.1f} s"
        said += f", speed of light {light.answers.seconds:.1f} s"
        said += f", published way {sum(t.seconds for t in timings):.1f} s for {len(timings)}" if timings else ""
        console.print(said, style="dim")
    return rounds


def measure_mid(kind: Kind, args: argparse.Namespace, scratch: Path, console: Console) -> Rounds:
    """On the mid-sized models, beside the published way."""
    from bench_reference import load  # noqa: PLC0415  # torch and transformers take seconds

    models = args.models or scratch / "models"
    folders = draw_rounds(scratch, kind, args.runs, args.count, console)
    mid = Mid(models, kind, args.tokens, beams=args.beams, concurrency=args.concurrency)
    reference = None
    if args.reference:
        reference = load(models, kind, tokens=args.tokens, languages=args.languages, beams=args.beams)
    with mid_stack(mid, scratch / f"stack-{kind}") as (where, prompts):
        sides = Sides(where, scratch, concurrency=args.concurrency, languages=args.languages, prompts=prompts)
        return compare(kind, folders, sides, console, reference=reference, sample=args.reference)


def measure_own(
    where: Where, kinds: Sequence[Kind], args: argparse.Namespace, scratch: Path, console: Console
) -> list[Rounds]:
    """On a stack that is the user's."""
    sides = Sides(where, scratch, concurrency=args.concurrency, languages=args.languages)
    results = []
    for kind in kinds:
        if not args.files:
            folders = draw_rounds(scratch, kind, args.runs, args.count, console)
        else:
            paths = sorted(path for path in args.files.rglob("*") if by_suffix(path.suffix) is kind)
            least = FEW + 2 * args.runs
            if len(paths) < least:
                console.print(f"{args.files}: {len(paths)} {WORDS[kind]}; --runs {args.runs} needs {least}")
                continue
            folders = deal_out(scratch, paths, kind, args.runs)
        results.append(compare(kind, folders, sides, console))
    return results


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("video", "image", "both"), default="both", help="(default: both)")
    parser.add_argument(
        "--runs",
        type=int,
        default=2,
        help="rounds to take medians of; the client is first in one and the bare loop in the next, so better an even "
        "number (default: 2)",
    )
    parser.add_argument("--count", type=int, default=COUNT, help=f"files to draw for a round (default: {COUNT})")
    parser.add_argument("--concurrency", type=int, default=32, help="(default: 32)")
    parser.add_argument(
        "--languages", default="spa_Latn,fra_Latn,hin_Deva", help='FLORES codes; "" for none (default: %(default)s)'
    )
    mid = parser.add_argument_group("the mid-sized models")
    mid.add_argument("--models", type=Path, metavar="DIR", help="folder to keep them in (default: a temporary one)")
    mid.add_argument("--tokens", type=int, default=220, help="of an answer (default: 220, as published)")
    mid.add_argument("--beams", type=int, default=1, help="of translations, both sides (default: 1, as published)")
    mid.add_argument(
        "--reference", type=int, default=3, metavar="N", help="files of a round for the published way (default: 3)"
    )
    own = parser.add_argument_group("your own stack")
    own.add_argument("--profile", help="of python -m server up: a name or a .toml file")
    own.add_argument("--base-url", metavar="URL", help="one that runs already")
    own.add_argument("--translator", metavar="URL", help="its translator")
    own.add_argument("--files", type=Path, metavar="DIR", help="your own files (default: drawn ones)")
    parser.add_argument("--quick", action="store_true", help="one round of a few files, by default on the demo stack")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    args = parser.parse_args(arguments)
    args.languages = [code for code in args.languages.split(",") if code]
    if args.quick:
        args.count, args.runs = min(args.count, QUICK_COUNT), 1
        args.profile = args.profile or (None if args.base_url or args.models else "demo")
    if min(args.runs, args.concurrency, args.tokens, args.beams) < 1 or args.count < 2 or args.reference < 0:
        parser.error("too small: --count is at least 2, --reference 0 and all others 1")
    if args.profile and args.base_url:
        parser.error("give --profile or --base-url, not both")
    if args.base_url and args.languages and not args.translator:
        parser.error('--base-url needs --translator, or --languages ""')
    if args.files and not (args.profile or args.base_url):
        parser.error("--files needs --profile or --base-url: the mid-sized models know nothing of your files")
    if args.files and not args.files.is_dir():
        parser.error(f"--files: no such folder: {args.files}")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    args = read_arguments(arguments)
    kinds = [Kind(args.kind)] if args.kind != "both" else [Kind.VIDEO, Kind.IMAGE]
    console = Console(stderr=True)
    report = Report(f"Files to translated captions, {args.concurrency} at once", "aiohttp", "torch", "transformers")
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as name, ExitStack() as running:
        scratch = Path(name)
        if args.profile or args.base_url:
            where = Where(args.base_url, args.translator)
            if args.profile:
                options = ("--port", "0", "--translator-port", "0", "--log-dir", str(scratch / "logs"))
                try:
                    stack = running.enter_context(running_stack("--profile", args.profile, *options))
                except StackError as error:
                    raise SystemExit(str(error)) from error
                where = Where(stack.endpoint, stack.translator, (stack.pid,))
            results = measure_own(where, kinds, args, scratch, console)
            report.notes.append(f"stack: {args.profile or args.base_url}; files: {args.files or 'drawn'}")
        else:
            results = [measure_mid(kind, args, scratch, console) for kind in kinds]
            report.notes.append(
                f"mid-sized random models (bench_models.py), {args.tokens} tokens an answer, translations of fixed "
                f"length into {len(args.languages)} languages by {args.beams} beams, {args.count} files a round, "
                f"{args.reference} of them the published way"
            )
    if args.quick:
        report.notes.append(f"{args.count} files: what is seen is above all the start of the client, once a run")
    for rounds in results:
        rounds.report_on(report)
    report.show(args.json)


if __name__ == "__main__":
    main()
