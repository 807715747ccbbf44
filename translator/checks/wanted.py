# ruff: noqa: RUF001  (quotes and signs of other scripts)
"""The numbers of a source sentence, by what stands around them, and what else each may become in a translation.

A time may be told by another clock, a length in another unit, a year by another era; a number with a percent sign, a
currency or a name beside it must be there. The words around them are English; other languages have their digits alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from translator.checks import spelled
from translator.checks.numbers import Number, numbers
from translator.languages import known

_CURRENCY = r"[$€£¥₹₩₽₺₪฿₫₴₦₱₲₡]"
_CURRENCY_WORD = r"(?:dollars?|euros?|pounds?|yen|yuan|rupees?|roubles?|rubles?|francs?|pesos?|cents?|USD|EUR|GBP|JPY)"
_BEFORE = re.compile(rf"(?:{_CURRENCY}|%) ?$")
_AFTER = re.compile(
    rf" ?(?:%|{_CURRENCY}(?!\d))|[ -]?(?:per ?cent|percent|percentage|{_CURRENCY_WORD})\b", re.IGNORECASE
)
_GENERATION = re.compile(r"\d{1,2}[KG]\b")
"""What stays as it is, and is in no unit: "4K", "5G"."""
_NAME = re.compile(r"(?:^|(?<=[\s(\[\"'“‘/-]))([^\W\d_][\w’'&+.-]*?)[ -]?$")
_NO_NAME_WORDS = """
jan january feb february mar march apr april may jun june jul july aug august sep sept september oct october nov
november dec december mon monday tue tuesday wed wednesday thu thursday fri friday sat saturday sun sunday the a
an at in on by for from of to and or but about over under more than just only i we he she it they page no
"""
_NO_NAME = frozenset(_NO_NAME_WORDS.split())
_CLOCK = re.compile(r"(?<![\d.,:])(\d{1,2})(?:[:.](\d{2}))?[ -]?(a|p)\.?\s?m\b\.?", re.IGNORECASE)
_O_CLOCK = re.compile(r"(?<![\d.,:])(\d{1,2})()( )(?:o['’]clock\b)", re.IGNORECASE)
_CLOCK_RANGE = re.compile(
    r"(?<![\d.,:])(\d{1,2})(?:[:.](\d{2}))?(?= ?(?:-|–|to|and) ?\d{1,2}(?:[:.]\d{2})? ?[ap]\.?m\b)", re.IGNORECASE
)
_CLOCK_GMT = re.compile(r"(?<![\d.,:])([01]\d|2[0-3])([0-5]\d)(?= ?(?:GMT|BST|UTC|CET|hrs|hours)\b)")
_CLOCK_24 = re.compile(r"(?<![\d.,:])(\d{1,2}):(\d{2})(?![\d:])")
_CLOCKS = (_CLOCK_24, _CLOCK_GMT, _O_CLOCK, _CLOCK_RANGE, _CLOCK)
_FROM_DAWN = frozenset(["swh", "amh", "tir", "gaz", "som", "kin", "run", "lug", "luo"])
"""Languages in which hours are counted from six in the morning: 2 pm is eight."""
_SPOKEN_MINUTES = frozenset({"00", "15", "30", "45"})
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867, "民國": 1911, "民国": 1911}
"""What is added to a year of an era."""
_HEIGHT = re.compile(
    r"(?<![\d.,])(\d)(?:['’′] ?|(?: |-)?(?:ft|feet|foot)\.?,?(?: |-)?)(\d{1,2})(?![\d.,]\d|\d)"
    r"(?:\"|”|″|''|’’| ?(?:in|inches|inch)\b)?"
)
FAHRENHEIT, CELSIUS = 0.5556, 1.8
_UNITS: dict[str, tuple[float, ...]] = {
    r"mph|miles? (?:per|an) hour": (1.609, 0.447),
    r"(?:sq\.?|square)[ -]miles?": (2.59, 259),
    r"(?:sq\.?|square)[ -](?:feet|foot|ft)": (0.0929,),
    r"miles?|mi": (1.609, 1609),
    r"feet|foot|ft|['’′]": (0.3048, 30.48),
    r"inch(?:es)?|in(?=[ .,]?(?:$|[^a-z ]))|\"|″": (2.54, 25.4, 0.0254),
    r"yards?|yds?": (0.9144, 91.44),
    r"pounds?|lbs?": (0.4536, 453.6),
    r"ounces?|oz|fl\.? oz": (28.35, 29.57, 0.02835),
    r"stones?|st": (6.35, 14),
    r"acres?": (0.4047, 4047, 0.00405),
    r"gallons?": (3.785, 4.546),
    r"pints?": (0.568, 0.473, 568, 473),
    r"degrees?|°|° ?F|F\b|Fahrenheit|deg": (FAHRENHEIT,),
    r"tons?": (0.907, 1.016, 907, 1016),
    r"furlongs?": (201.2, 0.2012),
    r"hectares?|ha": (10000, 0.01, 2.471),
    r"km/h|kph|kilomet(?:er|re)s? (?:per|an) hour": (0.6214,),
    r"km|kilomet(?:er|re)s?": (0.6214, 1000),
    r"met(?:er|re)s?|m": (3.281, 0.001, 100),
    r"cm|centimet(?:er|re)s?": (0.3937, 0.01, 10),
    r"kg|kilograms?|kilos?": (2.205, 1000),
    r"grams?|g": (0.03527, 0.001),
    r"lit(?:er|re)s?|l": (0.2642, 0.22, 1000),
    r"°? ?C\b|Celsius": (CELSIUS,),
}
"""Units, English, and what a figure in them is multiplied with to give it in those of elsewhere."""
_UNIT = [(re.compile(rf"[ -]?(?:{names})(?![a-z])", re.IGNORECASE), factors) for names, factors in _UNITS.items()]
_AGAIN = re.compile(r"\d[^()]{0,24} (\([^()]*\d[^()]*\))")
_RANGE = re.compile(r" ?(?:to|-|–|—|and|or) ?\d[\d.,]*")
_NEAR = 60
"""Characters around a number that say what it is."""


@dataclass(slots=True)
class Wanted:
    """A number of the source, and what it may have become."""

    number: Number
    text: str
    also: frozenset[Decimal] = frozenset()
    """Other values that are as good: of decades, of the clock."""
    factors: tuple[float, ...] = ()
    strict: bool = False
    """It has a percent sign, a currency or a name beside it, and must be there."""
    free: bool = False
    """It may be said without any number: "half past"."""
    parts: frozenset[Decimal] = frozenset()
    """Numbers that, all of them, are as good: feet and inches."""
    again: bool = False
    """It says in brackets what another figure has said."""


def find(source: str, languages: tuple[str, str]) -> list[Wanted]:
    """The numbers of the source, with what else may stand for each."""
    found = numbers(source, primary(languages[0]))
    clocks = {match.start(1): match for pattern in _CLOCKS for match in pattern.finditer(source)}
    again_in = [match.span(1) for match in _AGAIN.finditer(source)]
    heights = {match.start(): match for match in _HEIGHT.finditer(source)}
    result: list[Wanted] = []
    done = -1
    for number in found:
        if number.start < done:
            continue
        if clock := clocks.get(number.start):
            result += _clock(clock, {one.start: one.readings for one in found}, languages[1])
            done = clock.end()
        elif (height := heights.get(number.start)) and number.text[:1] == height[1]:
            feet, inches = Decimal(height[1]), Decimal(height[2])
            whole = Number(height.group(), frozenset({12 * feet + inches}), height.start(), height.end())
            result.append(
                Wanted(whole, height.group().strip(), factors=(2.54, 0.0254), parts=frozenset({feet, inches}))
            )
            done = height.end()
        else:
            result.append(_plainly(number, source, again_in, languages[1]))
    return result


def _plainly(number: Number, source: str, again_in: list[tuple[int, int]], language: str) -> Wanted:
    """A number that is neither a time nor a height; `again_in` are brackets behind figures."""
    before, behind = source[max(0, number.start - _NEAR) : number.start], source[number.end : number.end + _NEAR]
    decades = {value - 1900 for value in number.readings if 1910 <= value <= 1990 and value % 10 == 0}
    if re.match(r"['’]?s\b", behind):  # the eighties are the ninth decade
        decades |= {ten / 10 + 1 for ten in decades}
        # "The 1500s" are the sixteenth century, and the "Cinquecento".
        hundreds = {value for value in number.readings if 1000 <= value <= 2000 and value % 100 == 0}
        decades |= {value / 100 + 1 for value in hundreds} | {value - 1000 for value in hundreds}
    also = decades | _years(number, before) | _of_era(number, before)
    if behind.startswith("折"):
        left = {paid(value) for value in number.readings}
        also |= left | {100 - value for value in left}
    strict = bool(_BEFORE.search(before) or _AFTER.match(behind))
    generation = _GENERATION.match(source, number.start) is not None
    strict |= generation
    strict |= _is_name(before) and (not language or spelled.can_be_spelled(language))
    span = _RANGE.match(behind)
    factors: tuple[float, ...] = ()
    if not generation and not _BEFORE.search(before):
        for rest in (behind, behind[span.end() :] if span else ""):
            factors = factors or next((each for unit, each in _UNIT if rest and unit.match(rest)), ())
    again = any(start < number.start and number.end <= end for start, end in again_in)
    return Wanted(number, number.text, frozenset(also), factors, strict and not factors, again=again)


def _years(number: Number, before: str) -> set[Decimal]:
    """The year in full that two digits stand for ("'98", "2018-19"), or in two digits behind another."""
    values = {value for value in number.readings if value == int(value)}
    years = {
        value + century
        for value in values
        if 0 <= value <= 99
        for century in (1900, 2000)
        if number.text.isdigit() and len(number.text) == 2
    }
    return years | ({value % 100 for value in values} if re.search(r"\d{4} ?[-–/] ?$", before) else set())


def _of_era(number: Number, before: str) -> set[Decimal]:
    """The year of the common calendar that a year of a Japanese or Taiwanese era is."""
    start = _ERAS.get(before.rstrip()[-2:], 0)
    return {value + start for value in number.readings} if start else set()


def paid(value: Decimal) -> Decimal:
    """The percentage that is left to pay by a Chinese discount: 70 of 7折, 85 of 85折."""
    return 10 * value if value < 10 else value


def _is_name(before: str) -> bool:
    """Whether the word before a number makes a name with it: "iPhone 15", "Title 42"."""
    match = _NAME.search(before)
    if match is None:
        return False
    word = match[1]
    if word.lower().strip(".") in _NO_NAME:
        return False
    inner = any(c.isupper() for c in word[1:])
    if word.endswith(("'s", "’s")):
        return False
    return inner or word[0].isupper()


def _clock(clock: re.Match[str], readings: dict[int, frozenset[Decimal]], language: str) -> list[Wanted]:
    """The hour and the minutes of a time, on clocks of twelve and of twenty-four hours.

    `readings` are what the numbers of the text can mean, by where they start: what looks like a time may be none.
    """
    hour, minutes = Decimal(int(clock[1])), clock[2]
    half = (clock[3] or "").lower() if clock.re is _CLOCK else ""
    hours = {hour, hour % 12, hour + 12} if half != "a" else {hour, hour % 12}
    if hour == 12:
        hours |= {Decimal(0), Decimal(24)}
    if language.partition("_")[0] in _FROM_DAWN:
        hours |= {(hour + 6) % 12, (hour + 6) % 12 or Decimal(12)}
    wanted = [_part(clock, 1, readings, frozenset(hours))]
    if minutes:
        wanted.append(_part(clock, 2, readings, frozenset()))
        wanted[1].free = minutes in _SPOKEN_MINUTES
    return wanted


def _part(
    clock: re.Match[str], group: int, readings: dict[int, frozenset[Decimal]], also: frozenset[Decimal]
) -> Wanted:
    start, end = clock.span(group)
    number = Number(clock[group], frozenset({Decimal(int(clock[group]))}), start, end)
    return Wanted(number, clock[group], also | readings.get(start, frozenset()))


def primary(code: str) -> str:
    """The ISO 639 code of a FLORES code."""
    language = known().get(code)
    return language.primary if language else ""
