# ruff: noqa: RUF001, RUF002  (digits and marks of other scripts)
"""Numbers in a text of any language, as values: "1,000.50", "1.000,50" and "१,०००.५०" are one number."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = re.compile(r"(?<!\d)\d{1,3}(?: \d{3}(?!\d))+(?:[.,]\d+)?|\d+(?:[.,'’٫٬]\d+)*")
_GROUPS = re.compile(r"[ '’٬]")
_AFTER = re.compile(r"\s*([^\W\d_]\S*)")
_MAGNITUDES = {
    10**2: "hundred 百",
    10**3: "k thousand thousands tausend mil mille mila tysiąc tysiące tysięcy тысяча тысячи тысяч тисяч tusen "
    "duizend bin ribu nghìn ngàn ألف آلاف हज़ार हजार হাজার พัน ሺህ 千 천",
    10**4: "หมื่น 万 萬 만",
    10**5: "lakh lakhs लाख লাখ แสน 十万",
    10**6: "m mio mn million millions millionen millón millones milhão milhões milione milioni milion miliony milionów "
    "miljoen miljoner millioner миллион миллиона миллионов млн мільйонів εκατομμύρια juta triệu milyon مليون ملايين "
    "ሚሊዮን ล้าน 百万",
    10**7: "crore crores करोड़ কোটি 千万",
    10**8: "亿 億 억",
    10**9: "bn billion billions milliard milliards milliarde milliarden miliardi mld miliard miliarda miliardów "
    "miljard миллиард миллиарда миллиардов млрд bilhão bilhões miliar tỷ milyar مليار 十億 十亿",
}
_MAGNITUDE = {word: Decimal(value) for value, words in _MAGNITUDES.items() for word in words.split()}
_UNSPACED = tuple(sorted((word for word in _MAGNITUDE if ord(word[0]) > 0xE00), key=len, reverse=True))
_ENGLISH_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty"""
_ENGLISH = {word: Decimal(value) for value, word in enumerate(_ENGLISH_WORDS.split())}
_ENGLISH |= {"first": Decimal(1), "second": Decimal(2), "third": Decimal(3), "dozen": Decimal(12)}
_SPELLABLE = frozenset(map(Decimal, range(21)))


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in a text."""

    text: str
    readings: frozenset[Decimal]
    """What it can mean: "1.500" is 1.5 or 1500; "2 million" is 2 or 2,000,000; "7 pm" is 7 or 19."""

    @property
    def spellable(self) -> bool:
        """Whether a translator may write it in words: up to twenty, and one digit with zeros."""
        return any(value in _SPELLABLE or _is_round(value) for value in self.readings)


def numbers(text: str) -> list[Number]:
    """The numbers of a text, in order; digits of any script, fractions and full-width forms too."""
    text = unicodedata.normalize("NFKC", text)
    found: list[Number] = []
    joined_at = -1  # where a CJK magnitude ended: in "1億2000万" the parts are one number
    for match in _NUMBER.finditer(text):
        values, end, factor = _readings(match.group()), match.end(), None
        if len(values) == 1:
            factor, end = _magnitude(text, end)
        if factor is not None:
            values = [values[0] | {value * factor for value in values[0]}]
        elif re.match(r"(?::\d\d)?\s*p\.?\s?m\b", text[end:], re.IGNORECASE):
            values = [one | {value + 12 for value in one} for one in values]
        if match.start() == joined_at and len(values) == 1:
            last = found.pop()
            values = [frozenset({max(last.readings) + max(values[0])})]
            found.append(Number(last.text + text[match.start() : end], values[0]))
        else:
            found += [Number(match.group(), one) for one in values]
        joined_at = end if factor is not None and end > match.end() and text[end - 1] >= "\u3000" else -1
    return found


def lost(source: str, target: str) -> list[str]:
    """The numbers of `source` that are not in `target` and cannot stand there in words.

    A small number may be spelled out; if another number stands in its place, it was changed.
    """
    wanted, there = numbers(source), numbers(target)
    values = frozenset[Decimal]().union(*(number.readings for number in there))
    missing = [number for number in wanted if not _also(number.readings) & values]
    spelled = {_ENGLISH[word] for word in re.findall(r"[a-z]+", source.lower()) if word in _ENGLISH}
    explained = spelled.union(*(_also(number.readings) for number in wanted))
    strange = [number for number in there if not number.readings & explained]
    return [number.text for number in missing if strange or not number.spellable]


def _is_round(value: Decimal) -> bool:
    """Whether it is one digit with zeros after it."""
    _, digits, exponent = value.normalize().as_tuple()
    return len(digits) == 1 and isinstance(exponent, int) and exponent >= 0


def _also(readings: frozenset[Decimal]) -> frozenset[Decimal]:
    """A year of the last century may be given by its decade alone: "1990s", "années 90"."""
    return readings | {value - 1900 for value in readings if 1910 <= value <= 1990 and value % 10 == 0}


def _magnitude(text: str, at: int) -> tuple[Decimal | None, int]:
    """The factor that a word after a number stands for, and where that word ends."""
    after = _AFTER.match(text, at)
    if after is None:
        return None, at
    word = after.group(1)
    factor = _MAGNITUDE.get(word.lower().strip(".,;:!?"))
    if factor is not None:
        return factor, after.end()
    start = next((known for known in _UNSPACED if word.startswith(known)), None)
    return (None, at) if start is None else (_MAGNITUDE[start], after.start(1) + len(start))


def _readings(token: str) -> list[frozenset[Decimal]]:
    """What digits with separators can mean; several numbers if they are a date, a version or a list."""
    token = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in token).replace("٫", ".")
    token = _GROUPS.sub("", token)
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
