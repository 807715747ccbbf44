"""Loops: a translation that repeats what its source does not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from translator.text import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.checks.thresholds import Thresholds

_LOOP_UNITS = 20
"""The longest phrase, in words or letters, that is looked at for following itself."""
_WORDS, _LETTERS = 3, 6
_SOURCE_WORDS = 2
"""The same of a source in words: "it is important ..., then it's important ..." may become the same words twice."""
_WINDOW_WORDS, _WINDOW_LETTERS = 30, 60
"""A long text may begin well and end in a loop: its parts of so many units are looked at, too."""


def find(source: str, text: str, t: Thresholds) -> str | None:
    """What repeats itself in `text` more than anything in `source`, or None."""
    said, asked = scripts.units(text), scripts.units(source)
    if loop := _in_a_row(said, asked, t) or _within_a_word(said, asked, t):
        return loop
    width, asked_width = _width(said), _width(asked)
    if width == asked_width == _WORDS:
        asked_width = _SOURCE_WORDS
    before = _repeated(asked, asked_width)
    if len(said) >= width + 8 and (share := _repeated(said, width)) > t.repeated_share + before:
        return f"loop: {share:.0%} of it repeats itself"
    window = _WINDOW_WORDS if width == _WORDS else _WINDOW_LETTERS
    if len(said) > window and (share := _repeated_within(said, width, window)) > t.repeated_share:
        asked_window = _WINDOW_LETTERS if asked_width == _LETTERS else _WINDOW_WORDS
        if share > t.repeated_share + _repeated_within(asked, asked_width, asked_window):
            return f"loop: {share:.0%} of a part of it repeats itself"
    long = Counter(word for word in said if len(word) >= 4)
    if long:
        word, times = long.most_common(1)[0]
        most = max(Counter(asked).values(), default=0)
        if times >= max(t.common_times, 2 * most + 1) and times > t.common_share * len(said):
            return f"loop: {word!r} {times} times"
    return None


def _width(units: Sequence[str]) -> int:
    """How many units are compared as one sequence: three words, or six letters of scripts without spaces."""
    return _WORDS if sum(map(len, units)) > 2 * len(units) else _LETTERS


def _in_a_row(said: Sequence[str], asked: Sequence[str], t: Thresholds) -> str | None:
    before = max((times for _, times in _runs(asked)), default=1)
    before = max(before, max((_run_in(word)[1] for word in asked), default=1))
    for phrase, times in _runs(said):
        short = len(phrase) == 1 and len(phrase[0]) == 1
        spaced = sum(map(len, phrase)) > 2 * len(phrase)
        clause = len(phrase) >= (t.loop_clause if spaced else 2 * t.loop_clause)
        enough = t.loop_times_short if short else 2 if clause else t.loop_times
        if times >= enough and times > before:
            return f"loop: {(' ' if spaced else '').join(phrase)!r} {times} times in a row"
    return None


def _within_a_word(said: Sequence[str], asked: Sequence[str], t: Thresholds) -> str | None:
    before = max((_run_in(word)[1] for word in asked), default=1)
    for word in said:
        part, times = _run_in(word)
        if times >= t.loop_times_short and times > 2 * before:
            return f"loop: {part!r} {times} times in a word"
    return None


def _runs(units: Sequence[str]) -> list[tuple[tuple[str, ...], int]]:
    """Phrases that follow themselves, with how many times in a row, at most one for each length."""
    found: list[tuple[tuple[str, ...], int]] = []
    for width in range(1, min(_LOOP_UNITS, len(units) // 2) + 1):
        equal = longest = at = 0
        for i in range(len(units) - width):
            equal = equal + 1 if units[i] == units[i + width] else 0
            if equal > longest:
                longest, at = equal, i
        if longest >= width:
            start = at - longest + 1
            found.append((tuple(units[start : start + width]), longest // width + 1))
    return found


def _run_in(word: str) -> tuple[str, int]:
    """The part of a word that follows itself most often, and how often."""
    runs = [("".join(part), times) for part, times in _runs(word)] if len(word) > 3 else []
    return max(runs, key=lambda run: run[1], default=(word, 1))


def _repeated(units: Sequence[str], width: int) -> float:
    """Share of the sequences of `width` units that were there before."""
    sequences = [tuple(units[i : i + width]) for i in range(len(units) - width + 1)]
    return 1 - len(set(sequences)) / len(sequences) if sequences else 0.0


def _repeated_within(units: Sequence[str], width: int, window: int) -> float:
    """The largest share of `_repeated` in any part of so many units; the whole if it is shorter."""
    last = max(0, len(units) - window)
    starts = {*range(0, last, window // 4), last}
    return max(_repeated(units[start : start + window], width) for start in starts)
