"""A text taken apart: its sentences, ready for the model, and where they stand in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from translator.text.wrapped import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from translator.languages import Language
    from translator.text.marked import Marked
    from translator.text.sentences import Piece
    from translator.text.wrapped import Unwrapped


_MOST_TAGS = 60
"""Tags of a sentence that are placed among its words; further ones follow it."""


@dataclass(frozen=True, slots=True)
class PreparedSentence:
    """A sentence of a text."""

    start: int
    end: int
    """Where it stands in the text, in characters."""
    unwrapped: Unwrapped
    tokens: tuple[str, ...]
    tags: tuple[int, ...] = ()
    """The indices of the tags that are within it."""

    @property
    def said(self) -> str:
        """The sentence on one line, which the model gets."""
        return self.unwrapped.text

    @property
    def align(self) -> bool:
        """Whether it matters which words translate which."""
        return bool(self.tags)


@dataclass(slots=True)
class Prepared:
    """A text and its sentences, in order; what is between them stays."""

    marked: Marked
    source: Language
    sentences: list[PreparedSentence] = field(default_factory=list)
    _at: int = 0

    def add(self, piece: Piece, tokenize: Callable[[str], tuple[str, ...]]) -> None:
        """Take the next piece of the text."""
        start, self._at = self._at, self._at + len(piece.text)
        if piece.is_sentence:
            unwrapped = unwrap(piece.text)
            tags = tuple(self.marked.inside(start, self._at)[:_MOST_TAGS]) if self.marked.tags else ()
            self.sentences.append(PreparedSentence(start, self._at, unwrapped, tokenize(unwrapped.text), tags))
