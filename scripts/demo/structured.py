"""Ask the served demo models for JSON by every schema of `prompts/`, with the server's guide and without it.

    python -m scripts.demo.structured                        # starts the demo stack by itself, and stops it
    python -m scripts.demo.structured --answers 100 --base-url http://127.0.0.1:8000/v1

The questions are those of the batch client, about drawn pictures, clips and films, most of which the models have not
learned to answer. Answers are sampled, so that they differ. Exit code 0 if all answers with the guide are valid by
their schemas, and some without it are not.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle, islice
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console
from rich.table import Table

from client.endpoints.chat import ModelClient
from client.media.content import Content, Facts, Frame
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks import structured
from client.tasks.plan import make_plan
from client.tasks.prompt import ANSWERS
from client.tasks.schemas import is_structured
from client.tasks.steps import OverKind
from client.tasks.tasks import choose_tasks
from scripts.demo.models.merges import MergeTalk
from scripts.demo.models.windows import WindowTalk, about
from scripts.demo.stack import Stack, StackError, running_stack
from scripts.demo.world.draw import draw_picture, draw_scene, random_style
from scripts.demo.world.pictures import random_picture

if TYPE_CHECKING:
    import numpy as np

    from client.tasks.plan import Request

MODELS = {Kind.IMAGE: "llama-3.2-11b-vision", Kind.VIDEO: "llava-next-video-7b"}
TASKS = ("chapters", "events", "highlights", "elements", "mood", "moderation", "ad_facts")
"""Those of `prompts/` with a schema."""
TEMPERATURE = 0.7
NOTES_S = 100.0
"""Length of the films that notes are about."""
SIZE = (192, 108)
AT_ONCE = 16
PLAIN = "text"
"""The reader of answers without a schema: nothing is said of one to the server then."""


def requests() -> list[tuple[Kind, Request]]:
    """All that the batch client would ask with a schema."""
    plan = make_plan(choose_tasks(list(TASKS), []), MODELS, TEMPERATURE, Sampling(), ())
    asked = [(kind, request) for kind, of_kind in plan.requests.items() for request in of_kind]
    return [(kind, request) for kind, request in asked if is_structured(request.answer)]


class Draw:
    """Draws what is asked about."""

    def __init__(self, seed: int) -> None:
        """The same seed draws the same."""
        self.rng = random.Random(seed)
        self.windows, self.merges = WindowTalk(self.rng), MergeTalk(self.rng)

    def filled(self, request: Request) -> Request:
        """A request with a time, or with notes, in its prompt."""
        notes = "\n".join(map(str, self.merges.notes(NOTES_S))) if ANSWERS in request.prompt else ""
        return replace(request, prompt=about(request.prompt, self.windows.any_span()).replace(ANSWERS, notes))

    def content(self, kind: Kind, request: Request) -> Content | None:
        """What is shown; None for a merge."""
        if request.over.kind is OverKind.MERGE:
            return None
        style = random_style(self.rng)
        if kind is Kind.IMAGE:
            shown = [draw_picture(random_picture(self.rng), style, *SIZE)]
        else:
            shown = [draw_scene(scene, style, *SIZE) for scene in self.windows.clip().seen]
        return Content(kind, Facts(*SIZE), [Frame(at, _jpeg(pixels)) for at, pixels in enumerate(shown)])


def _jpeg(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=90)
    return written.getvalue()


async def count(base_url: str, answers: int, seed: int) -> dict[str, Counter[str]]:
    """How many answers to each prompt there were, and how many were valid, with the guide and without it."""
    draw, found = Draw(seed), dict[str, Counter[str]]()
    model = ModelClient(base_url, None, deadline_s=300, wait_s=60, notify=print, stop=asyncio.Event())
    at_once = asyncio.Semaphore(AT_ONCE)

    async def ask(kind: Kind, request: Request) -> None:
        counts = found.setdefault(f"{request.task}, {request.step or kind}", Counter())
        question, content = draw.filled(request), draw.content(kind, request)
        parts = model.parts(content) if content else b""
        async with at_once:
            guided = await model.ask(question, parts, request.task)
            free = await model.ask(replace(question, answer=PLAIN), parts, request.task)
        problems = {
            way: structured.read(request.answer, said.text)[1] for way, said in (("guided", guided), ("free", free))
        }
        counts.update({"answers": 1} | {way: problem is None for way, problem in problems.items()})

    try:
        await model.check(set(MODELS.values()))
        async with asyncio.TaskGroup() as group:
            for kind, request in islice(cycle(requests()), answers):
                group.create_task(ask(kind, request))
    finally:
        await model.close()
    return found


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=500, help="how many of each sort (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is shown (default: %(default)s)")
    parser.add_argument("--base-url", help="a running stack's OpenAI API; without it one is started")
    args = parser.parse_args()
    if args.answers < 1:
        parser.error("--answers: 1 at least")
    running = nullcontext(Stack(args.base_url, "", 0)) if args.base_url else running_stack()
    try:
        with running as stack:
            found = asyncio.run(count(stack.endpoint, args.answers, args.seed))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    total = sum(found.values(), Counter())
    table = Table("asked", "answers", "valid with the guide", "valid without it")
    for name, counts in [*sorted(found.items()), ("[bold]all", total)]:
        table.add_row(name, *(str(counts[column]) for column in ("answers", "guided", "free")))
    Console().print(table)
    return 0 if total["guided"] == total["answers"] > total["free"] else 1


if __name__ == "__main__":
    sys.exit(main())
