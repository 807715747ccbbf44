"""Draw new clips and pictures, send them through the served stack, and print how much is exactly right.

    python -m scripts.demo.evaluate --seed 7                 # starts the demo stack by itself, and stops it
    python -m scripts.demo.evaluate --seed 7 --videos 200 --pictures 200
    python -m scripts.demo.evaluate --base-url http://127.0.0.1:8000/v1 --translator http://127.0.0.1:8003

Exit code 0 if at least 95 % of the captions and 99 % of the translations are exactly right, else 1.
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

from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import Stack, StackError, read_results, run_batch, running_stack
from scripts.demo.world.pictures import QUESTIONS as PICTURE_QUESTIONS
from scripts.demo.world.scenes import COLOURS, QUESTIONS
from scripts.demo.world.score import TASKS, Score, appears_question, score
from scripts.demo.world.translations import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.demo.world.pictures import Picture
    from scripts.demo.world.scenes import Clip
    from scripts.demo.world.score import Share

CAPTIONS_REQUIRED = 0.95
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
    colours = random.Random(seed).sample(list(COLOURS), 3)
    with tempfile.TemporaryDirectory(prefix="babelview-eval-") as folder:
        records = []
        truth: dict[str, Clip | Picture] = {}
        # Different questions, so different runs. Whether a colour is there at all, the video model has not learned
        # well enough to be asked.
        kinds = (
            ("videos", (videos, 0), [*QUESTIONS]),
            ("pictures", (0, pictures), [*PICTURE_QUESTIONS, *map(appears_question, colours)]),
        )
        for name, counts, asked in kinds:
            if not any(counts):
                continue
            ads, output = Path(folder) / name, Path(folder) / f"{name}-captions"
            truth |= write_ads(ads, seed, *counts)
            questions = [part for ask in asked for part in ("--question", ask)]
            tasks = ["--tasks", ",".join(TASKS), *questions]
            run_batch(stack, ads, "--output", output, *tasks, "--languages", ",".join(LANGUAGES))
            records += read_results(output)
        return score(records, truth)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2, help="clips are drawn anew for each seed (default: 2)")
    parser.add_argument("--videos", type=int, default=40, help="how many clips (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=40, help="how many pictures (default: %(default)s)")
    parser.add_argument("--base-url", help="a running stack's OpenAI API; without it one is started")
    parser.add_argument("--translator", default="http://127.0.0.1:8003", help="its translator (default: %(default)s)")
    parser.add_argument("--wrong", type=int, default=10, help="how many wrong answers to print (default: 10)")
    args = parser.parse_args()
    if args.videos < 0 or args.pictures < 0 or not args.videos + args.pictures:
        parser.error("--videos and --pictures: at least one of something")
    running = nullcontext(Stack(args.base_url, args.translator, 0)) if args.base_url else running_stack()
    try:
        with running as stack:
            result = evaluate(stack, args.seed, args.videos, args.pictures)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    show(result, Console(), args.wrong)
    enough = result.caption_share >= CAPTIONS_REQUIRED and result.translation_share >= TRANSLATIONS_REQUIRED
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
