"""Words, quotes and sentences of an answer, as the checks look at them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# Of scripts without spaces between words a character is a word: kana, Chinese characters, Thai, Lao, Burmese, Khmer.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_LETTER = rf"[^\W_{_UNSPACED}]"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}+(?:['\u2019\u0300-\u036f\u0900-\u0fff](?=\w){_LETTER}*)*")
_SPACED = str.maketrans({letter: " " for letter in map(chr, range(128)) if not letter.isalnum() and letter != "'"})
"""Of ASCII, all that stands between words, to spaces."""
_TYPOGRAPHIC = "\u201c\u201d\u2018\u2013\u2014\u2026\u2022\u00a0"
"""What stands between words of texts that are ASCII otherwise."""
# Any of the marks comes first: that is searched for faster than what is behind it. (`(?<!\w')`: no word is before it.)
_QUOTED = re.compile(
    r"[\"'`\u201c\u201e\u00ab\u300c\u2018](?:(?<=\")[^\"\n]{1,400}\"|(?<=\u201c)[^\u201d\n]{1,400}\u201d"
    r"|(?<=\u201e)[^\u201c\u201d\n]{1,400}[\u201c\u201d]"
    r"|(?<=\u00ab)[^\u00bb\n]{1,400}\u00bb|(?<=\u300c)[^\u300d\n]{1,400}\u300d|(?<=`)[^`\n]{1,400}`"
    r"|(?<=')(?<!\w')(?!\s)(?:[^'\n]|(?<=\w)'(?=\w)){1,400}(?<!\s)'(?!\w)"
    r"|(?<=\u2018)(?<!\w\u2018)[^\u2019\n]{1,400}\u2019(?!\w))"
)
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])[\"'\u201d\u2019)\]]*\s+|\s*\n+\s*|(?<=[\u3002\uff01\uff1f\u0964])")
_STRAIGHT = {"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "}


@lru_cache(16)
def words(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case; of scripts without spaces the characters. Checks ask for the same again."""
    text = plain = text.lower()
    apostrophe = "'"
    if not text.isascii():
        for mark in _TYPOGRAPHIC:
            plain = plain.replace(mark, " ")
        if "'" not in plain:
            apostrophe = "\u2019"
            plain = plain.replace(apostrophe, "'")
    if not plain.isascii() or "''" in plain or "'_" in plain:
        return tuple(_WORD.findall(text))
    # The same, several times as fast: an apostrophe is part of a word if it is within one.
    plain = plain.translate(_SPACED)
    if "'" in plain:
        plain = f" {plain} ".replace("' ", " ").replace(" '", " ").replace("'", apostrophe)
    return tuple(plain.split())


def unquoted(text: str) -> str:
    """A text without what it quotes: what a poster says is no word of the model's."""
    return _QUOTED.sub(" ", text) if _holds_quotes(text) else text


def _holds_quotes(text: str) -> bool:
    return '"' in text or "'" in text or "`" in text or not text.isascii()


class Quoting(NamedTuple):
    """A text, taken apart where it quotes something."""

    around: list[tuple[str, ...]]
    """The words before the first quote, between the quotes, and behind the last one."""
    quotes: list[str]
    """With their marks."""


@lru_cache(4)
def quoting(text: str) -> Quoting:
    """What a text quotes, and the words around it. Checks ask for the same again."""
    around, quotes, at = list[tuple[str, ...]](), list[str](), 0
    for quote in _QUOTED.finditer(text) if _holds_quotes(text) else ():
        around.append(words(text[at : quote.start()]))
        quotes.append(quote.group())
        at = quote.end()
    return Quoting([*around, words(text[at:] if at else text)], quotes)


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
