"""Loops: answers that say the same over and over, whether they end by themselves or are cut off."""

from __future__ import annotations

import operator
import re
from collections import Counter
from typing import TYPE_CHECKING

from client.checks.words import quoting, words

if TYPE_CHECKING:
    from client.checks.words import Quoting

_WIDTH = 3
"""Words of the sequences by which repetitions are found."""
_TIMES = {1: 5, 2: 4, 3: 3, 4: 3}
"""Words of a phrase -> from how many times in a row on it is a loop; longer ones see below."""
_TIMES_LONG, _LONG = 3, 8
"""A phrase of 5 words or more, and from so many words on one that comes twice in a row is one."""
_TIMES_CHARACTER = 8
"""Of a single character of a script without spaces: laughter is shorter."""
_TIMES_QUOTED = 10
"""Posters do say "SALE SALE SALE"."""
_SENTENCE_WORDS, _SENTENCE_TIMES = 4, 3
"""A sentence of so many words is a loop from so many times on, wherever they stand."""
_FEWEST, _REPEATED_SHARE = 40, 0.5
"""From so many words on, a text is a loop of whose sequences of three words more than so large a share came before."""
_FEWEST_REPEATED = 2
"""Sequences that came before: of a word five times in a row there are so many."""
_FEWEST_OF_PHRASE = 4
"""The same, of a phrase of several words that comes often enough in a row."""
_RUN = 12
_CHARACTERS = re.compile(r"([^\s\-_=*.~#|+\u2500-\u257f\u2026])\1{11,}")
_WITHIN = re.compile(r"(?=[^\W\d_])(\w{2,6}?)\1{5,}|([^\W\d_])\2{8,}")
_LONG_WORD = 9
_FEWEST_ALIKE = 8
"""Letters of a word within which something is repeated that stand in it before: nine times the same, or six of two."""
_QUOTE = "\ua757"
"""Begins what was a quote."""
_SENTENCE_END = re.compile(r"[.!?\n\u3002\uff01\uff1f\u0964]+")
_MARKER = re.compile(r"[ \t]*(?:\(?\d{1,3}[.):]|[-*+\u2022\u2013])[ \t]+")
_SHOWN = 40
"""Characters of a phrase that are quoted."""


def find_loop(text: str) -> str | None:
    """What an answer repeats, in a few words; None where it is no loop."""
    for token in text.split():
        if len(token) >= _RUN and len(set(token)) <= len(token) - _RUN + 1 and (run := _CHARACTERS.search(token)):
            return f"{run[1]!r} {len(run.group())} times in a row"
    text = _without_markers(text)
    parts = quoting(text)
    said = _with_quotes_as_words(parts)
    for word in said:
        if len(word) < _LONG_WORD or word[0] == _QUOTE or len(set(word)) > len(word) - _FEWEST_ALIKE:
            continue
        if within := _WITHIN.search(word):
            part = within[1] or within[2]
            return f"{part!r} {len(within.group()) // len(part)} times in a word"
    return _repeated(text, said) or _quoted(parts.quotes)


def _without_markers(text: str) -> str:
    """A text without what stands before the items of a list."""
    if "\n" in text:
        return "\n".join(map(_without_markers, text.split("\n")))
    marker = _MARKER.match(text)
    return text[marker.end() :] if marker else text


def _with_quotes_as_words(parts: Quoting) -> tuple[str, ...]:
    """The words of a text, each quote as a single one, so that one that comes again is told from another one."""
    first, *behind = parts.around
    if not behind:
        return first
    said = list(first)
    for quote, others in zip(parts.quotes, behind, strict=True):
        said += _as_one_word(quote)
        said += others
    return tuple(said)


def _as_one_word(quote: str) -> tuple[str, ...]:
    """A quote as a single word, or, in scripts without spaces between words, with a word before its own."""
    joined = "".join(words(quote))
    plain = joined.isascii() and not joined.endswith("'")
    return (_QUOTE + joined,) if plain else words(_QUOTE + joined)


def _repeated(text: str, said: tuple[str, ...]) -> str | None:
    count = max(len(said) - _WIDTH + 1, 0)
    times_before = count - len(set(zip(said, said[1:], said[2:], strict=False)))
    if times_before < _FEWEST_REPEATED:
        return None
    if times_before >= _FEWEST_OF_PHRASE or any(map(operator.eq, said, said[1:])):
        found = _in_a_row(said)
        if found and found[1] >= _enough(found[0]):
            return f"{_short(found[0])!r} {found[1]} times in a row"
    if sentence := _sentences(text):
        return sentence
    share = times_before / count
    return f"{share:.0%} of it repeats itself" if len(said) >= _FEWEST and share > _REPEATED_SHARE else None


def _quoted(quotes: list[str]) -> str | None:
    for quote in quotes:
        if len(quote) < _TIMES_QUOTED * (2 if quote.isascii() else 1):  # too short for so many words
            continue
        if (found := _in_a_row(words(quote[1:-1]))) and found[1] >= _TIMES_QUOTED:
            return f"{_short(found[0])!r} {found[1]} times in a row"
    return None


def _enough(phrase: tuple[str, ...]) -> int:
    if len(phrase) == 1 and len(phrase[0]) == 1:
        return _TIMES_CHARACTER
    return 2 if len(phrase) >= _LONG else _TIMES.get(len(phrase), _TIMES_LONG)


def _in_a_row(said: tuple[str, ...]) -> tuple[tuple[str, ...], int] | None:
    """The phrase that follows itself for the most words, and how many times it comes; in linear time.

    Where a phrase of `d` words comes `k` times in a row, each sequence of three words from its second time on has come
    `d` words before: that is so for `d * (k - 1) - 2` sequences one after the other.
    """
    last: dict[tuple[str, ...], int] = {}
    distance = run = longest = 0
    best: tuple[int, int] | None = None
    for at, sequence in enumerate(zip(said, said[1:], said[2:], strict=False)):
        before = last.get(sequence)
        last[sequence] = at
        if before is None:
            distance = run = 0
            continue
        run = run + 1 if at - before == distance else 1
        distance = at - before
        if run + _WIDTH - 1 >= distance and run > longest:
            longest, best = run, (at - run + 1 - distance, distance)
    if best is None:
        return None
    start, width = best
    return said[start : start + width], (longest + _WIDTH - 1) // width + 1


def _sentences(text: str) -> str | None:
    counts = Counter(" ".join(sentence.lower().split()) for sentence in _SENTENCE_END.split(text))
    for sentence, times in counts.items():
        if times >= _SENTENCE_TIMES and len(found := words(sentence)) >= _SENTENCE_WORDS:
            return f"{_short(found)!r} {times} times"
    return None


def _short(phrase: tuple[str, ...]) -> str:
    text = ("" if all(len(word) == 1 for word in phrase) else " ").join(phrase).replace(_QUOTE, "")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
