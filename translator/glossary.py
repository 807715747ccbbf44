"""Terms that stay as they are in a translation, or have a set one: brands, products, slogans.

A file or a request lists them:

    Acme                                            stays in every language
    {"term": "running shoe", "translations": {"fr": "chaussure de course", "de": "Laufschuh"}}

A file is text with one term a line, or a table (CSV, TSV) whose first column is named `term` and whose other columns
are language codes, or JSON with a list as requests have it. A term without any translation stays in all languages; one
with some is free in the languages that it has none for.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from translator.errors import GlossaryError, UnknownLanguageError
from translator.languages import read_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MOST_TERMS = 2000
LONGEST_TERM = 200
_MOST_BYTES = 4 << 20
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a sentence, and how it must read in the translation."""

    source: str
    target: str


@dataclass(frozen=True)
class Entry:
    """A term of the glossary."""

    term: str
    translations: dict[str, str] = field(default_factory=dict)
    """By FLORES code; empty: the term stays in every language."""

    def into(self, language: str) -> str | None:
        """How it must read in a language; None where that is free."""
        return self.translations.get(language) if self.translations else self.term


@dataclass(frozen=True)
class Glossary:
    """Terms, of which a later one of the same spelling counts."""

    entries: tuple[Entry, ...] = ()

    def __add__(self, other: Glossary) -> Glossary:
        """Both; the terms of `other` count where they are the same."""
        return Glossary(self.entries + other.entries) if other.entries else self

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str], Entry]]:
        """For each entry its first word, folded, which rules most out at once, and what finds it; longest first."""
        entries = {_key(entry.term): entry for entry in self.entries}.values()
        return [
            (entry.term.split()[0].casefold(), re.compile(_as_pattern(entry.term)), entry)
            for entry in sorted(entries, key=lambda entry: len(entry.term), reverse=True)
        ]

    def found(self, text: str, language: str) -> list[tuple[int, int, Term]]:
        """Start and end of each term in a text that must read in some way in a language, in order.

        Where terms overlap the longest counts, also if it is free in this language.
        """
        folded = text.casefold() if self.entries else ""
        taken: list[tuple[int, int]] = []
        terms: list[tuple[int, int, Term]] = []
        for first, pattern, entry in self._patterns if self.entries else ():
            for match in pattern.finditer(text) if first in folded else ():
                start, end = match.span()
                if any(start < last and begin < end for begin, last in taken):
                    continue
                taken.append((start, end))
                said = " ".join(match.group().split())
                if (target := entry.into(language)) is not None:
                    terms.append((start, end, Term(match.group(), said if target == entry.term else target)))
        return sorted(terms, key=itemgetter(0))


def occurrences(terms: Sequence[Term], text: str) -> list[tuple[int, int, Term]]:
    """Start and end of the terms of a sentence in it; `terms` are all of them, in order."""
    found, at = [], 0
    for term in terms:
        start = text.find(term.source, at)
        if start >= 0:
            at = start + len(term.source)
            found.append((start, at, term))
    return found


def inlined(text: str, terms: Sequence[Term]) -> str:
    """A sentence with the set translations in place of its terms."""
    said, at = "", 0
    for start, end, term in occurrences(terms, text):
        said += text[at:start] + term.target
        at = end
    return said + text[at:]


def missing(terms: Sequence[Term], text: str) -> list[str]:
    """Which terms a translation does not have as often as it should, as they should read."""
    folded = text.casefold()
    return [
        target
        for target, times in Counter(term.target for term in terms).items()
        if (text.count(target) if _has_capital(target) else folded.count(target.casefold())) < times
    ]


def read(listed: Any) -> Glossary:
    """A glossary from JSON: a list of terms and of objects with `term` and `translations`.

    Raises:
        GlossaryError: it is not of that form; the message names the entry.
    """
    if not isinstance(listed, list):
        raise GlossaryError("must be a list of terms and of objects with term and translations")
    if len(listed) > MOST_TERMS:
        raise GlossaryError(f"{len(listed)} terms: at most {MOST_TERMS} are taken")
    return Glossary(tuple(_entry(one, f"entry {number}") for number, one in enumerate(listed, 1)))


def load(file: Path) -> Glossary:
    """A glossary from a file of text, CSV, TSV or JSON.

    Raises:
        GlossaryError: it cannot be read, or not understood; the message names the file and the place.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise GlossaryError(f"{file} is larger than {_MOST_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise GlossaryError(f"cannot read {file}: {error}") from error
    try:
        return read(_listed(text, file.suffix.lower()))
    except (GlossaryError, csv.Error) as error:
        raise GlossaryError(f"{file}: {error}") from error


def _listed(text: str, suffix: str) -> Any:
    """What a file lists, in the form of a request's `keep`, which `read` checks."""
    if suffix == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GlossaryError(f"is not JSON: {error}") from error
    if suffix not in (".csv", ".tsv"):
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("# ")]
    rows = csv.DictReader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ",")
    if not rows.fieldnames or rows.fieldnames[0].strip().lower() != "term":
        raise GlossaryError("the first column of a table must be named 'term', the others are language codes")
    return [
        {"term": row[rows.fieldnames[0]], "translations": _cells(list(row.items())[1:])}
        for row in rows
        if (row[rows.fieldnames[0]] or "").strip()
    ]


def _cells(row: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    return {code: said for code, said in row if code and isinstance(said, str) and said.strip()}


def _entry(one: Any, where: str) -> Entry:
    if isinstance(one, str):
        return Entry(_text(one, where))
    if not isinstance(one, dict) or "term" not in one or set(one) - {"term", "translations"}:
        raise GlossaryError(f"{where} must be a term, or an object with term and translations")
    translations = one.get("translations") or {}
    if not isinstance(translations, dict):
        raise GlossaryError(f"{where}: translations must be an object, language code -> translation")
    term = _text(one["term"], where)
    return Entry(term, {_language(code, where): _text(said, where) for code, said in translations.items()})


def _text(value: Any, where: str) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text or len(text) > LONGEST_TERM:
        raise GlossaryError(f"{where} must be a text of 1 to {LONGEST_TERM} characters")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise GlossaryError(f"{where} holds a lone surrogate, which is not text")
    return text


def _language(code: Any, where: str) -> str:
    try:
        return read_tag(str(code)).code
    except UnknownLanguageError as error:
        raise GlossaryError(f"{where}: {error}") from error


def _has_capital(term: str) -> bool:
    return any(c.isupper() for c in term)


def _key(term: str) -> str:
    """What spellings of a term have in common: one without capitals may be written with some."""
    return " ".join(term.split()) if _has_capital(term) else " ".join(term.split()).casefold()


def _as_pattern(term: str) -> str:
    words = r"\s+".join(re.escape(word) for word in term.split())
    before = r"(?<!\w)" if term[0].isalnum() and not _UNSPACED.match(term[0]) else ""
    after = r"(?!\w)" if term[-1].isalnum() and not _UNSPACED.match(term[-1]) else ""
    return f"{before}{words}{after}" if _has_capital(term) else f"{before}(?i:{words}){after}"
