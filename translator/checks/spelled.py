# ruff: noqa: RUF001  (Cyrillic letters that stand for Roman ones)
"""Numbers written in words or Roman numerals: "siebenunddreißig", "sedmatřicetiletá", "XIX"."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from unicode_rbnf import FormatPurpose, RbnfEngine
from unicode_rbnf.engine import RbnfError

from translator.languages import known

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROMAN = re.compile(
    r"(?<!\w)(?=[IVXLC])(?:X[CL]|L?X{0,3})(?:I[XV]|V?I{0,3})(?:(?!\w)|(?<=[IVXLC]{2})(?=(?:e|er|ème|ᵉ|º|ª)(?!\w)))"
)
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_LOOKALIKES = str.maketrans("ІХСѴ", "IXCV")
_OTHER_NAMES = {"tl": "fil", "nb": "no", "arb": "ar"}
"""Languages that the library knows by another code."""
_MOST = 10**13
_STEM = 3
"""The least letters by which a word of a number is known, without its ending."""
_ENDING = 2
"""Letters at the end of a word that its case, gender or company may change."""


def is_spelled(value: Decimal, text: str, language: str) -> bool:
    """Whether a whole number stands in a text in words, as far as CLDR has those of the FLORES code's language."""
    if value != int(value) or not 0 < value < _MOST:
        return False
    low = _folded(text)
    return any(all(stem in low for stem in stems) for stems in _stems(int(value), language))


def can_be_spelled(language: str) -> bool:
    """Whether CLDR has the numerals of a FLORES code's language."""
    return _engine(language) is not None


def roman(text: str) -> Iterator[Decimal]:
    """The Roman numerals of a text, those in Cyrillic letters too."""
    for match in _ROMAN.finditer(text.translate(_LOOKALIKES)):
        digits = [_ROMAN_DIGITS[c] for c in match.group()]
        pairs = zip(digits, [*digits[1:], 0], strict=True)
        yield Decimal(sum(-one if one < following else one for one, following in pairs))


@lru_cache(maxsize=256)
def _engine(language: str) -> RbnfEngine | None:
    found = known().get(language)
    if found is None:
        return None
    primary = found.primary
    for code in ("zh_Hant" if language == "zho_Hant" else primary, _OTHER_NAMES.get(primary, primary)):
        try:
            return RbnfEngine.for_language(code)
        except ValueError:
            continue
    return None


@lru_cache(maxsize=4096)
def _stems(value: int, language: str) -> tuple[tuple[str, ...], ...]:
    """For each way to say a number, the beginnings of its words."""
    engine = _engine(language)
    if engine is None:
        return ()
    ways: set[tuple[str, ...]] = set()
    for purpose in (FormatPurpose.CARDINAL, FormatPurpose.ORDINAL, FormatPurpose.YEAR):
        try:
            said = engine.format_number(value, purpose).text_by_ruleset.values()
        except (RbnfError, ValueError):
            continue  # the language has no words for it
        for text in said:
            words = re.split(r"[\s\-\u00ad]+", _folded(text))
            if any(c.isdigit() for c in text):
                continue
            stems = tuple(_stem(word) for word in words if len(word) >= _STEM or len(words) == 1)
            if stems and all(stems):
                ways.add(stems)
    return tuple(ways)


def _stem(word: str) -> str:
    spaced = ord(word[0]) < 0x2E80 if word else True
    return word[: max(_STEM, len(word) - _ENDING)] if spaced else word


def _folded(text: str) -> str:
    """Without case and accents, which numerals are written with and without."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
