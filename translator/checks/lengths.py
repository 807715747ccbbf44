# ruff: noqa: RUF001  (marks of other scripts)
"""Translations that stop early, lack a part of their source, or say more than it does.

How long a translation is differs by language. `length_ratios.tsv`, written by `scripts/make_length_table.py`, has the
median length of texts in each language, relative to the same texts in English. It is in `scripts.size`, which weighs
letters by script.
"""

from __future__ import annotations

import csv
import re
import statistics
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from translator.checks.kinship import related
from translator.text import scripts, sentences

if TYPE_CHECKING:
    from translator.checks.thresholds import Thresholds

_SENTENCE_END = re.compile(r"[.!?…。！？।॥።؟۔][\"'”’»」』)\]]*$")
_CUT = re.compile(r"[,;:，、；：،؛፣፤፥፡·‧\-–—‒―]$")
_FULL_STOPS = {"Armn": ":", "Ethi": "፡:", "Grek": ";"}
"""Marks of `_CUT` that end a sentence in some scripts: a question mark, and what is typed for another full stop."""
_CLOSING = frozenset("\"'”“’‘»«›‹」』)]")
_INVISIBLE = " \u00a0\u200b\u200e\u200f\u202b\u202c"
LABEL = re.compile(r"[(\[](?=\w*[^\W\d_])(?=\w*\d)\w+[)\]]|^[(\[][A-Z][A-Z .]*[)\]]")
"""A label in brackets: a word with a digit, or capitals at the start: "(SPEAKER4)", "[NARRATOR]"."""
_BRACKET = re.compile(r"[(\[{<（［｛【〔「『《〈⟨༼⦅]")
_DIALOGUE = re.compile(r"\s*(?:[-–—―]\s*(?=[^\W\d_])|[♪♫♬])")
_OPENS_SPEECH = re.compile(r"\s*[\"'“”‘’„«»‹›「『\-–—―•*♪♫♬]")
_INNER_MARK = re.compile(r"[.!?…。！？।॥።؟۔；;](?=\s*\w)|\s[-–—―]\s?(?=[^\W\d_])")
_CALL = re.compile(r"[!?！？؟]")
_UNSURE = 0.85
"""What `shortest` is multiplied with for languages that the table lacks."""
_CHINESE = frozenset({"Hans", "Hant", "Jpan"})


def expected(source: str, target: str) -> float:
    """The median length of a translation, relative to its source, between two FLORES codes."""
    return _ratio(target)[0] / _ratio(source)[0]


def find(source: str, text: str, languages: tuple[str, str], t: Thresholds) -> list[str]:
    """What the length and the end of a translation say against it."""
    asked, said = scripts.size(source), scripts.size(text) / expected(*languages)
    long = (said + t.length_slack) / (asked + t.length_slack)
    if long > t.longest:
        return [f"too long: {long:.1f} times what the source's length lets expect"]
    short = (said + t.short_slack) / (asked + t.short_slack)
    least = _least(languages, t)
    if short < (least if asked > t.short_sentence else min(least, t.shortest_brief)):
        return [f"too short: {short:.2f} of what the source's length lets expect"]
    if short < t.label_share and (label := LABEL.search(source)) and not _BRACKET.search(text):
        return [f"too short: without {label.group()!r}"]
    return []


def _least(languages: tuple[str, str], t: Thresholds) -> float:
    """The threshold for a translation that is too short, between two FLORES codes."""
    source, target = map(scripts.script_of, languages)
    least = t.shortest_from_chinese if source in _CHINESE else t.shortest
    if target in _CHINESE:
        least = t.shortest if source in _CHINESE else t.shortest_chinese
    return least if all(_ratio(code)[1] for code in languages) else least * _UNSURE


def cut_short(source: str, text: str, script: str) -> str | None:
    """Whether a whole sentence was translated up to a comma, colon, semicolon or dash (of any script)."""
    bare = text.rstrip(_INVISIBLE)
    if bare[-1:] in _CLOSING and source.rstrip()[-1:] in _CLOSING:  # else the end of a quote that stands last here
        bare = bare[:-1].rstrip()
    mark = _CUT.search(bare)
    if (
        mark is None
        or _SENTENCE_END.search(bare[: mark.start()].rstrip(_INVISIBLE))
        or mark.group() in _FULL_STOPS.get(script, "")
    ):
        return None
    return f"cut short: it ends with {mark.group()!r}" if _SENTENCE_END.search(source.rstrip()) else None


def invented(source: str, text: str, t: Thresholds) -> str | None:
    """What a word or two became that the source has no cause for: a dialogue, a question, a second sentence."""
    if _DIALOGUE.match(text) and not _OPENS_SPEECH.match(source):
        return "invented: a dialogue's dash"
    words = scripts.words(source)
    if not words or len(source.split()) > t.invented_words or sum(map(len, words)) > 40:
        return None
    more = len(_INNER_MARK.findall(text)) - len(_INNER_MARK.findall(source))
    if more > 0 or (_CALL.search(text) and not (_CALL.search(source) or sentences.ends(source))):
        return "invented: a sentence mark that the source lacks"
    return None


@cache
def _table() -> dict[str, float]:
    rows = resources.files(__package__).joinpath("length_ratios.tsv").read_text(encoding="utf-8").splitlines()
    return {row["code"]: float(row["ratio"]) for row in csv.DictReader(rows, delimiter="\t")}


@cache
def _ratio(code: str) -> tuple[float, bool]:
    """A language's median length relative to English, and whether it was measured: else its neighbours' median."""
    table = _table()
    if code in table:
        return table[code], True
    script = scripts.script_of(code)
    near = [ratio for other, ratio in table.items() if scripts.script_of(other) == script]
    kin = [ratio for other, ratio in table.items() if scripts.script_of(other) == script and related(code, other)]
    return statistics.median(kin or near or [1.0]), False
