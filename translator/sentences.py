"""A text taken apart into sentences, and everything between them, so that nothing is lost on the way back.

NLLB translates single sentences; a paragraph makes it drop some. `split` cuts at every line break (headings,
list items and paragraphs are lines of their own) and, within a line, where sentencex sees a sentence end,
with two rules of ours. White space, list bullets and text without letters are not for the model.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sentencex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a sentence to translate, or what stands between sentences."""

    text: str
    is_sentence: bool


# What opens a line without being said: indentation, quote marks, headings, bullets, numbers of a list.
_LINE_START = re.compile(r"\s*(?:(?:[-*+>•◦‣–—]|#{1,6}|\d{1,3}[.)])\s+)*")  # noqa: RUF001
_APPROX = re.compile(r"\bapprox\.\s+$", re.IGNORECASE)
_AFTER_ELLIPSIS = re.compile(r"(?:(?<=\.\.\.)|(?<=…))\s+(?=The\b)")
_CLAUSE_END = re.compile(r"[;:,–—](?=\s)\s*|[，、；：،؛]\s*")  # noqa: RUF001
_SPACE = re.compile(r"\s+")


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
        for sentence in _sentences(line[cut:], language):
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
    if fits(sentence):
        return _strip(sentence)
    middle = len(sentence) // 2
    cut = middle
    for boundary in (_CLAUSE_END, _SPACE):
        cuts = [match.end() for match in boundary.finditer(sentence) if match.end() < len(sentence)]
        if cuts:
            cut = min(cuts, key=lambda end: abs(end - middle))
            break
    return [*split_long(sentence[:cut], fits), *split_long(sentence[cut:], fits)]


def has_letters(text: str) -> bool:
    """Whether there is anything to translate (letters of any script; not digits, signs or emoji)."""
    return any(character.isalpha() for character in text)


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
    """Part a sentence from the white space around it; text without letters is not a sentence."""
    if not has_letters(segment):
        return [Piece(segment, is_sentence=False)]
    body = segment.strip()
    start = segment.index(body)
    pieces = [
        Piece(segment[:start], is_sentence=False),
        Piece(body, is_sentence=True),
        Piece(segment[start + len(body) :], is_sentence=False),
    ]
    return [piece for piece in pieces if piece.text]
