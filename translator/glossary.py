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
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from translator.errors import GlossaryError, UnknownLanguageError
from translator.languages import read_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MOST_TERMS = 2000
LONGEST_TERM = 200
_MOST_BYTES = 4 << 20
_WORD = re.compile(r"\w+")
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
    def _index(self) -> _Index:
        """The terms by what a text must have for them to be there."""
        entries = {_key(entry.term): entry for entry in self.entries}.values()
        index = _Index()
        for rank, entry in enumerate(sorted(entries, key=lambda entry: len(entry.term), reverse=True)):
            if word := _first_word(entry.term):
                index.by_word.setdefault(word, []).append((rank, entry))
            else:
                index.others.append((entry.term.split()[0].casefold(), rank, entry))
        return index

    def found(self, text: str, language: str) -> list[tuple[int, int, Term]]:
        """Start and end of each term in a text that must read in some way in a language, in order.

        Where terms overlap the longest counts, also if it is free in this language.
        """
        if not self.entries:
            return []
        taken = bytearray(len(text))
        terms: list[tuple[int, int, Term]] = []
        for entry, matches in self._index.matches(text):
            for match in matches:
                start, end = match.span()
                if taken.find(1, start, end) >= 0:
                    continue
                taken[start:end] = b"\1" * (end - start)
                said = " ".join(match.group().split())
                if (target := entry.into(language)) is not None:
                    terms.append((start, end, Term(match.group(), said if target == entry.term else target)))
        return sorted(terms, key=itemgetter(0))


@dataclass(slots=True)
class _Index:
    """Terms, each with its rank: the longest comes first."""

    by_word: dict[str, list[tuple[int, Entry]]] = field(default_factory=dict)
    """By the whole word, folded, that each begins with."""
    others: list[tuple[str, int, Entry]] = field(default_factory=list)
    """Those that may stand within a word, or begin with a sign; with what they begin with, folded."""

    def matches(self, text: str) -> Iterator[tuple[Entry, Iterator[re.Match[str]]]]:
        """The terms that a text may have, the longest first, and where they are in it."""
        starts: dict[str, list[int]] = {}
        for word in _WORD.finditer(text):
            starts.setdefault(word.group().casefold(), []).append(word.start())
        folded = text.casefold() if self.others else ""
        found = [(rank, entry, starts[word]) for word in starts for rank, entry in self.by_word.get(word, ())]
        found += [(rank, entry, []) for first, rank, entry in self.others if first in folded]
        for _, entry, begins in sorted(found, key=itemgetter(0)):
            pattern = _pattern(entry.term)
            yield entry, filter(None, (pattern.match(text, at) for at in begins)) if begins else pattern.finditer(text)


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


def _first_word(term: str) -> str:
    """The whole word, folded, that any text with the term must have; empty if the term may begin within one."""
    word = _WORD.match(term)
    if word is None or not _has_edge(term[0]):
        return ""
    return word.group().casefold() if word.end() < len(term) or _has_edge(term[-1]) else ""


def _has_edge(character: str) -> bool:
    """Whether a term that begins or ends with a character does so where a word does."""
    return character.isalnum() and not _UNSPACED.match(character)


@lru_cache(maxsize=2 * MOST_TERMS)
def _pattern(term: str) -> re.Pattern[str]:
    """What finds a term in a text."""
    words = r"\s+".join(re.escape(word) for word in term.split())
    before, after = r"(?<!\w)" if _has_edge(term[0]) else "", r"(?!\w)" if _has_edge(term[-1]) else ""
    return re.compile(f"{before}{words}{after}" if _has_capital(term) else f"{before}(?i:{words}){after}")
