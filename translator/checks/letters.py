# ruff: noqa: RUF001  (letters that look alike)
"""Translations in the wrong script, and those that are the source itself."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from translator.checks.kinship import related
from translator.text import protected, scripts

if TYPE_CHECKING:
    from translator.checks.thresholds import Thresholds

_NO_WORDS = re.compile(
    r"[#@]\w+|(?<![A-Za-z0-9])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}(?![A-Za-z])|</?[A-Za-z][^<>]*>"
)
"""Hashtags, names of accounts and domains, and tags: they stay in Latin letters."""
_RUN = re.compile(r"[A-Za-zªºÀ-ÖØ-öø-ɏḀ-ỿ]+|[^\WA-Za-z0-9_ªºÀ-ÖØ-öø-ɏḀ-ỿ]+")
"""Letters of Latin script, or of others: in scripts without spaces a name stands within a word."""
_TITLE = re.compile(r"[A-Z][A-Za-z0-9À-ɏ'’&.-]*(?: [A-Za-z0-9À-ɏ'’&.-]+)* [A-Z][A-Za-z0-9À-ɏ'’&.-]*")
"""Words from a capitalised one to another: a name with small words in it, "Newport on the Levee"."""
_LOOKALIKES = frozenset("aceijopsxyABCEHIJKMOPSTXYǀ")
"""Latin letters that are typed for the Cyrillic ones that look the same."""


def wrong_script(source: str, text: str, script: str, t: Thresholds) -> str | None:
    """Whether too much of a text is in letters that its FLORES script does not have."""
    bare = _NO_WORDS.sub(" ", protected.without(unicodedata.normalize("NFKC", text)))
    bare = _TITLE.sub(lambda name: " " if name.group() in source else name.group(), bare)
    if script == "Cyrl":
        bare = re.sub(r"\w+", _without_lookalikes, bare)
    right = foreign = 0.0
    letters = 0
    names: set[str] | None = None
    for run in _RUN.findall(bare):
        own = [c for c in run if c.isalpha() and scripts.belongs(c, script)]
        other = [c for c in run if c.isalpha() and not scripts.belongs(c, script)]
        letters += len(own)
        right += scripts.size("".join(own))
        if other and all(scripts.prefix(c) == "LATIN" for c in other):
            names = _names(source) if names is None else names
            if run.casefold() in names or (run[0].isupper() and run.casefold() in scripts.words(source)):
                continue
        foreign += scripts.size("".join(other))
    if foreign and right < t.script_share * (right + foreign):
        return f"wrong script: {right / (right + foreign):.0%} of it is {script}"
    if letters >= t.script_letters and not any(scripts.is_own(c, script) for c in bare):
        return f"wrong script: no letter is {script} alone"
    return None


def copied(source: str, text: str, languages: tuple[str, str], t: Thresholds) -> str | None:
    """Whether a text is its source, or holds most of its words; between related languages it may."""
    if related(*languages):
        return None
    plain = _plain_words(source)
    if len(plain) >= t.copied_words and scripts.words(source) == scripts.words(text):
        return "copied: the source itself came back"
    if len(plain) >= t.copied_long:
        there = set(scripts.words(text))
        share = sum(word in there for word in plain) / len(plain)
        if share >= t.copied_share:
            return f"copied: {share:.0%} of the source's words came back"
    return None


def _names(source: str) -> set[str]:
    """The words of a source with a capital letter, as runs of letters."""
    source = unicodedata.normalize("NFKC", source)
    return {run.casefold() for part in source.split() if part != part.lower() for run in _RUN.findall(part)}


def _plain_words(text: str) -> list[str]:
    """The words that are no names: in lower case, or of a script without case; without addresses."""
    return [word for part in protected.without(text).split() if part == part.lower() for word in scripts.words(part)]


def _without_lookalikes(word: re.Match[str]) -> str:
    """A Cyrillic word without the Latin letters in it that look Cyrillic; any other word as it is."""
    text = word.group()
    latin = [c for c in text if scripts.prefix(c) == "LATIN"]
    if latin and len(latin) < len(text) and _LOOKALIKES.issuperset(latin):
        return "".join(c for c in text if scripts.prefix(c) != "LATIN")
    return text
