"""Writes the translator's language tables from CLDR's and ISO's, as the package langcodes has them.

    pip install "langcodes[data]==3.5.1"
    python scripts/make_language_tables.py

The tables are kept in the repository: the service needs no such package. `languages.tsv` keeps its codes, tags and
names, and gets the other ISO 639 codes of each language. `tag_aliases.tsv` says which tags mean another one: regions
that imply a script ("zh-TW"), withdrawn codes, and what `CHOSEN` adds.
"""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

from langcodes import Language
from langcodes.data_dicts import (
    LANGUAGE_ALPHA3,
    LANGUAGE_ALPHA3_BIBLIOGRAPHIC,
    LANGUAGE_REPLACEMENTS,
    LIKELY_SUBTAGS,
    NORMALIZED_MACROLANGUAGES,
)

from translator.errors import UnsupportedScriptError
from translator.languages import read_tag

FOLDER = Path(__file__).resolve().parents[1] / "translator"
NAMES = FOLDER.with_name("client") / "endpoints" / "language_names.tsv"
"""For the client, which imports nothing of the translator: field names of the reference format."""

CHOSEN = {
    # Bare codes of languages that NLLB has in two scripts: the one that most is written in.
    "ace": "ace-Latn",
    "bjn": "bjn-Latn",
    "kau": "knc-Latn",
    "knc": "knc-Latn",
    "kr": "knc-Latn",
    "ks": "ks-Arab",
    "taq": "taq-Latn",
    "tmh": "taq-Latn",
    "zh": "zh-Hans",
    # LibreTranslate's own codes.
    "pb": "pt",
    "zt": "zh-Hant",
    # Macrolanguages of which NLLB has several members, told apart by script or country.
    "az-Arab": "azb",
    "ku-Arab": "ckb",
    "ku-IQ": "ckb",
    "ku-IR": "ckb",
    "fa-AF": "prs",
    "zh-cmn": "zh",
    "zh-yue": "yue",
    # Serbo-Croatian, which the standards take for Serbian in Latin letters.
    "hbs": "sr-Latn",
    "sh": "sr-Latn",
    # Countries of the Arabic dialects that NLLB has. Not "ar-SA": that is what systems call Arabic in general.
    "ar-EG": "arz",
    "ar-IQ": "acm",
    "ar-JO": "ajp",
    "ar-LB": "apc",
    "ar-MA": "ary",
    "ar-PS": "ajp",
    "ar-SY": "apc",
    "ar-TN": "aeb",
    "ar-YE": "acq",
    # ISO 15924's names for the same script, or one that it counts apart.
    "ko-Kore": "ko",
    "ur-Aran": "ur",
    "fa-Aran": "fa",
    "ks-Aran": "ks-Arab",
    # NLLB's name of Santali says Bengali, and its text is in Ol Chiki.
    "sat-Olck": "sat",
}
ALSO = {"no": "nb", "nor": "nb", "fil": "tl"}
"""Bare codes that are read as another, besides those that the standards tell."""


def main() -> None:
    """Write the tables."""
    table = FOLDER / "languages.tsv"
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    flores = {row["code"].partition("_")[0]: row["tag"].partition("-")[0] for row in rows}
    ours = set(flores.values())
    means = dict(flores)
    for language in sorted(ours):
        for codes in (LANGUAGE_ALPHA3, LANGUAGE_ALPHA3_BIBLIOGRAPHIC):
            if three := codes.get(language):
                means.setdefault(three, language)
    for old, new in sorted((NORMALIZED_MACROLANGUAGES | LANGUAGE_REPLACEMENTS | ALSO).items()):
        if new in ours and "-" not in old and old not in ours:
            means.setdefault(old.lower(), new)
    means |= ALSO
    for row in rows:
        primary = row["tag"].partition("-")[0]
        row["iso"] = " ".join(sorted(code for code, language in means.items() if language == primary != code))
    _write(table, ["code", "tag", "name", "iso"], rows)
    aliases = dict(CHOSEN)
    for tag, likely in LIKELY_SUBTAGS.items():
        language, _, region = tag.partition("-")
        if language in ours and len(region) in (2, 3) and tag not in aliases:
            aliases[tag] = "-".join(likely.split("-")[:2])
    _write(FOLDER / "tag_aliases.tsv", ["tag", "means"], [{"tag": t, "means": m} for t, m in sorted(aliases.items())])
    _write_names(rows, {*means, *aliases})


def _write_names(rows: list[dict[str, str]], others: set[str]) -> None:
    """The client's table: names of languages, also their own, and which of `others` mean them.

    Own names are CLDR's, of the tag and of the language alone, without a script.
    """
    also: dict[str, list[str]] = {row["code"]: [] for row in rows}
    for name in sorted(others):
        with contextlib.suppress(UnsupportedScriptError):
            also[read_tag(name).code].append(name)
    written = [{**row, "also": " ".join(also[row["code"]]), "own": ";".join(_own_names(row))} for row in rows]
    _write(NAMES, ["code", "tag", "name", "also", "own"], written)


def _own_names(row: dict[str, str]) -> list[str]:
    tag = row["tag"]
    names = dict.fromkeys(Language.get(each).autonym() for each in (tag, tag.partition("-")[0]))
    return [name for name in names if name.partition(" (")[0] != row["name"].partition(" (")[0]]


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
