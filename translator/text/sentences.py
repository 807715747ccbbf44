"""A text taken apart into sentences, and everything between them, so that nothing is lost on the way back.

NLLB translates single sentences; a paragraph makes it drop some. `split` cuts at every line break (headings,
list items and paragraphs are lines of their own), at the cells of a table and after a bold lead-in, and, within
all these, where sentencex sees a sentence end, with two rules of ours. White space, list bullets, emoji at the
ends, addresses and text without letters are not for the model.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sentencex

from translator.text import protected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a sentence to translate, or what stands between sentences."""

    text: str
    is_sentence: bool


# What opens a line without being said: indentation, quote marks, headings, bullets, boxes, numbers of a list.
_LINE_START = re.compile(
    r"\s*(?:(?:>+\s*|(?:[-*+•◦‣▪●○–—]|#{1,6})\s+))*"  # noqa: RUF001
    r"(?:(?:\[[ xX]\]|\d{1,3}[.)]|[a-z][.)]|\((?:\d{1,3}|[a-z]|[ivx]{1,4})\))\s+)?"
)
_LEAD_IN = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)(\1:?\s*)")
"""`**Scene 1:** ...` as captions write it, also with the colon after the stars."""
_CELL_EDGE = re.compile(r"(\s*(?<!\\)\|\s*)")
_APPROX = re.compile(r"\bapprox\.\s+$", re.IGNORECASE)
_AFTER_ELLIPSIS = re.compile(r"(?:(?<=\.\.\.)|(?<=…))\s+(?=The\b)")
_CLAUSE_END = re.compile(r"[;:,–—](?=\s)\s*|[，、；：،؛。！？]\s*")  # noqa: RUF001
_SHORT_CLAUSE = 12  # characters: what is shorter says too little to be translated alone
_NEAR = 256  # characters around the middle in which a cut is looked for first: a line may have a million
_SPACE = re.compile(r"\s+")
_END = re.compile(r"[.!?…:;。！？：；।॥။።؟۔][\"'”’»」』)\]]*$")  # noqa: RUF001


def split(text: str, language: str = "en") -> list[Piece]:
    """Take `text` apart; the pieces joined are the text again, byte for byte.

    Args:
        text: any text of any length.
        language: ISO 639 code, for abbreviations ("Dr.") and sentence ends of that language.
    """
    pieces: list[Piece] = []
    for line in text.splitlines(keepends=True):
        start = _LINE_START.match(line)
        cut = start.end() if start else 0
        pieces.append(Piece(line[:cut], is_sentence=False))
        for part in _parts(line[cut:]):
            for sentence in _sentences(part, language):
                pieces.extend(_strip(sentence))
    return [piece for piece in pieces if piece.text]


def split_long(sentence: str, fits: Callable[[str], bool]) -> list[Piece]:
    """Cut a sentence that is too long for the model at its clauses, else at spaces, else anywhere.

    Args:
        sentence: a sentence of `split`.
        fits: whether a text is short enough; must hold for a single character.

    Returns:
        Pieces that each fit and, joined, are the sentence.
    """
    if len(sentence) <= 1 or fits(sentence):
        return _strip(sentence)
    cut = _cut(sentence, len(sentence) // 2)
    return [*split_long(sentence[:cut], fits), *split_long(sentence[cut:], fits)]


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
    if line.startswith("|") and line.count("|") > 1:
        yield from _CELL_EDGE.split(line)
    elif lead_in := _LEAD_IN.match(line):
        yield from (*lead_in.groups(), line[lead_in.end() :])
    else:
        yield line


def _sentences(line: str, language: str) -> Iterator[str]:
    """Cut a line at sentence ends; white space stays at the end of the sentence before it."""
    segments: list[str] = []
    for segment in sentencex.segment(language, line):
        if segments and segment[:1].isdigit() and _APPROX.search(segments[-1]):
            segments[-1] += segment  # "approx. 5 km" is within a sentence
        else:
            segments.append(segment)
    for segment in segments:
        # sentencex may go on after an ellipsis; before "The" a new sentence begins.
        cuts = [0, *(match.end() for match in _AFTER_ELLIPSIS.finditer(segment)), len(segment)]
        yield from (segment[a:b] for a, b in itertools.pairwise(cuts))


def _strip(segment: str) -> list[Piece]:
    """Part a sentence from white space, emoji and invisible signs around it."""
    if not is_for_the_model(segment):
        return [Piece(segment, is_sentence=False)] if segment else []
    start, end = 0, len(segment)
    while _is_around(segment[start]):
        start += 1
    while _is_around(segment[end - 1]):
        end -= 1
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
