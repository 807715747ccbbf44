# ruff: noqa: RUF001  (signs of many scripts)
"""Lines that were broken in the middle of a sentence, as mails, PDFs and subtitles have them.

A line break ends a sentence nearly always in what a captioner writes: headings, lists, tags. It does not where the
text was wrapped at a width, or where a sentence that began with a capital goes on in lower case until its full stop.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Layout = Literal["text", "html", "cues"]
"""What lines are: those of a plain text, what is between two `<br>` of HTML, or what each subtitle shows."""
BREAK = re.compile(r"[ \t]*(?:\r\n|\n|\r)[ \t]*")
"""A line break within a sentence, with the white space around it."""
_END = re.compile(r"[.!?…:;。！？：；।॥။።؟۔|។།][\"'”’»」』)\]*_]*$|  $|\\$")
_LAST = re.compile(r"(?<=[.!?…:])\s+")
"""What parts sentences, about."""
_ITEM = re.compile(r"\s*(?:[-*+•◦‣▪●○–—#>|<{\[]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]\s|https?:)")
_WIDE = 40
"""From so many columns on, a text may have been wrapped."""
_MOST_CUES = 8
"""Cues of one sentence: subtitles made by machines may have no full stop at all."""
_NARROW = 10
"""Nobody wraps at fewer columns."""
_MOST_LINES = 60
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_NO_SPACE = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(frozen=True, slots=True)
class _Line:
    bare: str
    columns: int


def continues(lines: Sequence[str], *, layout: Layout = "text") -> Iterator[bool]:
    """For each line, whether the sentence that it ends with goes on in the next one; looks a few lines ahead.

    Args:
        lines: with their line breaks, as `str.splitlines(keepends=True)` gives them.
        layout: what the lines are.
    """
    most = _MOST_CUES if layout == "cues" else _MOST_LINES
    block: list[_Line] = []
    for number, raw in enumerate(lines):
        line = _read(raw)
        if block and (len(block) > most or not _joins(lines[number - 1], block[-1], line, layout)):
            yield from _ended(block, layout)
            block = []
        block.append(line)
    if block:
        yield from _ended(block, layout)


def _read(raw: str) -> _Line:
    bare = raw.strip()
    return _Line(bare, _columns(bare))


def _joins(raw: str, line: _Line, after: _Line, layout: Layout) -> bool:
    """Whether a line belongs to the block of the one before it, `raw`."""
    if layout == "cues" and not (line.bare and after.bare and _seems_to_go_on(line.bare, after.bare)):
        return False
    return _may_join(raw, line, after)


def _ended(block: Sequence[_Line], layout: Layout) -> list[bool]:
    """For each line of a block, whether its sentence goes on; that of the last one does not."""
    inside = [True] * (len(block) - 1) if layout == "cues" else _wrapped(block, layout)
    return [*inside, False]


def joint(before: str, after: str) -> str:
    """What stands for a line break between two letters: a space, but nothing in scripts without spaces."""
    return "" if before == "-" or (_NO_SPACE.match(before) and _NO_SPACE.match(after)) else " "


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A sentence on one line, and where its line breaks were."""

    text: str
    breaks: tuple[tuple[int, int, int], ...] = ()
    """For each: before which character of `text` it stood; its start and its end in the sentence as it was."""

    def at(self, place: int) -> int:
        """The place in `text` of a character of the sentence as it was."""
        moved = place
        for there, start, end in self.breaks:
            if place >= end:
                moved = there + place - end
            elif place > start:
                return there
        return moved


def unwrap(sentence: str) -> Unwrapped:
    """Put a sentence on one line."""
    if "\n" not in sentence and "\r" not in sentence:
        return Unwrapped(sentence)
    said, at = "", 0
    breaks: list[tuple[int, int, int]] = []
    for match in BREAK.finditer(sentence):
        said += sentence[at : match.start()]
        said += joint(said[-1:], sentence[match.end() : match.end() + 1])
        breaks.append((len(said), *match.span()))
        at = match.end()
    return Unwrapped(said + sentence[at:], tuple(breaks))


def level(text: str) -> str:
    """`text` with a space for each character of its breaks: the same length, on one line."""
    return BREAK.sub(lambda match: " " * len(match.group()), text)


def _may_join(raw: str, line: _Line, after: _Line) -> bool:
    """Whether a sentence can go on from one line to the next, as far as these two tell."""
    if not line.bare or not after.bare or not raw.endswith("\n"):
        return False
    if _END.search(raw.rstrip("\r\n")) or _ITEM.match(after.bare) or line.bare.startswith(("#", "|", "```", "{", "<")):
        return False
    if line.bare.endswith(("**", "__")) or after.bare.startswith(("**", "__", '"')):
        return False
    begun = _LAST.split(line.bare)[-1]
    return any(c.isalpha() for c in begun) and any(c.isalpha() for c in after.bare)


def _seems_to_go_on(before: str, after: str) -> bool:
    """Whether a sentence goes on: without a capital, or after a comma or a short word ("the", "und")."""
    return not after[0].isupper() or before[-1] in ",-–，、،" or len(before.rsplit(maxsplit=1)[-1]) <= 3


def _wrapped(block: Sequence[_Line], layout: Layout) -> list[bool]:
    """For each line of a block but the last, each of which may join the next: whether it was broken."""
    width = max(line.columns for line in block)
    lower = [
        _seems_to_go_on(line.bare, after.bare)
        if layout == "html"
        else after.bare[0].islower() and line.columns >= _NARROW
        for line, after in itertools.pairwise(block)
    ]
    full = [width >= _WIDE and line.columns + _first_word(after) > width for line, after in itertools.pairwise(block)]
    found: list[bool] = []
    while len(found) < len(full):
        start = end = len(found)
        while end < len(full) and (lower[end] or full[end]):
            end += 1
        ended, began = _END.search(block[end].bare) is not None, _begins_sentence(block[start].bare)
        found += [
            (lower[n] and (full[n] or (ended and began))) or (full[n] and ended and not block[n + 1].bare[0].islower())
            for n in range(start, end)
        ]
        if end < len(full):
            found.append(False)
    return found


def _first_word(line: _Line) -> int:
    """The columns that a line's first word, or letter, would have taken at the end of the line before."""
    return 2 if _UNSPACED.match(line.bare) else _columns(line.bare.split(maxsplit=1)[0]) + 1


def _begins_sentence(bare: str) -> bool:
    """Whether the last sentence of a line begins with a capital, or the line itself with a mark or a digit."""
    first = next((c for c in _LAST.split(bare)[-1] if c.isalnum()), "")
    return bool(first) and not first.islower()


def _columns(text: str) -> int:
    """How wide a text is: ideographs and kana take two columns, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c)[0] == "M" else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
