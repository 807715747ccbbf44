# ruff: noqa: RUF001, RUF002  (digits and marks of other scripts)
"""Numbers in a text of any language, as values: "1,000.50", "1.000,50" and "१,०००.५०" are one number."""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from translator.checks import magnitudes

_NUMBER = re.compile(r"(?<!\d)\d{1,3}(?: \d{3}(?!\d))+(?:[.,]\d+)?|\d+(?:[.,'’٫٬،·]\d+)*")
_VULGAR = re.compile(r"(?<=\d)\s?([¼½¾⅐-⅞])")
_MIXED = re.compile(r"(?<=\d)[ \u00a0\u202f\u2009]([1-9])[/⁄]([2-9])(?!\d)")
_EVENING = re.compile(r"(?::\d\d)?\s*p\.?\s?m\b", re.IGNORECASE)
_APART = re.compile(r"(?<!\d)(\d{1,3})(?:[.,] (\d{3}))+(?!\d)")
_FRACTION = re.compile(r"(?<![\d/])(\d{1,6})/(\d{1,6})(?![\d/])")
_CHINESE_DIGITS = {
    c: i for i, row in enumerate(("零〇", "一", "二两兩", "三", "四", "五", "六", "七", "八", "九")) for c in row
}
_CHINESE_UNITS = {"十": 10, "百": 100, "千": 1000, "십": 10, "백": 100, "천": 1000}
_CHINESE_MYRIADS = {
    "万": 10**4,
    "萬": 10**4,
    "만": 10**4,
    "亿": 10**8,
    "億": 10**8,
    "억": 10**8,
    "兆": 10**12,
    "조": 10**12,
}
_CHINESE = re.compile(
    r"(?:\d[\d,]*(?:\.\d+)?|[零〇一二两兩三四五六七八九十百千万萬亿億兆])"
    r"(?:\d[\d,]*(?:\.\d+)?|[零〇一二两兩三四五六七八九十百千万萬亿億兆십백천만억조])+|[一二两兩三四五六七八九十百千]"
    r"|\d[\d,]*(?:\.\d+)?[십백천만억조]+(?: \d[\d,]*[십백천만억조]+)+(?: ?\d[\d,]*)?"
)
_BURMESE_ZERO = re.compile(r"(?<=[၀-၉])ဝ|ဝ(?=[၀-၉])")
"""A letter that looks like the digit, and is typed for it."""
_LONGEST = 40
"""Digits of a number that are computed with; longer ones are compared as they stand."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in a text."""

    text: str
    readings: frozenset[Decimal]
    """What it can mean: "1.500" is 1.5 or 1500; "2 million" is 2 or 2,000,000; "7 pm" is 7 or 19."""
    start: int
    end: int
    """Where it stands in the text in Unicode's form NFKC, what belongs to it included (see `normalized`)."""


def normalized(text: str) -> str:
    """The text with compatible forms made one: digits of full width, no-break spaces; "10½" and "10 1/2" are "10.5"."""
    text = _VULGAR.sub(lambda match: _decimals(unicodedata.numeric(match[1])), text)
    text = _MIXED.sub(lambda match: _decimals(int(match[1]) / int(match[2])) or match.group(), text)
    return _BURMESE_ZERO.sub("၀", unicodedata.normalize("NFKC", text))


def _decimals(fraction: float) -> str:
    """A fraction as it stands behind a whole number: ".5"; nothing for what is none."""
    return "." + f"{fraction:.3f}"[2:].rstrip("0") if 0 < fraction < 1 else ""


def numbers(text: str, language: str = "") -> list[Number]:
    """The numbers of a text in NFKC (see `normalized`), in order; digits of any script.

    Args:
        text: any text.
        language: an ISO 639 code, for that language's words for thousand and so on.
    """
    found: list[Number] = []
    joined_at = -1  # where a CJK magnitude ended: in "1億2000万" the parts are one number
    for match in _NUMBER.finditer(text):
        values, end, factor = _readings(match.group()), match.end(), None
        if len(values) == 1:
            factor, end = magnitudes.after(text, end, language)
        if factor is not None:
            values = [values[0] | {value * factor for value in values[0]}]
        elif evening := _EVENING.match(text, end):
            values = [one | {value + 12 for value in one} for one in values]
            end = evening.end()
        if match.start() == joined_at and len(values) == 1:
            last = found.pop()
            values = [frozenset({max(last.readings) + max(values[0])})]
            found.append(Number(last.text + text[match.start() : end], values[0], last.start, end))
        else:
            found += [Number(match.group(), one, match.start(), end) for one in values]
        joined_at = end if factor is not None and end > match.end() and text[end - 1] >= "\u3000" else -1
    return found


def loosely(text: str, found: list[Number], language: str = "") -> frozenset[Decimal]:
    """What else the numbers of a text may say, good enough to stand for a number of the source.

    The parts of what looks like a decimal ("２，３", "7.55"), sums over words ("1 thousand 100"), groups with spaces
    after their marks ("1, 100"), fractions as decimals ("2/8" in Persian), and Chinese numerals ("七千三百").
    """
    values: set[Decimal] = set()
    for number in found:
        if parts := re.findall(r"\d+", number.text) if len(number.text) < _LONGEST else []:
            values |= {_plain(part) for part in parts}
        if factor := magnitudes.before(text, number.start, language):
            values |= {value * factor for value in number.readings}
    for one, other in itertools.pairwise(found):
        if other.start - one.end <= 1:
            low = max(other.readings)
            values |= {high + low for high in one.readings if high > low and not high % 1000}
    for match in _APART.finditer(text):
        values.add(_plain("".join(re.findall(r"\d+", match.group()))))
    for match in _FRACTION.finditer(text):
        values.add(Decimal(f"{_plain(match[1])}.{_plain(match[2])}"))
    for match in _CHINESE.finditer(text):
        if len(match.group()) < _LONGEST and (value := _chinese(match.group())) is not None:
            values.add(value)
    return frozenset(values)


def _plain(digits: str) -> Decimal:
    """Digits of any script as a number."""
    return Decimal("".join(str(unicodedata.digit(c)) for c in digits))


def _chinese(numeral: str) -> Decimal | None:
    """A number with Chinese or Korean units, or as a row of Chinese digits; None if it is none."""
    if all(c in _CHINESE_DIGITS for c in numeral):
        return Decimal("".join(str(_CHINESE_DIGITS[c]) for c in numeral))
    total = section = number = Decimal(0)
    started = False
    for token in re.findall(r"\d[\d,]*(?:\.\d+)?|[^\d\s,.]", numeral):
        if token[0].isdecimal():
            number, started = (
                Decimal("".join(c if c == "." else str(unicodedata.digit(c)) for c in token if c != ",")),
                True,
            )
        elif token in _CHINESE_DIGITS:
            number, started = Decimal(_CHINESE_DIGITS[token]), True
        elif token in _CHINESE_UNITS:
            section += (number if started else 1) * _CHINESE_UNITS[token]
            number, started = Decimal(0), False
        elif token in _CHINESE_MYRIADS:
            section += number
            total += (section or 1) * _CHINESE_MYRIADS[token]
            section = number = Decimal(0)
            started = False
    return total + section + number


def _readings(token: str) -> list[frozenset[Decimal]]:
    """What digits with separators can mean; several numbers if they are a date, a version or a list."""
    token = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in token)
    token = token.translate(_SEPARATORS)
    if "'" in token and not re.fullmatch(r"\d{1,3}(?:'\d{3})+(?:[.,]\d+)?", token):  # 5'5: feet and inches
        return [reading for part in token.split("'") for reading in _readings(part)]
    token = token.replace("'", "")
    marks = [c for c in token if c in ".,"]
    parts = re.split(r"[.,]", token)
    if not marks:
        return [frozenset({Decimal(token)})]
    decimal = Decimal("".join(parts[:-1]) + "." + parts[-1])
    whole = Decimal("".join(parts))
    if len(set(marks)) == 2:
        plain = marks.count(marks[-1]) == 1
        return [frozenset({decimal if plain else whole})]
    # Groups of three, or as in India of two before the last three.
    grouped = len(parts[-1]) == 3 and len(parts[0]) <= 3 and parts[0] != "0"
    grouped &= {len(part) for part in parts[1:-1]} in ({2}, {3}, set())
    if len(marks) == 1:
        return [frozenset({decimal, whole} if grouped else {decimal})]
    return [frozenset({whole})] if grouped else [frozenset({Decimal(part)}) for part in parts]


_SEPARATORS = str.maketrans({"٫": ".", "·": ".", "،": ",", "٬": "'", "’": "'", " ": "'"})
