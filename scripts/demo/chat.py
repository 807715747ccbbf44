"""Ten questions in a row about each of some new drawn pictures and videos: how many answers are exactly right.

    python -m scripts.demo.chat                              # starts the demo stack by itself, and stops it
    python -m scripts.demo.chat --files 20 --base-url http://127.0.0.1:8000/v1

The questions are those that the demo models have learned, in any order, in one conversation of `client.Babelview.chat`
a file. Beside them stands what the engines' caches gave of the second to tenth question, by vLLM's own counters. Exit
code 0 if 95 % of the answers are right.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from client import Babelview
from client.errors import RequestError
from client.tasks.answers import read_tags
from scripts.demo.caches import counters
from scripts.demo.models.conversation import PICTURE, VIDEO
from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import Stack, StackError, running_stack
from scripts.demo.world.pictures import Picture, appears_answer
from scripts.demo.world.scenes import COLOURS
from scripts.demo.world.score import TASKS, appears_question

if TYPE_CHECKING:
    from scripts.demo.world.scenes import Clip

QUESTIONS = 10
REQUIRED = 0.95


def questions(shown: Clip | Picture, rng: random.Random) -> list[tuple[str | None, str | None, str]]:
    """(question, task, the right answer) of ten turns, in any order; the tasks of `prompts/` are four of them."""
    topic = PICTURE if isinstance(shown, Picture) else VIDEO
    asked: list[tuple[str | None, str | None, str]] = [(None, task, topic.answers[task](shown)) for task in TASKS]
    kinds = [kind for kind in topic.wordings if kind not in (*TASKS, "appears", topic.first)]
    if isinstance(shown, Picture):
        asked += [(topic.wordings[kind][0], None, topic.answers[kind](shown)) for kind in kinds]
        colours = rng.sample(list(COLOURS), QUESTIONS - len(asked))
        asked += [(appears_question(colour), None, appears_answer(shown, colour)) for colour in colours]
    else:
        wordings = [(kind, wording) for kind in kinds for wording in topic.wordings[kind]]
        chosen = rng.sample(wordings, QUESTIONS - len(asked))
        asked += [(wording.format(it=topic.word), None, topic.answers[kind](shown)) for kind, wording in chosen]
    rng.shuffle(asked)
    return asked


async def ask_all(base_url: str, seed: int, files: int) -> tuple[Counter[str], list[str], Counter[str]]:
    """How many answers there were and how many were right, by kind of file; the wrong ones; the caches' counters."""
    rng, counts, wrong = random.Random(seed), Counter[str](), []
    caches: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="babelview-chat-") as folder:
        truth = write_ads(Path(folder), seed, files, files)
        async with Babelview(base_url) as bv:
            for name, shown in truth.items():
                kind = "pictures" if isinstance(shown, Picture) else "videos"
                talk = bv.chat(Path(folder) / name)
                for number, (question, task, right) in enumerate(questions(shown, rng)):
                    if number == 1:
                        before = await counters(base_url)
                    try:
                        said = (await talk.ask(question, task=task)).text
                    except RequestError as error:
                        said = str(error)
                    is_right = said == right or (task == "tags" and read_tags(said).items == read_tags(right).items)
                    counts.update({kind: 1, f"{kind}, right": is_right})
                    if not is_right:
                        wrong.append(f"{name}, {number + 1}, {question or task}: {said!r}, not {right!r}")
                caches.update(await counters(base_url))
                caches.subtract(before)
                await talk.close()
    return counts, wrong, caches


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10, help="of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--wrong", type=int, default=10, help="how many wrong answers to print (default: %(default)s)")
    parser.add_argument("--base-url", help="a running stack's OpenAI API; without it one is started")
    args = parser.parse_args()
    if args.files < 1:
        parser.error("--files: 1 at least")
    running = nullcontext(Stack(args.base_url, "", 0)) if args.base_url else running_stack()
    try:
        with running as stack:
            counts, wrong, caches = asyncio.run(ask_all(stack.endpoint, args.seed, args.files))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    console, enough = Console(), True
    table = Table("about", "answers", "right", "share")
    for kind in ("pictures", "videos"):
        right, total = counts[f"{kind}, right"], counts[kind]
        enough = enough and right >= REQUIRED * total
        table.add_row(kind, str(total), str(right), f"{right / total:.1%}")
    console.print(table)
    for what in sorted(name.removesuffix(" hits") for name in caches if name.endswith(" hits")):
        asked, hits = caches[f"{what} queries"], caches[f"{what} hits"]
        if asked:
            console.print(f"{what}: {hits:,} of {asked:,} from the second question on ({hits / asked:.1%})")
    for line in wrong[: args.wrong]:
        console.print(f"[red]wrong[/] {line}", highlight=False)
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
