"""Writing systems: which letters a FLORES code's script has, and text as units that compare across languages."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LETTERS = {
    "Arab": ("ARABIC",), "Armn": ("ARMENIAN",), "Beng": ("BENGALI",), "Cyrl": ("CYRILLIC",), "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",), "Geor": ("GEORGIAN",), "Grek": ("GREEK",), "Gujr": ("GUJARATI",), "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL", "CJK"), "Hans": ("CJK",), "Hant": ("CJK",), "Hebr": ("HEBREW",),
    "Jpan": ("HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA", "HALFWIDTH"), "Khmr": ("KHMER",),
    "Knda": ("KANNADA",), "Laoo": ("LAO",), "Latn": ("LATIN", "MODIFIER"), "Mlym": ("MALAYALAM",),
    "Mymr": ("MYANMAR",), "Olck": ("OL",), "Orya": ("ORIYA",), "Sinh": ("SINHALA",), "Taml": ("TAMIL",),
    "Telu": ("TELUGU",), "Tfng": ("TIFINAGH",), "Thai": ("THAI",), "Tibt": ("TIBETAN",),
}  # fmt: skip
"""Script of a FLORES code -> how the Unicode names of its letters begin."""
_ALL_LETTERS = frozenset(name for names in _LETTERS.values() for name in names)
_MISNAMED = {"sat_Beng": "Olck"}
"""NLLB-200's token of Santali says Bengali; its training text, FLORES' `sat_Olck`, is in Ol Chiki."""
_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})
"""Written without spaces between words."""
_SIZE = {"CJK": 2.8, "HIRAGANA": 1.8, "KATAKANA": 1.4, "HANGUL": 2.2, "ETHIOPIC": 1.8, "ARABIC": 1.2, "HEBREW": 1.3,
         "THAI": 1.4, "LAO": 1.4, "KHMER": 1.3, "MYANMAR": 1.3}  # fmt: skip
"""About how many letters of English one letter stands for; 1 elsewhere, combining marks not counted."""
_SIZE_WITH_MARKS = _SIZE | {"HIRAGANA": 2.0, "KATAKANA": 2.0}
"""The same where lengths are compared by characters (see `size_with_marks`)."""


def script_of(language: str) -> str:
    """The script of a FLORES code: "hin_Deva" -> "Deva"."""
    return _MISNAMED.get(language, language.rpartition("_")[2])


@lru_cache(maxsize=8192)
def prefix(character: str) -> str:
    """How the Unicode name of a character begins: "LATIN", "CJK"."""
    return unicodedata.name(character, "").split(" ", 1)[0]


def belongs(character: str, script: str) -> bool:
    """Whether a letter is one of a FLORES script; any is of a script that is not known."""
    return script not in _LETTERS or prefix(character) in _LETTERS[script]


def may_stand(character: str, chosen: Iterable[str]) -> bool:
    """Whether a character is of one of the `chosen` scripts, or of none that a FLORES code names: digits, signs."""
    first = prefix(character)
    return first not in _ALL_LETTERS or any(first in _LETTERS.get(script, ()) for script in chosen)


def known() -> list[str]:
    """The scripts that FLORES codes name."""
    return sorted(_LETTERS)


def is_own(character: str, script: str) -> bool:
    """Whether a letter is not one that the script shares with Chinese."""
    return belongs(character, script) and (script in ("Hans", "Hant") or prefix(character) != "CJK")


def spaced(script: str) -> bool:
    """Whether clauses and sentences of a FLORES script have spaces between them."""
    return script not in ("Hans", "Hant", "Jpan")


def size(text: str) -> float:
    """How much a text says, in letters of English."""
    return sum(_SIZE.get(prefix(c), 1.0) for c in text if c.isalpha() or c.isdigit())


def size_with_marks(text: str, *, digit: float, mark: float, space: float = 0.0) -> float:
    """The same, where digits, marks and spaces say something, too: each as much as so many letters of English."""
    total = 0.0
    for c in text:
        if c.isalpha():
            total += _SIZE_WITH_MARKS.get(prefix(c), 1.0)
        elif c.isdigit():
            total += digit
        elif c.isspace():
            total += space
        elif unicodedata.category(c)[0] in "PS":
            total += mark
    return total


def words(text: str) -> list[str]:
    """Case-folded words, without punctuation and digits; marks and invisible joiners stay in their word."""
    kept = (c if unicodedata.category(c)[0] in "LM" or c in "\u200c\u200d" else " " for c in text.casefold())
    return "".join(kept).split()


def units(text: str) -> list[str]:
    """Words; of scripts without spaces, each letter with its marks."""
    found: list[str] = []
    for word in words(text):
        if not any(prefix(c) in _UNSPACED for c in word):
            found.append(word)
            continue
        for c in word:
            if found and unicodedata.category(c)[0] == "M":
                found[-1] += c
            else:
                found.append(c)
    return found
