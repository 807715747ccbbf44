"""How answers are read: one small function for each way, by the name that a prompt's front matter gives (`answer`).

Models are asked for one form and give many: lists come as JSON, in code fences, with bullets or numbers, as hashtags,
behind a polite sentence, or cut off in the middle. A reader takes them all, and never raises: what it cannot make
sense of stays the text that it was.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from client.tasks.structured import texts_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_ITEMS, MOST_TAGS = 50, 20
"""More items than are ever asked for (a list that goes on is a model that cannot stop), and as many tags as are."""
_MOST_WORDS = 8
"""Of an item with a bullet or a number; a longer one is a sentence."""
_MOST_PLAIN_WORDS = 5
"""Of an item between commas, where sentences have commas too."""
_FEWEST_BEFORE_TALK = 5
"""A shorter list beside sentences may be a sentence itself."""
_WITHIN = re.compile(r"[,;\n]")
"""Between tags that came as one item."""
_OTHER_WORDS = {"arms", "goods", "news", "shorts"}
"""They look like plurals of words that mean something else."""
_REMEMBERED = 4096
"""Tags: the same ones come again and again."""
_NO_TONE = re.compile(
    r"\b(?:neither \w+ n?or|(?:not|no|nor|without)(?: (?!only )\w+)?) (?:positive|negative|neutral|mixed)\b"
)
_TONE = re.compile(r"\b(positive|negative|neutral|mixed)\b")


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as it was understood."""

    text: str
    """The answer as it came."""
    items: list[str] | None = None
    """Of a list; None where the answer is, or has to stay, a text."""
    original_order: list[str] | None = None
    """The items as the model gave them, where `items` are in another order."""
    facts: dict[str, str | None] = field(default_factory=dict)
    """What else was found in it, to stand beside the text."""
    warnings: tuple[str, ...] = ()
    data: Any = None
    """What the JSON of a structured answer holds, valid by its schema; None where it is not, or of other answers."""
    schema: str | None = None
    """Of a structured answer the name of its reader, which holds the schema."""

    @property
    def parts(self) -> list[str]:
        """What is translated: each item of a list, each text of data by a schema, or the whole text."""
        if self.schema is not None:
            return [] if self.data is None else texts_in(self.schema, self.data)
        return self.items or [self.text]


def read_text(text: str) -> Reading:
    """The answer as it is."""
    return Reading(text)


def read_list(text: str) -> Reading:
    """A list in the model's own words and order; each item once."""
    return _list(text, [item.strip() for item in find_items(text)])


def read_tags(text: str) -> Reading:
    """A list of keywords: normalised (see `normalise_tag`), each once, also where it comes as a plural too; sorted."""
    tags = [normalise_tag(part) for item in find_items(text) for part in _WITHIN.split(item)]
    singles = {plural: tag for tag in tags for plural in _plurals(tag)}
    reading = _list(text, [singles.get(tag, tag) for tag in tags], MOST_TAGS)
    if reading.items is None:
        return reading
    return Reading(text, sorted(reading.items), reading.items, warnings=reading.warnings)


def read_sentiment(text: str) -> Reading:
    """The text, and beside it as `label` the tone that it names first: positive, negative, neutral or mixed."""
    said = [_TONE.findall(_NO_TONE.sub("", sentence)) for sentence in re.split(r"[.!?\n]", text.lower())]
    tones = next((tones for tones in said if tones), [])
    if not tones:
        return Reading(text, facts={"label": None}, warnings=("the answer names no tone",))
    return Reading(text, facts={"label": "mixed" if {"positive", "negative"} <= set(tones) else tones[0]})


READERS: dict[str, Callable[[str], Reading]] = {
    "text": read_text,
    "list": read_list,
    "tags": read_tags,
    "sentiment": read_sentiment,
}
"""The ways that a prompt can choose from. A new one is a function and its name here."""


@lru_cache(_REMEMBERED)
def normalise_tag(tag: str) -> str:
    """One spelling of a tag: NFKC, lower case, single spaces, no marks around it; `#UrbanArt` is `urban art`."""
    tag = unicodedata.normalize("NFKC", tag).strip()
    if tag.startswith("#"):
        tag = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", tag)
    words = tag.replace("_", " ").lower().split()
    return " ".join(words).strip(" .,;:!?\"'`*#-•")


@lru_cache(_REMEMBERED)
def _plurals(tag: str) -> list[str]:
    """How it may read in plural."""
    if len(tag) < 3 or tag.endswith("s"):
        return []
    plurals = {tag + "s", tag[:-1] + "ies" if tag.endswith("y") else tag + "es"}
    return sorted(plurals - _OTHER_WORDS)


def find_items(text: str) -> list[str]:
    """The items of a list in any of the forms in which models give it; none if the text is no list.

    An item that was cut off at the end of JSON is left out. Items may be empty or come twice.
    """
    return _json_items(text) or _marked_items(text) or _plain_items(text)


def _list(text: str, items: list[str], most: int = MOST_ITEMS) -> Reading:
    kept = list(dict.fromkeys(item for item in items if item))
    if not kept:
        return Reading(text, warnings=("the answer is not a list; it is kept as text",))
    if len(kept) <= most:
        return Reading(text, kept)
    warning = f"the answer lists {len(kept)} items; the first {most} are kept"
    return Reading(text, kept[:most], warnings=(warning,))


# -- JSON and what was meant to be -------------------------------------------------------------------------

_OPEN = re.compile(r"[\[{]")
_BETWEEN = re.compile(r"[\s,:\[\]{}]*")
# An apostrophe within a word does not end what single quotes began.
_QUOTED = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|\u201c([^\u201d\n]*)\u201d|'((?:[^'\\\n]|\\.|(?<=\w)'(?=\w))*)'")
_COLON = re.compile(r"\s*:")


def _json_items(text: str) -> list[str]:
    """Strings and numbers of all JSON arrays and objects in a text; of broken ones, the quoted strings."""
    decoder, items, at = json.JSONDecoder(), [], 0
    while opening := _OPEN.search(text, at):
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            strings, at = _quoted_strings(text, opening.start())
            items += strings
        else:
            items += _leaves(value)
    return items


def _leaves(value: Any) -> Iterator[str]:
    """Strings of nested arrays and objects, and numbers that stand in arrays (in objects they are scores)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from () if isinstance(inner, int | float) else _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from (str(inner),) if isinstance(inner, int | float) else _leaves(inner)


def _quoted_strings(text: str, at: int) -> tuple[list[str], int]:
    """Strings that follow each other from `at` on, keys left out; and where they end."""
    items: list[str] = []
    at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing as well
    while quoted := _QUOTED.match(text, at):
        if not _COLON.match(text, quoted.end()):
            items.append(quoted[quoted.lastindex or 0])
        at = _BETWEEN.match(text, quoted.end()).end()  # type: ignore[union-attr]
    return items, at


# -- lists for people --------------------------------------------------------------------------------------

_MARK = re.compile(r"\s*(?:[-*+•◦·‣▪●○■\u2013\u2014]|\(?\d{1,3}[.)])\s+")
_NUMBERS_IN_LINE = re.compile(r"(?<=[^\s,;])[ \t,;]+(?=\(?\d{1,3}[.)]\s)")
_HEADING = re.compile(
    r"^(?:[^:,\n]{1,60}:|[^:,\n]{0,60}\b(?:tags|keywords)\b[^:,\n]{0,60}\b(?:are|include)\b|(?:Sure|Certainly)!)\s+"
)
"""`Here are the tags: `, `Colours: `, `The tags of this picture are `."""
_ELEMENT = re.compile(r"</?[a-z]{1,12} ?/?>")
_SENTENCE_END = re.compile(r"(?<=[a-z\"]\.)\s+(?=[A-Z])")
_EXPLAINED = re.compile(r"(?<=\S)\s+(?:[-\u2013\u2014]\s|\()")


def _lines(text: str) -> list[str]:
    plain = re.sub(r"^```.*$|\*\*|__", "", text, flags=re.MULTILINE)
    return [line for line in plain.splitlines() if line.strip()]


def _marked_items(text: str) -> list[str]:
    """Lines with bullets or numbers; what stands before and after them is talk."""
    if len(_NUMBERS_IN_LINE.findall(text)) > 1:
        text = _NUMBERS_IN_LINE.sub("\n", text)
    lines = [line for line in _lines(text) if _MARK.match(line)]
    # A line above others that are further in is their heading. (How far in the first one was is not known.)
    depths = [len(line) - len(line.lstrip()) for line in lines[1:]]
    depths = [min(depths, default=0), *depths, 0]
    lines = [
        line
        for line, (depth, following) in zip(lines, pairwise(depths), strict=False)
        if following <= depth and not line.rstrip().endswith(":")
    ]
    items = [_EXPLAINED.split(item)[0] for line in lines for item in _split(_MARK.sub("", line, count=1))]
    if len(lines) < 2 or any(len(item.split()) > _MOST_WORDS for item in items):
        return []
    return items


def _plain_items(text: str) -> list[str]:
    """`a, b, c`, `#a #b #c`, or one item a line. Sentences are no list."""
    bracketed = text.strip().startswith("[")
    text = _ELEMENT.sub("\n", re.sub(r"[\[\]{}]", "", re.sub(r"(?<=\w)\s*(?=#\w)", ", ", text)))
    lines = [part for line in _lines(text) for part in _SENTENCE_END.split(line)]
    lines = [line for line in lines if not line.rstrip().endswith(":") and not _is_talk(line)]
    listed = [items for items in map(_split, lines) if all(len(item.split()) <= _MOST_PLAIN_WORDS for item in items)]
    items = [item for line in listed for item in line]
    fewest = 1 if bracketed else 3
    return items if len(items) >= (fewest if len(listed) == len(lines) else _FEWEST_BEFORE_TALK) else []


def _split(line: str) -> list[str]:
    """The items of a line, without its heading, the marks around them and a last "and"."""
    parts = (
        part.strip(" \t.\"'`*\u201c\u201d") for part in re.split(r"[,;|]", _HEADING.sub("", line.strip(), count=1))
    )
    return [part.removeprefix("and ") for part in parts if part]


def _is_talk(line: str) -> bool:
    """Whether a line is something polite around a list."""
    return line.rstrip().endswith((".", "!", "?")) and "," not in line and len(line.split()) > _MOST_PLAIN_WORDS - 2
