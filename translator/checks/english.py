"""English words that a translation may give in digits: "twenty-five", "Sept.", "midnight"."""

from __future__ import annotations

import re
from decimal import Decimal

_WORDS = """
0 zero midnight nil, 1 one first once single january jan, 2 two second twice both couple pair double half february feb
monday, 3 three third triple trio march mar tuesday, 4 four fourth quarter april apr wednesday, 5 five fifth may
thursday, 6 six sixth june jun friday, 7 seven seventh week july jul saturday, 8 eight eighth august aug sunday, 9 nine
ninth september sep sept, 10 ten tenth decade october oct, 11 eleven eleventh november nov, 12 twelve twelfth dozen noon
midday midnight december dec, 13 thirteen, 14 fourteen fortnight, 15 fifteen fortnight, 16 sixteen, 17 seventeen,
18 eighteen, 19 nineteen, 20 twenty, 24 midnight, 30 thirty, 40 forty, 50 fifty half, 60 sixty, 70 seventy, 80 eighty,
90 ninety, 0.5 half, 25 quarter, 100 hundred century, 1000 thousand, 1000000 million"""
_VALUES: dict[str, list[Decimal]] = {}
for _value, *_words in map(str.split, _WORDS.split(",")):
    for _word in _words:
        _VALUES.setdefault(_word, []).append(Decimal(_value))
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_COMPOUND = re.compile(rf"\b({'|'.join(_TENS)})[- ](one|two|three|four|five|six|seven|eight|nine)\b")


def numbers_of_words(text: str) -> frozenset[Decimal]:
    """The numbers that the words of an English text may be given as."""
    text = text.lower()
    values = {value for word in re.findall(r"[a-z]+", text) for value in _VALUES.get(word, ())}
    for ten, one in _COMPOUND.findall(text):
        values.add(_TENS[ten] + _VALUES[one][0])
    return frozenset(values)
