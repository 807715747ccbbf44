"""Draw new clips and pictures, send them through the served stack, and print how much of what it says is exactly right.

    python -m scripts.demo.evaluate --seed 7                 # starts the demo stack by itself, and stops it
    python -m scripts.demo.evaluate --seed 7 --videos 200 --pictures 200
    python -m scripts.demo.evaluate --films 5 --videos 0 --pictures 0     # of three minutes: captions, events ...
    python -m scripts.demo.evaluate --heard 20 --videos 0 --pictures 0    # are descriptions told what is said?
    python -m scripts.demo.evaluate --base-url http://127.0.0.1:8000/v1 --translator http://127.0.0.1:8003

Videos that are heard are drawn twice, with the lines of another one the second time.

Exit code 0 if at least 95 % of the captions and 99 % of the translations are exactly right, and of films 90 % of all
that is said of their time, else 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scripts.demo.sample_ads import read_lines, write_ads
from scripts.demo.sample_films import write_films
from scripts.demo.stack import Stack, StackError, read_results, run_batch, running_stack
from scripts.demo.world import film_score
from scripts.demo.world.films import RATE
from scripts.demo.world.pictures import QUESTIONS as PICTURE_QUESTIONS
from scripts.demo.world.scenes import COLOURS, QUESTIONS
from scripts.demo.world.score import LINES, TASKS, TRANSCRIPT, Score, appears_question, score, score_swaps
from scripts.demo.world.translations import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scripts.demo.world.lines import Line
    from scripts.demo.world.pictures import Picture
    from scripts.demo.world.scenes import Clip
    from scripts.demo.world.score import Share

CAPTIONS_REQUIRED = 0.95
HEARING = tuple(task for task in TASKS if task != "tags")
"""Those of the tasks whose prompts are told what is said."""
SCENES = "scenes"
"""The `--window` of windows that follow the scenes."""
TIMES_REQUIRED = 0.90
"""Of each thing that is looked at in answers about films; of their captions as much as of all others."""
TRANSLATIONS_REQUIRED = 0.99


def show(result: Score, console: Console, wrong: int) -> None:
    """Print the shares as a table, and some of what was wrong."""
    table = Table("what", "exact", "of", "share")

    def rows(shares: Mapping[str, Share], total: str, value: float) -> None:
        for name, share in shares.items():
            table.add_row(name, str(share.right), str(share.total), f"{share.value:.1%}")
        table.add_row(f"[bold]{total}", "", "", f"[bold]{value:.1%}", end_section=True)

    rows(result.captions, "all captions", result.caption_share)
    rows(result.translations, "all translations", result.translation_share)
    console.print(table)
    shares = [*result.captions.values(), *result.translations.values()]
    for line in [*result.failed, *(line for share in shares for line in share.wrong)][:wrong]:
        console.print(f"[red]wrong[/] {line}", highlight=False)


def evaluate(stack: Stack, seed: int, videos: int, pictures: int) -> Score:
    """Draw, caption, translate and score."""
    return score(*ask_all(stack, seed, videos, pictures))


def ask_all(
    stack: Stack, seed: int, videos: int, pictures: int
) -> tuple[list[dict[str, Any]], dict[str, Clip | Picture], dict[str, tuple[Line, ...]]]:
    """Draw, caption and translate: the records, and by file what is true, and what is said in it."""
    colours = random.Random(seed).sample(list(COLOURS), 3)
    with tempfile.TemporaryDirectory(prefix="babelview-eval-") as folder:
        records = []
        truth: dict[str, Clip | Picture] = {}
        said: dict[str, tuple[Line, ...]] = {}
        # Different questions, so different runs. Whether a colour is there at all, the video model has not learned
        # well enough to be asked.
        kinds = (
            ("videos", (videos, 0), (*TASKS, TRANSCRIPT), [*QUESTIONS]),
            ("pictures", (0, pictures), TASKS, [*PICTURE_QUESTIONS, *map(appears_question, colours)]),
        )
        for name, counts, named, asked in kinds:
            if not any(counts):
                continue
            ads, output = Path(folder) / name, Path(folder) / f"{name}-captions"
            truth |= write_ads(ads, seed, *counts)
            said |= read_lines(ads)
            questions = [part for ask in asked for part in ("--question", ask)]
            tasks = ["--tasks", ",".join(named), "--no-hear", *questions]
            run_batch(stack, ads, "--output", output, *tasks, "--languages", ",".join(LANGUAGES))
            records += read_results(output)
        return records, truth, said


def evaluate_heard(stack: Stack, seed: int, count: int) -> Score:
    """Draw videos, each with two different sounds, and score what is said of those that are told what they sound like.

    Each two of the same pictures count once more: whether both descriptions name their own lines.
    """
    with tempfile.TemporaryDirectory(prefix="babelview-eval-") as folder:
        drawn, output = Path(folder) / "heard", Path(folder) / "captions"
        truth = write_ads(drawn, seed, count, 0, swaps=True)
        said = read_lines(drawn)
        tasks = ["--tasks", ",".join((*HEARING, TRANSCRIPT)), "--hear"]
        run_batch(stack, drawn, "--output", output, *tasks, "--languages", ",".join(LANGUAGES))
        records = read_results(output)
    result = score(records, truth, said)
    score_swaps(result, records, said)
    return result


def evaluate_films(stack: Stack, seed: int, count: int, length_s: float, window: str) -> Score:
    """Draw films, ask what is seen and what happens when, translate and score."""
    with tempfile.TemporaryDirectory(prefix="babelview-eval-") as folder:
        drawn, output = Path(folder) / "films", Path(folder) / "captions"
        truth = write_films(drawn, seed, count, length_s)
        tasks = ["--tasks", ",".join(film_score.TASKS), "--no-hear", "--window", window]
        run_batch(stack, drawn, "--output", output, *tasks, "--languages", ",".join(LANGUAGES))
        tolerance_s = 1 / RATE if window == SCENES else float(window)
        return film_score.score_films(read_results(output), truth, tolerance_s)


def is_enough(result: Score) -> bool:
    """Whether so much of it is right that it can be called right; of few lines that are heard one may be wrong."""
    heard = [result.captions[what] for what in LINES if what in result.captions]
    well = all(len(share.wrong) <= max(1, (1 - CAPTIONS_REQUIRED) * share.total) for share in heard)
    return well and result.caption_share >= CAPTIONS_REQUIRED and result.translation_share >= TRANSLATIONS_REQUIRED


def is_enough_of_films(result: Score) -> bool:
    """The same of films."""
    said = result.captions
    required = {what: CAPTIONS_REQUIRED if what == "captions" else TIMES_REQUIRED for what in said}
    right = all(said[what].value >= least for what, least in required.items())
    return bool(said) and right and not result.failed and result.translation_share >= TRANSLATIONS_REQUIRED


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2, help="clips are drawn anew for each seed (default: 2)")
    parser.add_argument("--videos", type=int, default=40, help="how many clips (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=40, help="how many pictures (default: %(default)s)")
    parser.add_argument("--heard", type=int, default=0, help="how many videos that are heard (default: none)")
    parser.add_argument("--films", type=int, default=0, help="how many films (default: none)")
    parser.add_argument("--film-seconds", type=float, default=180.0, help="length of each (default: %(default)s)")
    parser.add_argument("--window", default="10", help="of films, as in babelview batch (default: %(default)s)")
    parser.add_argument("--base-url", help="a running stack's OpenAI API; without it one is started")
    parser.add_argument("--translator", default="http://127.0.0.1:8003", help="its translator (default: %(default)s)")
    parser.add_argument("--wrong", type=int, default=10, help="how many wrong answers to print (default: 10)")
    args = parser.parse_args()
    counts = (args.videos, args.pictures, args.heard, args.films)
    if min(counts) < 0 or not any(counts):
        parser.error("--videos, --pictures, --heard and --films: at least one of something")
    running = nullcontext(Stack(args.base_url, args.translator, 0)) if args.base_url else running_stack()
    results: list[Score] = []
    right = True
    try:
        with running as stack:
            if args.videos + args.pictures:
                results.append(evaluate(stack, args.seed, args.videos, args.pictures))
                right = is_enough(results[-1])
            if args.heard:
                results.append(evaluate_heard(stack, args.seed, args.heard))
                right = right and is_enough(results[-1])
            if args.films:
                results.append(evaluate_films(stack, args.seed, args.films, args.film_seconds, args.window))
                right = right and is_enough_of_films(results[-1])
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    for result in results:
        show(result, Console(), args.wrong)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
