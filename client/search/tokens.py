"""How texts of all scripts become words of the index, and a query becomes an expression of SQLite's FTS5.

Scripts that have spaces between words are indexed by words. Those that have none (Chinese, Japanese, Thai, Lao, Khmer,
Burmese) are indexed by pairs of characters, each overlapping the next: `自転車` is `自転 転車 車`, so that any part of
a text is found as a phrase of pairs, or as the beginning of one. FTS5's own `trigram` would find nothing shorter than
three characters, which most Chinese words are.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

TOKENIZER = "unicode61 remove_diacritics 0 categories 'L* N* Co M*'"
"""What FTS5 splits folded texts with: signs that are written on letters are parts of words, as in Hindi."""
_ACCENTS = re.compile("[\u0300-\u036f\u064b-\u065f\u0670\u0640]")
"""What is dropped: accents of Latin, Greek and Cyrillic, vowel signs of Arabic. Other marks tell words apart."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_TERM = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_NOT_TEXT = re.compile("[\\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Term(NamedTuple):
    """A word or a phrase of a query, folded."""

    text: str
    exact: bool
    """In quotes: whole words, one after the other. Else words may go on."""


class Query(NamedTuple):
    """What a query asks for: of each group one term, and none of the others."""

    groups: list[list[Term]]
    excluded: list[Term]

    @property
    def terms(self) -> list[Term]:
        """All that may be found."""
        return [term for group in self.groups for term in group]

    def expression(self) -> str:
        """The query in FTS5's syntax; empty if it asks for nothing that can be found."""
        if not self.groups:
            return ""
        wanted = " AND ".join(f"({' OR '.join(map(_expression, group))})" for group in self.groups)
        unwanted = " OR ".join(map(_expression, self.excluded))
        return f"({wanted}) NOT ({unwanted})" if unwanted else wanted


def fold(text: str) -> str:
    """A text without what should make no difference: case, accents, full width."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text))).casefold()


def indexed(text: str) -> str:
    """A text as it goes into the index: folded, with pairs of characters where there are no spaces between words."""
    folded = fold(text)
    return folded if folded.isascii() else _UNSPACED.sub(lambda run: _pairs(run[0], with_last=True), folded)


def _pairs(run: str, *, with_last: bool) -> str:
    pairs = [run[at : at + 2] for at in range(len(run) - 1)]
    return f" {' '.join([*pairs, run[-1]] if with_last or not pairs else pairs)} "


def words_of(text: str) -> list[str]:
    """The words of a text in a script with spaces, folded, as the index has them."""
    return _WORD.findall(fold(text))


def parse(query: str) -> Query:
    """Read a query: words and "phrases" that must all be there, `a OR b`, and `-word` for what must not.

    Whatever stands in it, it is a query: signs that mean nothing are passed over.
    """
    groups: list[list[Term]] = []
    excluded: list[Term] = []
    joins = negated = False
    for minus, phrase, word in _TERM.findall(_NOT_TEXT.sub(" ", query)):
        if word in ("AND", "OR", "NOT"):
            joins, negated = word == "OR", word == "NOT"
            continue
        negative = negated or bool(minus) or (word.startswith("-") and len(word) > 1)
        term = Term(fold(word.lstrip("-").replace('"', " ") if word else phrase).strip(), exact=not word)
        if any(map(_is_letter, term.text)):
            if negative:
                excluded.append(term)
            elif joins and groups:
                groups[-1].append(term)
            else:
                groups.append([term])
        joins = negated = False
    return Query(groups, excluded)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" or unicodedata.category(character) == "Co"


def _expression(term: Term) -> str:
    words = _UNSPACED.sub(lambda run: _pairs(run[0], with_last=False), term.text).strip()
    phrase = f'"{words}"'
    if term.exact and not _UNSPACED.fullmatch(words.split()[-1][-1:]):
        return phrase
    # What is whole counts twice, and so comes first.
    return f"({phrase} OR {phrase} *)"


def spans(text: str, query: Query) -> list[tuple[int, int]]:
    """Where words of a query stand in a text, from first to last."""
    wanted = {piece for term in query.terms for piece in term.text.split()}
    found: list[tuple[int, int]] = []
    for word in re.finditer(r"\S+", text):
        folded = fold(word[0])
        if _UNSPACED.search(folded) and len(folded) == len(word[0]):
            hits = [(folded.find(piece), piece) for piece in wanted]
            found += [(word.start() + at, word.start() + at + len(piece)) for at, piece in hits if at >= 0]
        elif any(part.startswith(tuple(wanted)) for part in re.split(r"[^\w\u0300-\u0fff]+", folded) if part):
            found.append(word.span())
    return sorted(found)
