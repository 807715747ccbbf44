"""Words, quotes and sentences of an answer, as the checks look at them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Of scripts without spaces between words a character is a word: kana, Chinese characters, Thai, Lao, Burmese, Khmer.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}](?:[^\W_{_UNSPACED}]|['\u2019\u0300-\u036f\u0900-\u0fff](?=\w))*")
_QUOTED = re.compile(
    r"(?=[\"'`\u201c\u201e\u00ab\u300c\u2018])(?:\"[^\"\n]{1,400}\"|\u201c[^\u201d\n]{1,400}\u201d"
    r"|\u201e[^\u201c\u201d\n]{1,400}[\u201c\u201d]"
    r"|\u00ab[^\u00bb\n]{1,400}\u00bb|\u300c[^\u300d\n]{1,400}\u300d|`[^`\n]{1,400}`"
    r"|(?<!\w)'(?!\s)(?:[^'\n]|(?<=\w)'(?=\w)){1,400}(?<!\s)'(?!\w)|(?<!\w)\u2018[^\u2019\n]{1,400}\u2019(?!\w))"
)
_MARKS = "\"'`"
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])[\"'\u201d\u2019)\]]*\s+|\s*\n+\s*|(?<=[\u3002\uff01\uff1f\u0964])")
_STRAIGHT = {"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "}


@lru_cache(16)
def words(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case; of scripts without spaces the characters. Checks ask for the same again."""
    return tuple(_WORD.findall(text.lower()))


def unquoted(text: str, instead: str | Callable[[re.Match[str]], str] = " ") -> str:
    """A text without what it quotes, or with something `instead`: what a poster says is no word of the model's."""
    return _QUOTED.sub(instead, text) if _holds_quotes(text) else text


def _holds_quotes(text: str) -> bool:
    return any(mark in text for mark in _MARKS) or not text.isascii()


def quotes(text: str) -> list[str]:
    """What a text quotes."""
    if not _holds_quotes(text):
        return []
    return [quote.group()[1:-1] for quote in _QUOTED.finditer(text)]


def straight(text: str) -> str:
    """A text with straight quotes and apostrophes, and plain spaces."""
    if not text.isascii():
        for mark, plain in _STRAIGHT.items():
            text = text.replace(mark, plain)
    return text


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, roughly."""
    return [sentence for part in _SENTENCE_END.split(text) if (sentence := part.strip())]


@lru_cache(256)
def sequences(text: str, width: int) -> frozenset[tuple[str, ...]]:
    """All runs of `width` words of a text: of prompts, which come again and again."""
    found = words(text)
    return frozenset(tuple(found[at : at + width]) for at in range(len(found) - width + 1))


@lru_cache(256)
def vocabulary(text: str) -> frozenset[str]:
    """The different words of a text: of prompts, too."""
    return frozenset(words(text))
