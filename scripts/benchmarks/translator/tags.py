"""At how many words tags stand right: placed by the decoder's attention, by place alone, or sent through the model.

python -m scripts.benchmarks.translator.tags                # the demo model, which knows what a right translation is

A tag is put around each colour of the demo's sentences with two of them, one sentence at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from scripts.demo.world import scenes
from scripts.demo.world.translations import LANGUAGES, SOURCE, Phrases
from translator.model import models
from translator.model.engine import Engine
from translator.text.placement import Anchor, Mark, place

if TYPE_CHECKING:
    from collections.abc import Sequence

OPENING, CLOSING = "<b>", "</b>"
WAYS = ("attention", "place", "markers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=60, metavar="N", help="how many (default: 60)")
    options = parser.parse_args(arguments)
    engine = Engine(asyncio.run(models.prepare("demo")), device="cpu")
    two = [text for text in scenes.all_sentences() if sum(colour in text for colour in scenes.COLOURS) == 2]
    two = [text for text in two if "on the left" in text]
    print(f"| language | {' | '.join(WAYS)} |\n| --- | ---: | ---: | ---: |")
    for language, phrases in LANGUAGES.items():
        shares = _shares(engine, two[:: max(1, len(two) // options.sentences)], language, phrases)
        print(f"| {language} | {' | '.join(f'{shares[way]:.0%}' for way in WAYS)} |", flush=True)
    return 0


def _shares(engine: Engine, texts: Sequence[str], language: str, phrases: Phrases) -> dict[str, float]:
    """The share of tags that stand around the right word, for each way."""
    right = dict.fromkeys(WAYS, 0)
    tags = 0
    jobs = [replace(engine.job(text, SOURCE, language), align=True) for text in texts]
    for text, said in zip(texts, engine.translate(jobs), strict=True):
        for colour in (colour for colour in scenes.COLOURS if colour in text):
            start, end = text.index(colour), text.index(colour) + len(colour)
            tagged = f"{text[:start]}{OPENING}{colour}{CLOSING}{text[end:]}"
            (through,) = engine.translate([engine.job(tagged, SOURCE, language)])
            there = {
                "attention": _placed(text, said.text, (start, end), said.anchors),
                "place": _placed(text, said.text, (start, end), ()),
                "markers": through.text,
            }
            tags += 1
            for way, written in there.items():
                right[way] += _is_right(written, phrases, colour)
    return {way: count / tags for way, count in right.items()}


def _placed(text: str, said: str, span: tuple[int, int], anchors: Sequence[Anchor]) -> str:
    parts = place(text, said, [Mark(span[0], OPENING, span[1], CLOSING)], anchors)
    return "".join(part.plain if part.written is None else part.written for part in parts)


def _is_right(written: str, phrases: Phrases, colour: str) -> bool:
    """Whether the tag is around the colour's word, with an article or a noun beside it at most."""
    inside = re.search(f"{OPENING}(.*){CLOSING}", written)
    words = {phrases.colours[colour], (phrases.scene_colours or phrases.colours)[colour]}
    return inside is not None and any(
        (word[:3] in inside[1] or inside[1] in word) and inside[1] and len(inside[1]) <= len(word) + 4 for word in words
    )


if __name__ == "__main__":
    raise SystemExit(main())
