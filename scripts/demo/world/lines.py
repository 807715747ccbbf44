"""What is said in the advertisements of the drawn world: short lines about brands, colours, prices and days."""

from __future__ import annotations

import itertools
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.demo.world.draw import BRANDS, PRODUCTS
from scripts.demo.world.scenes import COLOURS

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

PRICES = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "thirty", "fifty")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
THINGS = tuple(product for product in PRODUCTS if product != "none")
FORMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "{} is here.": (BRANDS,),
    "Thank you for choosing {}.": (BRANDS,),
    "{} is now in {}.": (BRANDS, tuple(COLOURS)),
    "Get {} this {}.": (BRANDS, DAYS),
    "Try {} for only {} euros.": (BRANDS, PRICES),
    "Save {} percent this {}.": (PRICES, DAYS),
    "Every {} costs {} euros.": (THINGS, PRICES),
    "The new {} is {}.": (THINGS, tuple(COLOURS)),
    "Choose {} or {}.": (tuple(COLOURS), tuple(COLOURS)),
}
"""Form of a line -> what may stand in each of its places."""
ONE_IN = 8
"""So many lines for each one that is held out."""
VOICE = "A voice says this."
"""Stands before the lines in the description of a video in which they are heard."""


@dataclass(frozen=True)
class Line:
    """A line as it is said somewhere: seconds of that sound."""

    text: str
    start: float
    end: float


def lines_of(form: str) -> list[str]:
    """Every line of a form; nothing is said twice in one."""
    return [form.format(*words) for words in itertools.product(*FORMS[form]) if len(set(words)) == len(words)]


def _pattern(form: str) -> str:
    return re.escape(form).replace(r"\{\}", "{}").format(*(f"({'|'.join(words)})" for words in FORMS[form]))


_PATTERNS = {form: _pattern(form) for form in FORMS}
SAID = "|".join(_PATTERNS.values()).replace("(", "(?:")
"""Pattern of all lines."""


def parts_of(line: str) -> tuple[str, ...]:
    """The form of a line, and the words in its places, each with the number of its place; empty if it is none."""
    for form, pattern in _PATTERNS.items():
        if found := re.fullmatch(pattern, line):
            return form, *(f"{place} {word}" for place, word in enumerate(found.groups(), 1))
    return ()


def all_lines() -> list[str]:
    """Every line that is said."""
    return [line for form in FORMS for line in lines_of(form)]


def all_sentences() -> list[str]:
    """Every sentence that has to do with what is said."""
    return [*all_lines(), VOICE]


def describe(lines: Iterable[Line]) -> str:
    """What a description says of lines, a paragraph of its own; nothing where nobody speaks."""
    said = " ".join(line.text for line in lines)
    return f"{VOICE} {said}" if said else ""


def is_held_out(line: str) -> bool:
    """Whether the speech model does not hear a line in its training: what it is graded by."""
    return zlib.crc32(line.encode()) % ONE_IN == 0


def new_lines(rng: random.Random, brand: str, count: int) -> list[str]:
    """Lines for an advertisement of a brand, all held out: none names another, the first this one if there is such."""
    others = set(BRANDS) - {brand}
    fit = [line for line in all_lines() if is_held_out(line) and others.isdisjoint(line[:-1].split())]
    named = [line for line in fit if brand in line]
    first = rng.choice(named or fit)
    return [first, *rng.sample([line for line in fit if line != first], count - 1)]


def random_line(rng: random.Random, *, held_out: bool | None = None) -> str:
    """A line, each form as often as the others.

    Args:
        rng: Draws it.
        held_out: Of those that training leaves out, or of the others; None: of all.
    """
    while True:
        line = rng.choice(lines_of(rng.choice(list(FORMS))))
        if held_out is None or is_held_out(line) == held_out:
            return line
