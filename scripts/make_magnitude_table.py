"""Writes the translator's table of the words for thousand, million and the like, as Unicode's CLDR has them.

    pip install "babel>=2.17,<3"
    python scripts/make_magnitude_table.py

A row is a language (the tag's first part, as in `languages.tsv`), a word in lower case and how many zeros it stands
for. The table is kept in the repository: the service needs no such package.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from babel import Locale, UnknownLocaleError

FOLDER = Path(__file__).resolve().parents[1] / "translator"
TABLE = FOLDER / "checks" / "magnitudes.tsv"
_PATTERN = re.compile(r"^(?P<before>\D*)(?P<digits>0+)(?P<after>\D*)$")


def main() -> None:
    """Write the table."""
    with (FOLDER / "languages.tsv").open(encoding="utf-8") as file:
        tags = sorted({row["tag"] for row in csv.DictReader(file, delimiter="\t")})
    rows = sorted({(tag.partition("-")[0], *word) for tag in tags for word in words(tag)})
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("language", "word", "zeros"))
        table.writerows(rows)
    print(f"{TABLE}: {len(rows)} words in {len({row[0] for row in rows})} languages")


def words(tag: str) -> set[tuple[str, int]]:
    """The words of one language with their zeros; none if CLDR does not have it."""
    try:
        locale = Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return set()
    found: set[tuple[str, int]] = set()
    for style in ("long", "short"):
        for plural in locale.compact_decimal_formats.get(style, {}).values():
            for size, number in plural.items():
                match = _PATTERN.match(number.pattern.split(";")[0].replace("'", "").replace("\xa0", " "))
                if match is None:
                    continue
                zeros = len(size) - len(match["digits"])
                word = (match["before"] or match["after"]).strip().strip(".\u200f").lower()
                if zeros > 0 and word and " " not in word and any(c.isalpha() for c in word):
                    found.add((word, zeros))
    return found


if __name__ == "__main__":
    main()
