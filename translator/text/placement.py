"""Where the tags and line breaks of a sentence go in its translation.

A tag around words goes around the words that translate them, a tag between words between those. Which word translates
which, the model's attention tells (see `Engine.translate`), and, better, words that are the same in both: names and
numbers. Without attention a word's place in the sentence has to do. Nothing is ever lost: every tag of the sentence is
in its translation, once, and pairs stay properly nested.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from translator.text import thai

if TYPE_CHECKING:
    from collections.abc import Sequence

Anchor = tuple[int, int, float]
"""Start and end of a token in the translation, and the place in the source, in characters, that it translates."""

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
"""A word; of scripts without spaces, a letter."""
_EDGE_SIGNS = re.compile(r"^[^\w\s]*|[^\w\s]*$")
_NOT_FIRST = ".,;:!?…。，、；：！？।॥።؟۔)]}»”’\"'」』）ゃゅょっャュョッーぁぃぅぇぉァィゥェォ々ๆฯ"  # noqa: RUF001
"""No line begins with these (for Japanese see JIS X 4051)."""
_NOT_LAST = "「『（([{«“‘"  # noqa: RUF001
"""No line ends with these."""
_MARKS_AFTER = ".,;:!?…。，、；：！？।॥።။؟۔)]}»”’\"'"  # noqa: RUF001

_MOST_WORDS = 500
"""Words among which a pair's are looked for."""
_MORE_WORDS = 3
"""The translation of a term has at most so many words more than the term: articles and the like."""
_LONGEST_SHARE, _LONGEST_MORE = 3, 40
"""A pair goes around at most so many times the letters that its share of the sentence lets expect, and some more."""
_COMMA, _LONGEST_SPACE = 4, 100
"""What a break after a comma is worth, in letters; and how far back one is looked for."""
_ODD_LENGTH = 0.5
"""What a letter too many or too few costs, in letters that belong to a pair."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag or a line break within a sentence."""

    at: int
    """Before which character of the sentence."""
    source: str
    """As it is written."""
    end: int | None = None
    """Of a pair: before which character the closing tag stands."""
    closing: str = ""
    """Of a pair: the closing tag."""
    line_break: str = ""
    """Not empty: it takes the place of a space, and is this in the plain text."""


@dataclass(slots=True)
class _Word:
    start: int
    end: int
    place: float
    """In the source, in characters."""


@dataclass(slots=True)
class _Node:
    mark: Mark
    children: list[_Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a translation: words of it, a tag or a line break."""

    plain: str
    """In plain text; a tag is nothing there."""
    written: str | None = None
    """Of a tag or a line break, as it is written; None for words."""


def place(source: str, target: str, marks: Sequence[Mark], anchors: Sequence[Anchor] = ()) -> list[Part]:
    """The translation with the marks in it.

    Args:
        source: the sentence, without its marks.
        target: its translation.
        marks: of the sentence, in order; a pair is one mark.
        anchors: how the tokens of the translation belong to the source; () where that is not known.
    """
    placing = _Placing(source, target, _words(source, target, anchors))
    placing.put(_tree([mark for mark in marks if not mark.line_break]), 0, len(placing.words))
    breaks = _breaks([mark for mark in marks if mark.line_break], source, target)
    return _parts(target, placing.inserts, breaks)


def put_in(
    source: str, target: str, wanted: Sequence[tuple[int, int, str]], anchors: Sequence[Anchor]
) -> tuple[str, tuple[Anchor, ...]] | None:
    """A translation with other words for some of the source's.

    Args:
        source: the sentence.
        target: its translation.
        wanted: start and end of words of the source, in order, and what must stand for them in the translation.
        anchors: how the tokens of the translation belong to the source.

    Returns:
        The translation and its anchors; None if it is not known which words of the translation they are.
    """
    placing = _Placing(source, target, _words(source, target, anchors))
    taken: set[int] = set()
    changes: list[tuple[int, int, str, float]] = []
    for start, end, said in wanted:
        mark = Mark(start, "", end)
        first, last = placing.span(mark, 0, len(placing.words), taken)
        if not any(start <= word.place < end for word in placing.words[first:last]):
            return None
        if last - first > len(source[start:end].split()) + _MORE_WORDS:
            return None
        taken.update(range(first, last))
        changes.append((*placing.edges(mark, first, last), said, (start + end) / 2))
    moved = list(anchors)
    for first, last, said, there in sorted(changes, reverse=True):
        target = target[:first] + said + target[last:]
        more = len(said) - (last - first)
        before = [anchor for anchor in moved if anchor[1] <= first]
        after = [(a + more, b + more, place) for a, b, place in moved if a >= last]
        moved = [*before, (first, first + len(said), there), *after]
    return target, tuple(moved)


def break_lines(text: str, shares: Sequence[float]) -> list[int]:
    """Where to break a text into lines whose lengths have about these shares of it.

    Args:
        text: of one line.
        shares: of each line, which sum up to 1.

    Returns:
        For all lines but the first where they begin; in order, each at the start of a word if there are enough.
    """
    spans = word_spans(text)
    starts = [start for start, _ in spans][1:]
    starts = [start for start in starts if text[start] not in _NOT_FIRST and text[start - 1] not in _NOT_LAST] or starts
    if thai.is_thai(text) and (words := thai.word_starts(text)):
        starts = [start for start in starts if start in words] or starts
    found: list[int] = []
    wanted, low = 0.0, 0
    for number, share in enumerate(shares[:-1]):
        wanted += share * len(text)
        left = len(shares) - 2 - number
        high = len(starts) - left if len(starts) - low > left else len(starts)
        if low == high:
            found.append(len(text))
            continue
        best = min(_near(starts, wanted, low, high), key=lambda one: _distance(text, starts[one], wanted))
        found.append(starts[best])
        low = best + 1
    return found


def _near(starts: Sequence[int], wanted: float, low: int, high: int) -> range:
    """Which of the starts from `low` to `high` can be the best: all others are further off than a comma is worth."""
    after = bisect.bisect_left(starts, wanted, low, high)
    least = min(abs(starts[one] - wanted) for one in range(max(low, after - 1), min(high, after + 1)))
    reach = least + _COMMA
    first = bisect.bisect_left(starts, wanted - reach, low, high)
    return range(first, bisect.bisect_right(starts, wanted + reach, low, high))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each word; of scripts without spaces, of each letter with its marks."""
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        if spans and spans[-1][1] == match.start() and unicodedata.category(text[match.start()])[0] == "M":
            spans[-1] = (spans[-1][0], match.end())
        else:
            spans.append(match.span())
    return spans


def _distance(text: str, start: int, wanted: float) -> float:
    """How bad a break is: far from where it should be; after a comma is worth some letters."""
    before = text[max(0, start - _LONGEST_SPACE) : start].rstrip()[-1:]
    return abs(start - wanted) - (_COMMA if before in _MARKS_AFTER else 0)


def _words(source: str, target: str, anchors: Sequence[Anchor]) -> list[_Word]:
    """The words of the translation, each with its place in the source."""
    scale = len(source) / max(1, len(target))
    words = [_Word(start, end, (start + end) / 2 * scale) for start, end in word_spans(target)]
    at = 0
    for word in words:
        while at < len(anchors) and anchors[at][1] <= word.start:
            at += 1
        mine = []
        for start, end, where in anchors[at:]:
            if start >= word.end:
                break
            mine.append((min(end, word.end) - max(start, word.start), where))
        if mine:  # the place of the token that has most of the word's letters: a mean would lie between two
            word.place = max(mine)[1]
    _same_words(source, target, words)
    return words


def _same_words(source: str, target: str, words: list[_Word]) -> None:
    """Words that stand once in both, names and numbers, translate themselves."""
    there: dict[str, list[float]] = {}
    for match in _WORD.finditer(source):
        there.setdefault(_bare(match.group()), []).append((match.start() + match.end()) / 2)
    times = Counter(_bare(target[word.start : word.end]) for word in words)
    for word in words:
        bare = _bare(target[word.start : word.end])
        if len(bare) > 1 and times[bare] == 1 and len(there.get(bare, ())) == 1:
            word.place = there[bare][0]


def _bare(word: str) -> str:
    return _EDGE_SIGNS.sub("", word).casefold()


def _tree(marks: Sequence[Mark]) -> list[_Node]:
    """Marks within those that surround them."""
    roots: list[_Node] = []
    opened: list[_Node] = []
    for mark in marks:
        while opened and not _holds(opened[-1].mark, mark):
            opened.pop()
        node = _Node(mark)
        (opened[-1].children if opened else roots).append(node)
        if mark.end is not None and mark.end > mark.at:
            opened.append(node)
    return roots


def _holds(outer: Mark, inner: Mark) -> bool:
    end = inner.at if inner.end is None else inner.end
    return outer.at <= inner.at and outer.end is not None and end <= outer.end


class _Placing:
    """Puts the marks of one sentence among the words of its translation."""

    def __init__(self, source: str, target: str, words: list[_Word]) -> None:
        self.source, self.target, self.words = source, target, words
        self.inserts: list[tuple[int, str]] = []
        """Place in the target and tag, in order."""

    def put(self, nodes: list[_Node], low: int, high: int) -> None:
        """Place sibling marks among the words from `low` to `high`, and those within them."""
        taken: set[int] = set()
        placed: list[tuple[tuple[int, int], _Node]] = []
        for node in nodes:
            if node.mark.end is not None and node.mark.end > node.mark.at:
                span = self.span(node.mark, low, high, taken)
                taken.update(range(*span))
            else:
                gap = self._gap(node.mark.at, low, high, taken)
                span = (gap, gap)
            placed.append((span, node))
        for (first, last), node in sorted(placed, key=lambda one: one[0]):
            start, end = self.edges(node.mark, first, last)
            self._insert(start, node.mark.source)
            self.put(node.children, first, last)
            if node.mark.end is not None:
                self._insert(end, node.mark.closing)

    def _insert(self, at: int, text: str) -> None:
        last = self.inserts[-1][0] if self.inserts else 0
        self.inserts.append((max(at, last), text))

    def edges(self, mark: Mark, first: int, last: int) -> tuple[int, int]:
        """Where in the target a mark begins and ends; signs that are outside a pair in the source stay outside."""
        words, target = self.words, self.target
        if first == last:
            at = words[first].start if first < len(words) else (words[-1].end if words else len(target))
            return at, at
        start, end = words[first].start, words[last - 1].end
        inside = self.source[mark.at : mark.end]
        if inside[-1:] not in _MARKS_AFTER:
            while end > start + 1 and target[end - 1] in _MARKS_AFTER:
                end -= 1
        if inside[:1].isalnum():
            while start < end - 1 and not target[start].isalnum():
                start += 1
        return start, end

    def span(self, mark: Mark, low: int, high: int, taken: set[int]) -> tuple[int, int]:
        """The words that a pair goes around.

        It is the run with most letters that belong there over those that do not, and of about the same share of the
        sentence: which "a" or "la" of two is meant, attention hardly knows.
        """
        begin, end = mark.at, mark.end or mark.at
        high = min(high, low + _MOST_WORDS)
        expected = (end - begin) / max(1, len(self.source)) * len(self.target)
        best, found = -math.inf, (low, low)
        for first in range(low, high):
            gain = length = 0
            for last in range(first, high):
                if last in taken:
                    break
                word = self.words[last]
                letters = word.end - word.start
                length += letters
                if length > _LONGEST_SHARE * expected + _LONGEST_MORE:
                    break
                gain += letters if begin <= word.place < end else -letters
                value = gain - _ODD_LENGTH * abs(length - expected)
                if gain > 0 and value > best:
                    best, found = value, (first, last + 1)
        free = [number for number in range(low, high) if number not in taken]
        if found[0] == found[1] and free:
            middle = (begin + end) / 2
            nearest = min(free, key=lambda number: abs(self.words[number].place - middle))
            return nearest, nearest + 1
        return found

    def _gap(self, at: int, low: int, high: int, taken: set[int]) -> int:
        """Before which word a mark goes: fewest words are on its wrong side."""
        wrong = sum(word.place < at for word in self.words[low:high])
        best, least = low, wrong
        for number in range(low, high):
            wrong += 1 if self.words[number].place >= at else -1
            if wrong < least and not (number in taken and number + 1 in taken):
                best, least = number + 1, wrong
        return best


def _breaks(marks: Sequence[Mark], source: str, target: str) -> list[tuple[int, Part]]:
    """Where the line breaks go: lines get the shares of the whole that they have in the source."""
    if not marks:
        return []
    ends = [0, *(mark.at for mark in marks), len(source)]
    total = max(1, len(source))
    shares = [(b - a) / total for a, b in itertools.pairwise(ends)]
    parts = [Part(mark.line_break, mark.source) for mark in marks]
    return list(zip(break_lines(target, shares), parts, strict=True))


def _parts(target: str, inserts: list[tuple[int, str]], breaks: list[tuple[int, Part]]) -> list[Part]:
    """The target cut at the marks; a break takes the place of the white space before it."""
    parts: list[Part] = []
    at = 0
    # Breaks come before the tags that open at the same place.
    marks = breaks + [(where, Part("", text)) for where, text in inserts]
    for where, mark in sorted(marks, key=lambda one: (one[0], not one[1].plain)):
        words = target[at:where]
        parts.append(Part(words.rstrip() if mark.plain else words))
        parts.append(mark)
        at = where
    parts.append(Part(target[at:]))
    return [part for part in parts if part.plain or part.written]
