# ruff: noqa: RUF001  (letters of other scripts)
"""The words for thousand, million and the like that stand beside digits: "2.5 million", "250万", "2 lakh crore".

`magnitudes.tsv`, written by `scripts/make_magnitude_table.py`, has those of Unicode's CLDR by language; what is in
common use besides stands here.
"""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from functools import cache
from importlib import resources

_COMMON = {
    1: "割 成",  # tenths: of a hundred
    2: "hundred 百",
    3: "k thousand thousands tausend mil mille mila tysiąc tysiące tysięcy тысяча тысячи тысяч тисяч хиляди tusen "
    "duizend bin ribu nghìn ngàn ألف آلاف هزار हज़ार हजार হাজার พัน ሺህ ሺ 千 천 elfu tūkst tis tuhat tuhatta tuhande",
    4: "หมื่น 万 萬 만",
    5: "lakh lakhs लाख লাখ แสน",
    6: "m mio mn million millions millionen millón millones milhão milhões milione milioni milion miliony milionów "
    "miljoen miljoner millioner миллион миллиона миллионов млн мільйонів εκατομμύρια juta triệu milyon مليون ملايين "
    "ሚሊዮን ล้าน",
    7: "crore crores करोड़ কোটি",
    8: "亿 億 억",
    9: "bn billion billions milliard milliards milliarde milliarden miliardi mld miliard miliarda miliardów "
    "miljard миллиард миллиарда миллиардов млрд bilhão bilhões miliar tỷ milyar مليار",
    12: "trillion trillions tn 兆 조",
}
_WORD = re.compile(r"[ \u00ad]?([^\W\d_]\S*)")
_WORD_BEFORE = re.compile(r"([^\W\d_]+) ?$")
_EDGES = ".,;:!?()[]\"'”’»」』،؛؟।"
_SHORT_STEM = 5
"""Words from so many letters on are known by their beginnings: their ends change with case and number."""


@cache
def _words(language: str) -> dict[str, int]:
    """Words with their zeros: the common ones, and above them those of one language."""
    words = {word: zeros for zeros, each in _COMMON.items() for word in each.split()}
    return words | _own(language)


@cache
def _own(language: str) -> dict[str, int]:
    """The words of one language in the table."""
    rows = resources.files(__package__).joinpath("magnitudes.tsv").read_text(encoding="utf-8").splitlines()
    table = csv.DictReader(rows, delimiter="\t")
    return {row["word"]: int(row["zeros"]) for row in table if row["language"] == language}


@cache
def _unspaced(language: str) -> tuple[tuple[str, int], ...]:
    """Those of scripts in which they follow the digits without a space, or stand together; the longest first."""
    own = [(word, zeros) for word, zeros in _words(language).items() if ord(word[0]) > 0xE00]
    return tuple(sorted(own, key=lambda pair: -len(pair[0])))


def after(text: str, at: int, language: str) -> tuple[Decimal | None, int]:
    """The factor that the words at `at` stand for, and where they end; None without any.

    Several multiply: "20 lakh crore", "200 mil millones", "3千万".
    """
    zeros: int | None = None
    while match := _WORD.match(text, at):
        found = _read(match.group(1), language)
        if found is None:
            break
        power, length, rest = found
        zeros = power + (zeros or 0)
        at = match.start(1) + length
        if zeros > 18 or rest:
            break
    return (None if zeros is None else Decimal(10) ** zeros), at


def before(text: str, at: int, language: str) -> Decimal | None:
    """The factor that the word before `at` stands for, in languages that put it there: "elfu 700"."""
    match = _WORD_BEFORE.search(text, max(0, at - 24), at)
    if match is None:
        return None
    zeros = _own(language).get(match[1].lower())
    return None if zeros is None else Decimal(10) ** zeros


def _read(word: str, language: str) -> tuple[int, int, bool] | None:
    """What a word stands for in zeros, how much of it does, and whether nothing can follow it."""
    known = _words(language)
    bare = word.rstrip(_EDGES)
    low = bare.lower()
    if (zeros := known.get(low)) is not None:
        return zeros, len(bare), len(bare) < len(word)
    for prefix, zeros in _unspaced(language):
        if word.startswith(prefix):
            return zeros, len(prefix), False
    forms = [whole for whole in known if _is_form(low, whole)]
    if not forms:
        return None
    best = max(forms, key=lambda whole: (low.startswith(whole[:-1]), len(whole)))
    return known[best], len(bare), len(bare) < len(word)


def _is_form(word: str, known: str) -> bool:
    """Whether a word may be another form of a known one: "миллиардами" of "миллиард"."""
    stem = max(_SHORT_STEM, len(known) - 2)
    return len(known) >= stem and len(word) <= len(known) + 4 and word.startswith(known[:stem])
