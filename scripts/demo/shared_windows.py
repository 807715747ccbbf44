"""What several tasks over the same windows of a film cost beside one task, by vLLM's own counters.

    python -m scripts.demo.shared_windows                        # starts the demo stack by itself, and stops it
    python -m scripts.demo.shared_windows --films 2 --base-url http://127.0.0.1:8000/v1

New films are asked with one task, and others with five. A window's frames are the same in all its requests and come
first, so the server looks at them once: what is left of a further task is the text of its prompt. In the demo model a
frame is 16 tokens, fewer than most of these texts; the last column is what the same counts are where it is 144, as
published. Exit code 0 if the caches gave the frames of every further request.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from client import Babelview
from scripts.demo.caches import counters
from scripts.demo.models.video import TOKENS_PER_FRAME
from scripts.demo.sample_films import write_films
from scripts.demo.stack import Stack, StackError, running_stack
from scripts.demo.world.scenes import MOMENTS

MODEL = "llava-next-video-7b"
ONE = ("captions",)
FIVE = ("captions", "events", "highlights", "moderation", "elements")
"""Each has a `window.md` of its own."""
WINDOW_S, LENGTH_S = 10, 60.0
PUBLISHED_TOKENS_PER_FRAME = 144
"""Of LLaVA-NeXT-Video 7B."""


@dataclass(frozen=True)
class Cost:
    """What the server read for some tasks."""

    tasks: int
    windows: int
    asked: int
    """Tokens of all prompts, frames among them."""
    computed: int
    """Of these, those that no cache gave."""

    @property
    def a_window(self) -> float:
        """Tokens computed for a window."""
        return self.computed / self.windows

    @property
    def a_published_window(self) -> float:
        """The same, of frames of the published size, computed as often as these were."""
        computed_once = self.frames_given or self.tasks == 1
        times = 1 if computed_once else self.tasks
        return self.a_window + times * MOMENTS * (PUBLISHED_TOKENS_PER_FRAME - TOKENS_PER_FRAME)

    @property
    def frames_given(self) -> bool:
        """Whether no frame was computed for a second task: at least its tokens came from a cache."""
        frames = TOKENS_PER_FRAME * MOMENTS
        return self.asked - self.computed >= frames // 16 * 16 * self.windows * (self.tasks - 1)


async def cost(base_url: str, tasks: tuple[str, ...], seed: int, films: int, length_s: float = LENGTH_S) -> Cost:
    """Ask new films with some tasks, one film after the other."""
    with tempfile.TemporaryDirectory(prefix="babelview-windows-") as name:
        written = write_films(Path(name), seed, films, length_s)
        before = await counters(base_url)
        async with Babelview(base_url) as bv:
            for film in written:
                record = await bv.caption(Path(name) / film, tasks=list(tasks), window=WINDOW_S)
                if record["error"]:
                    raise RuntimeError(f"{film}: {record['error']}")
        done = await counters(base_url)
    done.subtract(before)
    asked, given = (done[f"{MODEL}: prefix_cache {what}"] for what in ("queries", "hits"))
    return Cost(len(tasks), sum(len(film.windows(WINDOW_S)) for film in written.values()), asked, asked - given)


async def measure(base_url: str, seed: int, films: int) -> tuple[Cost, Cost]:
    """The cost of one task and of five."""
    return await cost(base_url, ONE, seed, films), await cost(base_url, FIVE, seed + 1, films)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=2, help="for each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=501, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--base-url", help="a running stack's OpenAI API; without it one is started")
    args = parser.parse_args()
    if args.films < 1:
        parser.error("--films: 1 at least")
    running = nullcontext(Stack(args.base_url, "", 0)) if args.base_url else running_stack()
    try:
        with running as stack:
            one, five = asyncio.run(measure(stack.endpoint, args.seed, args.films))
    except (StackError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    table = Table(
        "tasks", "windows", "tokens of prompts", "computed", "computed a window", "beside one task", "at 144 a frame"
    )
    for each in (one, five):
        ratio = f"{each.a_window / one.a_window:.2f}x"
        published = f"{each.a_published_window / one.a_published_window:.2f}x"
        cells = (f"{each.asked:,}", f"{each.computed:,}", f"{each.a_window:.0f}", ratio, published)
        table.add_row(str(each.tasks), str(each.windows), *cells)
    Console().print(table)
    return 0 if five.frames_given else 1


if __name__ == "__main__":
    sys.exit(main())
