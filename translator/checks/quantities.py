# ruff: noqa: RUF001  (letters of other languages)
"""Numbers that a translation lost or changed, and those that it gives in other units, clocks or calendars."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from translator.checks import spelled, wanted
from translator.checks.english import numbers_of_words
from translator.checks.numbers import Number, loosely, normalized, numbers
from translator.checks.wanted import CELSIUS, FAHRENHEIT, Wanted, primary

_HALF = Decimal("0.5")
_MOST_AND_A_HALF = 100
_HALVES = frozenset(map(Decimal, ("0.5", "1.5", "2.5")))
"""Said without digits in many languages: "anderthalb", "полтора"."""
_DIGITS = "零一二三四五六七八九"
_DISCOUNT = re.compile(rf"(?<![{_DIGITS}])([{_DIGITS[1:]}]{{1,2}})折")
_HALF_PRICE = re.compile(
    r"半[价價額额]|반값|절반|\b(?:hal[bfv]|moitié|demi-|mitad|met[àa]\b|metade|polov|poloic|połow|половин|yarı\b|jumătate|setengah)"
    r"|आध|نصف|نیم|חצי|μισ",
    re.IGNORECASE,
)
_DISCOUNTED = re.compile(rf"折|{_HALF_PRICE.pattern}", re.IGNORECASE)
_SPELLABLE = frozenset(map(Decimal, range(21)))
_CALENDARS = {
    "tha_Thai": (543,), "npi_Deva": (56, 57), "amh_Ethi": (-7, -8), "tir_Ethi": (-7, -8), "gaz_Latn": (-7, -8),
    "pes_Arab": (-621, -622), "prs_Arab": (-621, -622), "pbt_Arab": (-621, -622), "ckb_Arab": (700,),
}  # fmt: skip
"""What is added to a year of the common calendar."""
_ENGLISH = "eng_Latn"
_NO_NUMBER = re.compile(r"\b(?:covid-?19|sars-cov-2|24/7)\b", re.IGNORECASE)
"""What other languages have without its number."""
_TOLERANCE = 0.06
_ROUNDED = 0.55
_DEGREES_OFF = 2.5
_LONGEST = 20
"""Digits: no quantity has more."""


@dataclass(slots=True)
class Compared:
    """What became of the numbers of a sentence."""

    lost: list[str] = field(default_factory=list)
    """Not there, as they stand in the source."""
    converted: list[str] = field(default_factory=list)
    """There in another unit or calendar, as far as one can see."""
    left_out: list[str] = field(default_factory=list)
    """Not there, and said in brackets behind another figure for the same: "30 metres (100 feet)"."""


def compare(source: str, text: str, languages: tuple[str, str] = ("", "")) -> Compared:
    """Look for the numbers of `source` in `text`.

    A small number may be spelled out; if another number stands in its place, it was changed.
    """
    result = Compared()
    source = _NO_NUMBER.sub(" ", normalized(source))
    if not any(c.isdecimal() for c in source):
        return result
    text = normalized(text)
    asked = wanted.find(source, languages)
    there = numbers(text, primary(languages[1]))
    values = frozenset[Decimal]().union(*(number.readings for number in there))
    loose = values | loosely(text, there, primary(languages[1]))
    if languages[1] == _ENGLISH:
        loose |= numbers_of_words(text)  # "8月" is August
    missing = [one for one in asked if not (one.number.readings | one.also) & loose and not _in_parts(one, loose)]
    missing = [one for one in missing if not _discounted(one, text, there)]
    missing = [one for one in missing if not re.search(rf"(?<!\d){re.escape(one.text)}(?!\d)", text)]
    if not missing:
        return result
    romans = frozenset(spelled.roman(text))
    left: list[Wanted] = []
    explained = numbers_of_words(source) | loosely(source, [one.number for one in asked])
    explained = explained.union(*(one.number.readings | one.also for one in asked))
    for one in missing:
        if one.number.readings & romans or one.free:
            continue
        if found := _converted(one, loose, languages[1]):
            explained |= found
            result.converted.append(one.text)
        else:
            left.append(one)
    strange = any(not number.readings & explained for number in there)
    for one in left:
        if _said_otherwise(one, text, languages[1], strange=strange):
            continue
        if one.again:
            result.left_out.append(one.text)
        elif result.converted and _may_follow(one, result.converted, languages[1], strange=strange):
            result.converted.append(one.text)
        else:
            result.lost.append(one.text)
    return result


def lost(source: str, text: str, languages: tuple[str, str] = ("", "")) -> list[str]:
    """The numbers of `source` that are not in `text`, cannot stand there in words and were not converted."""
    return compare(source, text, languages).lost


def _in_parts(one: Wanted, there: frozenset[Decimal]) -> bool:
    """Whether both parts of a height are there, or both sides of a point: "7.30" is "7h30"."""
    if one.parts:
        return one.parts <= there
    match = re.fullmatch(r"(\d{1,2})[.:](\d\d)", one.text)
    if match is None:
        return False
    whole, rest = Decimal(int(match[1])), Decimal(int(match[2]))
    return rest in there and not there.isdisjoint({whole, whole + 12})


def _discounted(one: Wanted, text: str, there: list[Number]) -> bool:
    """Whether a percentage is a half, or a discount by what is left to pay, as in Chinese: "30% off" is 7折 or 七折."""
    if not one.strict or not _DISCOUNTED.search(text):
        return False
    said = {value for number in there if text.startswith("折", number.end) for value in number.readings}
    said |= {Decimal("".join(str(_DIGITS.index(c)) for c in match[1])) for match in _DISCOUNT.finditer(text)}
    said |= {Decimal(50)} if _HALF_PRICE.search(text) else set()
    return any(100 - wanted.paid(value) in one.number.readings for value in said)


def _said_otherwise(one: Wanted, text: str, language: str, *, strange: bool) -> bool:
    """Whether a number that is not there in digits can stand there in words."""
    values = one.number.readings | one.also
    # "Three and a half" has the word for three, whatever a half is there.
    whole = {value - _HALF for value in values if value < _MOST_AND_A_HALF and value % 1 == _HALF}
    if any(spelled.is_spelled(value, text, language) for value in values | whole):
        return True
    if strange:
        return False
    if any(value in _HALVES for value in values):
        return True
    if one.strict:
        return False
    if any(value in _SPELLABLE or _significant(value) == 1 for value in values):
        return True
    # Languages whose numerals are not known: what takes two words may be said in words.
    return bool(language) and not spelled.can_be_spelled(language) and any(_significant(value) == 2 for value in values)


def _significant(value: Decimal) -> int:
    """Digits of a whole number without the zeros at its end; 0 of a fraction."""
    _, digits, exponent = value.normalize().as_tuple()
    return len(digits) if isinstance(exponent, int) and exponent >= 0 else 0


def _converted(one: Wanted, there: frozenset[Decimal], language: str) -> frozenset[Decimal]:
    """The numbers that may be this one in another unit or calendar."""
    found: set[Decimal] = set()
    if len(one.text) > _LONGEST:
        return frozenset()
    for number in map(float, one.number.readings):
        goals = [number * factor for factor in one.factors]
        found |= {value for value in there if any(_near(float(value), goal) for goal in goals)}
        degrees = [(number - 32) / 1.8] if FAHRENHEIT in one.factors else []
        degrees += [number * 1.8 + 32] if CELSIUS in one.factors else []
        found |= {value for value in there if any(_near_degrees(float(value), goal) for goal in degrees)}
    if not one.factors:
        years = [value for value in one.number.readings if 1000 <= value <= 2200 and value == int(value)]
        found |= {value + add for value in years for add in _CALENDARS.get(language, ())} & there
    return frozenset(found)


def _near(value: float, goal: float) -> bool:
    """Whether a figure is a converted one, rounded to a few per cent or to the next whole one."""
    return abs(value - goal) <= max(_TOLERANCE * abs(goal), _ROUNDED if abs(goal) > 1 else 0)


def _near_degrees(value: float, goal: float) -> bool:
    """Whether a temperature is a converted one; people round them to fives."""
    return abs(value - goal) <= _DEGREES_OFF


def _may_follow(one: Wanted, converted: list[str], language: str, *, strange: bool) -> bool:
    """Whether a number goes with converted ones: in a unit as well, or as the day of a date of another calendar."""
    if one.factors and strange:
        return True
    year = language in _CALENDARS and any(re.fullmatch(r"\d{4}", text) for text in converted)
    return year and not one.strict and any(0 < value <= 31 for value in one.number.readings)
