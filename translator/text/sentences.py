"""A text taken apart into sentences, and everything between them, so that nothing is lost on the way back.

NLLB translates single sentences; a paragraph makes it drop some. `split` cuts at line breaks (headings, list items
and paragraphs are lines of their own), but for those that a text was wrapped at (`wrapped`), at the items of a list
within a line, at the cells of a table and after a bold lead-in, and, within all these, at sentence ends
(`boundaries`). White space, list bullets, emoji and markup at the ends, addresses, JSON and text without letters are
not for the model.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from translator.text import boundaries, inline_lists, json_fragments, protected, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from translator.text.wrapped import Layout


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a sentence to translate, or what stands between sentences."""

    text: str
    """As it stands in the text; a sentence holds the line breaks that it was wrapped at."""
    is_sentence: bool


# What opens a line without being said: indentation, quote marks, headings, bullets, boxes, numbers of a list.
_LINE_START = re.compile(
    r"\s*(?:(?:>+\s*|(?:[-*+•⁃◦‣▪●○–—]|#{1,6})\s+))*"  # noqa: RUF001
    r"(?:(?:\[[ xX]\]|\d{1,3}(?:\.\)|[.)])|[a-z][.)]|\((?:\d{1,3}|[a-z]|[ivx]{1,4})\))\s+)?"
)
_LEAD_IN = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)(\1:?\s*)")
"""`**Scene 1:** ...` as captions write it, also with the colon after the stars."""
_CELL_EDGE = re.compile(r"(\s*(?<!\\)\|\s*)")
_MOST_CELLS = 1000
_CLAUSE_END = re.compile(r"[;:,–—](?=\s)\s*|[，、；：،؛。！？]\s*")  # noqa: RUF001
_SHORT_CLAUSE = 12  # characters: what is shorter says too little to be translated alone
_NEAR = 256  # characters around the middle in which a cut is looked for first
_WINDOW = 2048  # characters that are cut together
_MOST_AROUND = 8  # pieces of markup at the edges of a sentence
_SPACE = re.compile(r"\s+")
_text_of = attrgetter("text")
_END = re.compile(r"[.!?…:;。！？：；।॥။።؟۔][\"'”’»」』)\]]*$")  # noqa: RUF001


def split(text: str, language: str = "en", *, layout: Layout = "text") -> list[Piece]:
    """Take `text` apart; the pieces joined are the text again, byte for byte.

    Args:
        text: any text of any length.
        language: ISO 639 code, for abbreviations ("Dr.") and sentence ends of that language.
        layout: what the lines are, by which one knows whether a sentence goes on from one to the next.
    """
    return list(pieces(text, language, layout=layout))


def pieces(text: str, language: str, *, layout: Layout = "text") -> Iterator[Piece]:
    """What `split` gives, one by one, so that a long text can be left off in its middle."""
    at = 0
    for start, end in [*json_fragments.spans(text), (len(text), len(text))]:
        yield from filter(_text_of, _prose(text[at:start], language, layout))
        yield from filter(_text_of, [Piece(text[start:end], is_sentence=False)])
        at = end


def _prose(text: str, language: str, layout: Layout) -> Iterator[Piece]:
    """The pieces of a text without JSON; some may be empty."""
    for says, group in itertools.groupby(text.splitlines(keepends=True), _says):
        lines = list(group)
        if not says:  # there may be a million of them
            yield Piece("".join(lines), is_sentence=False)
            continue
        said = ""
        for line, goes_on in zip(lines, wrapped.continues(lines, layout=layout), strict=True):
            said += line
            if not goes_on:
                yield from _line(said, language)
                said = ""


def _says(line: str) -> bool:
    """Whether a line has words; one that has none neither goes on nor ends a sentence of the next."""
    return not line.isspace() and has_letters(line)


def _line(line: str, language: str) -> Iterator[Piece]:
    """The pieces of a line, or of several that a sentence was wrapped over."""
    level = wrapped.level(line) if "\n" in line[:-1] else line
    markers = inline_lists.markers(level)
    at = 0
    for start, end in [*markers, (len(line), len(line))]:
        begin = _LINE_START.match(line, at) if at == 0 < start else None
        cut = begin.end() if begin and begin.end() <= start else at
        yield Piece(line[at:cut], is_sentence=False)
        for part in _parts(level[cut:start]):
            for sentence in boundaries.segments(part, language):
                yield from _strip(line[cut : cut + len(sentence)])
                cut += len(sentence)
        yield Piece(line[start:end], is_sentence=False)
        at = end


def split_long(sentence: str, fits: Callable[[str], bool]) -> list[Piece]:
    """Cut a sentence that is too long for the model at its clauses, else at spaces, else anywhere.

    Args:
        sentence: a sentence of `split`.
        fits: whether a text is short enough; must hold for a single character.

    Returns:
        Pieces that each fit and, joined, are the sentence.
    """
    parts: list[str] = []
    at = 0
    while len(sentence) - at > _WINDOW:  # a line may have a million characters: each is looked at a few times
        cut = _cut(sentence[at : at + _WINDOW], _WINDOW - _NEAR)
        parts.append(sentence[at : at + cut])
        at += cut
    return [piece for part in (*parts, sentence[at:]) for piece in _halved(part, fits)]


def _halved(sentence: str, fits: Callable[[str], bool]) -> list[Piece]:
    if len(sentence) <= 1 or fits(sentence):
        return _strip(sentence)
    cut = _cut(sentence, len(sentence) // 2)
    return [*_halved(sentence[:cut], fits), *_halved(sentence[cut:], fits)]


def clauses(sentence: str, keep: Sequence[tuple[int, int]] = (), most: int = 6) -> list[Piece]:
    """Cut a sentence at its clauses, for another try at translating it.

    Args:
        sentence: a sentence of `split`.
        keep: spans that are not for the model (addresses, placeholders).
        most: into about how many parts at most; a short clause goes with its neighbour.

    Returns:
        Pieces that, joined, are the sentence; a single one if it has no clauses.
    """
    pieces: list[Piece] = []
    at = 0
    least = max(_SHORT_CLAUSE, len(sentence) // most)
    for start, end in [*keep, (len(sentence), len(sentence))]:
        for match in _CLAUSE_END.finditer(sentence, at, start):
            if match.end() - at >= least and start - match.end() >= least:
                pieces += _strip(sentence[at : match.end()])
                at = match.end()
        pieces += [*_strip(sentence[at:start]), Piece(sentence[start:end], is_sentence=False)]
        at = end
    return [piece for piece in pieces if piece.text]


def has_letters(text: str) -> bool:
    """Whether there are letters (of any script; not digits, signs or emoji)."""
    return any(character.isalpha() for character in text)


def is_for_the_model(text: str) -> bool:
    """Whether there is anything to translate: letters, in more than an address or a placeholder."""
    return has_letters(text) and has_letters(protected.without(text))


def ends(text: str) -> bool:
    """Whether a text ends as a sentence does, with a full stop or the like; a tag does not."""
    return _END.search(text) is not None


def _parts(line: str) -> Iterator[str]:
    """The cells of a table's row, or a bold lead-in and what follows it, or else the whole line."""
    if line.startswith("|") and 1 < line.count("|") <= _MOST_CELLS:
        yield from _CELL_EDGE.split(line)
    elif lead_in := _LEAD_IN.match(line):
        yield from (*lead_in.groups(), line[lead_in.end() :])
    else:
        yield line


def _strip(segment: str) -> list[Piece]:
    """Part a sentence from white space, emoji, invisible signs and markup around it."""
    if not is_for_the_model(segment):
        return [Piece(segment, is_sentence=False)] if segment else []
    start, end = 0, len(segment)
    for _ in range(_MOST_AROUND):
        while _is_around(segment[start]):
            start += 1
        while _is_around(segment[end - 1]):
            end -= 1
        before, after = (
            protected.around(segment[start:end]) if segment[start] in "{&<" or segment[end - 1] in "};>" else (0, 0)
        )
        if not before and not after:
            break
        start, end = start + before, end - after
    pieces = [
        Piece(segment[:start], is_sentence=False),
        Piece(segment[start:end], is_sentence=True),
        Piece(segment[end:], is_sentence=False),
    ]
    return [piece for piece in pieces if piece.text]


def _is_around(character: str) -> bool:
    """White space, emoji and what modifies them, zero-width and control characters."""
    return (
        character.isspace()
        or "\ufe00" <= character <= "\ufe0f"
        or unicodedata.category(character) in ("So", "Sk", "Cf", "Cc", "Co", "Cn")
    )


def _cut(sentence: str, middle: int) -> int:
    """The best place to cut, near the middle."""
    for boundary in (_CLAUSE_END, _SPACE):
        for around in (_NEAR, len(sentence)):
            found = boundary.finditer(sentence, max(0, middle - around), min(middle + around, len(sentence)))
            if cuts := [match.end() for match in found if match.end() < len(sentence)]:
                return min(cuts, key=lambda end: abs(end - middle))
    return _between_letters(sentence, middle)


def _between_letters(word: str, middle: int) -> int:
    """A place near the middle where no mark is torn from its letter, if there is one."""
    for cut in range(middle, min(middle + 16, len(word))):
        if unicodedata.category(word[cut])[0] != "M" and "\u200d" not in word[cut - 1 : cut + 1]:
            return cut
    return middle
