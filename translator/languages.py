"""The languages of NLLB-200: its FLORES codes ("spa_Latn"), BCP-47 tags, ISO codes and English names.

`languages.tsv` holds all 202, `tag_aliases.tsv` the tags that mean another one ("zh-TW"); both are written by
`scripts/make_language_tables.py`. What a model can be asked for is less: the codes that its tokenizer has.

The script is part of a language here. A tag with a script that NLLB lacks ("sr-Latn"), or with a region that implies
one ("sr-ME"), is refused: the same language in other letters is not what was asked for.
"""

from __future__ import annotations

import csv
import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from translator.errors import UnknownLanguageError, UnsupportedScriptError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})"
    r"(?:-(?P<script>[a-z]{4}))?"
    r"(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants, which no model of ours tells apart
    r"(?:-[a-z0-9](?:-[a-z0-9]{2,8})+)*"  # extensions
)
"""A language tag as RFC 5646 has it, in lower case and without its rarest parts."""
_LONGEST_CODE = 40


@dataclass(frozen=True, slots=True)
class Language:
    """One language in one script."""

    code: str
    """FLORES-200 code, the language token of NLLB: "spa_Latn"."""
    tag: str
    """BCP-47 tag, with the script only where NLLB has the language in several: "es", "zh-Hans"."""
    name: str
    """English name."""
    iso: tuple[str, ...] = ()
    """Further codes of the language, of ISO 639-1, 639-2 and 639-3, withdrawn ones too: "spa"."""

    @property
    def primary(self) -> str:
        """The tag's language alone, as ISO 639 writes it: "es", "zh"."""
        return self.tag.partition("-")[0]

    @property
    def script(self) -> str:
        """The script's ISO 15924 code: "Latn"."""
        return self.code.partition("_")[2]


@cache
def known() -> dict[str, Language]:
    """Every language of NLLB-200 by FLORES code."""
    return {
        row["code"]: Language(row["code"], row["tag"], row["name"], tuple(row["iso"].split()))
        for row in _rows("languages.tsv")
    }


@cache
def _aliases() -> dict[str, str]:
    """Tags that mean another tag, in lower case."""
    return {row["tag"].lower(): row["means"].lower() for row in _rows("tag_aliases.tsv")}


def _rows(name: str) -> Iterable[dict[str, str]]:
    table = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(table.splitlines(), delimiter="\t")


class _Index:
    """All of NLLB's languages, by what tags are made of."""

    def __init__(self) -> None:
        self.primary = {language.primary: language.primary for language in known().values()}
        self.family: dict[str, list[Language]] = {}
        self.by_script: dict[tuple[str, str], Language] = {}
        for language in known().values():
            primary = language.primary
            self.family.setdefault(primary, []).append(language)
            self.by_script[primary, language.script.lower()] = language
            self.primary |= dict.fromkeys(language.iso, primary)


@cache
def _index() -> _Index:
    return _Index()


def read_tag(code: str) -> Language:
    """The language of NLLB-200 that a FLORES code, a BCP-47 tag or an ISO 639 code means, in any letter case.

    Raises:
        UnsupportedScriptError: NLLB has the language in other scripts only.
        UnknownLanguageError: it is no language of NLLB.
    """
    return _read(code if len(code) <= _LONGEST_CODE else "", code)


def _read(tag: str, asked: str) -> Language:
    index, aliases = _index(), _aliases()
    tag = tag.strip().lower().replace("_", "-")
    if tag in aliases:
        return _read(aliases[tag], asked)
    match = _TAG.fullmatch(tag)
    if not match:
        raise UnknownLanguageError(asked, "use a code such as 'fra_Latn' or 'fr'", helps=False)
    language, script = index.primary.get(match["language"], match["language"]), match["script"]
    narrow = script or match["region"]
    for alias in (f"{language}-{narrow}", *(() if script else (language,))):
        if alias in aliases:
            return _read(aliases[alias], asked)
    family = index.family.get(language)
    if not family:
        raise UnknownLanguageError(asked, "use a code such as 'fra_Latn' or 'fr'", helps=False)
    if script and (language, script) not in index.by_script:
        have = " and ".join(member.code for member in family)
        raise UnsupportedScriptError(asked, f"NLLB writes it as {have}, not in {script.title()} script")
    return index.by_script[language, script] if script else family[0]


class Languages:
    """The languages of one model."""

    def __init__(self, tokens: Iterable[str]) -> None:
        """Keep the languages whose codes are among `tokens`, the model's vocabulary."""
        have = set(tokens)
        self.all = [language for code, language in sorted(known().items()) if code in have]
        self._by_code = {language.code: language for language in self.all}

    def find(self, code: str) -> Language:
        """The language that a FLORES code, a BCP-47 tag or an ISO 639 code means.

        Raises:
            UnknownLanguageError: the model does not have it; the message names what is near.
        """
        if language := self._by_code.get(code):
            return language
        try:
            language = read_tag(code)
        except UnsupportedScriptError:
            raise
        except UnknownLanguageError as error:
            if near := self._near(code):
                raise UnknownLanguageError(code, f"did you mean {near}?") from error
            raise
        if language.code not in self._by_code:
            raise UnknownLanguageError(code, f"this model does not have {language.name}, {language.code}")
        return language

    def _near(self, code: str) -> str:
        """Languages whose code, tag or name looks like `code`, for a message."""
        if len(code) > _LONGEST_CODE:
            return ""
        names: dict[str, Language] = {}
        for language in self.all:
            for name in (language.code, language.tag, language.name, *language.iso):
                names.setdefault(name.lower(), language)
        close = difflib.get_close_matches(code.lower(), names, n=4, cutoff=0.7)
        return " or ".join(dict.fromkeys(f"{names[name].code} ({names[name].name})" for name in close))
