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
from translator.text import protected, scripts, sentences

if TYPE_CHECKING:
    from translator.checks.thresholds import Thresholds

_SENTENCE_END = re.compile(r"[.!?…。！？।॥።؟۔][\"'”’»」』)\]]*$")
_CUT = re.compile(r"[,;:，、；：､﹐﹑﹔﹕،؛፣፤፥፡·‧၊៖՝\-–—‒―－]$")
_FULL_STOPS = {"Armn": ":", "Ethi": "፡:", "Grek": ";"}
"""Marks of `_CUT` that end a sentence in some scripts: a question mark, and what is typed for another full stop."""
_CLOSING = frozenset("\"'”“’‘»«›‹」』)]")
_INVISIBLE = " \u00a0\u200b\u200e\u200f\u202b\u202c"
LABEL = re.compile(r"[(\[](?=\w*[^\W\d_])(?=\w*\d)\w+[)\]]|^[(\[][A-Z][A-Z .]*[)\]]")
"""A label in brackets: a word with a digit, or capitals at the start: "(SPEAKER4)", "[NARRATOR]"."""
_TAG = re.compile(r"</?[^\W\d_][^<>]{0,200}>")
_BRACKET = re.compile(r"[(\[{<（［｛【〔「『《〈⟨༼⦅]")
_DIALOGUE = re.compile(r"\s*(?:[-–—―]\s*(?=[^\W\d_])|[♪♫♬])")
_OPENS_SPEECH = re.compile(r"\s*[\"'“”‘’„«»‹›「『\-–—―•*♪♫♬]")
_INNER_MARK = re.compile(r"(?:[!?…。！？।॥።؟۔；;]|(?<!\d)\.|\.(?!\d))(?=\s*\w)|\s[-–—―]\s?(?=[^\W\d_])")
_CALL = re.compile(r"[!?！？؟]")
_UNSURE = 0.85
"""What `shortest` is multiplied with for languages that the table lacks."""
_CHINESE = frozenset({"Hans", "Hant", "Jpan"})
_MARKS = {"digit": 4.0, "mark": 4.0}
"""What digits and marks become in Chinese and Japanese, in letters of English."""
_CHINESE_MARKS = {"digit": 2.8, "mark": 2.8, "space": 2.8}


def expected(source: str, target: str) -> float:
    """The median length of a translation, relative to its source, between two FLORES codes."""
    return _ratio(target)[0] / _ratio(source)[0]


def measured(source: str, text: str, languages: tuple[str, str]) -> tuple[float, float]:
    """How long a source and its translation are, in letters of English.

    In Chinese and Japanese a mark is as long as any character, and NLLB puts spaces for commas there: without them a
    list of names in Latin letters, with its commas and figures, seems to have lost a part.
    """
    first, second = (scripts.script_of(code) in _CHINESE for code in languages)
    if not second:
        return scripts.size(source), scripts.size(text)
    asked = scripts.size_with_marks(source, **(_CHINESE_MARKS if first else _MARKS))
    return asked, scripts.size_with_marks(text, **_CHINESE_MARKS)


def find(source: str, text: str, languages: tuple[str, str], t: Thresholds) -> list[str]:
    """What the length and the end of a translation say against it."""
    asked, said = measured(source, text, languages)
    said /= expected(*languages)
    long = (said + t.length_slack) / (asked + t.length_slack)
    if long > t.longest:
        return [f"too long: {long:.1f} times what the source's length lets expect"]
    short = (said + t.short_slack) / (asked + t.short_slack)
    least = _least(languages, t)
    if asked <= t.short_sentence:
        least = min(least, t.shortest_brief if asked > t.tiny_sentence else t.shortest_tiny)
    if short < least:
        return [f"too short: {short:.2f} of what the source's length lets expect"]
    gone = left_out(source, text)
    if short < t.label_share and gone and _says_much(gone, source, t):
        return [f"too short: without {', '.join(map(repr, gone))}"]
    return []


def left_out(source: str, text: str) -> list[str]:
    """The labels in brackets and the tags that are no HTML of a source whose translation has no bracket, or fewer tags.

    In their brackets they may be translated. Speech that is written down has them: "(SPEAKER4)", "<laugh/>".
    """
    gone = [] if _BRACKET.search(text) else [label.group() for label in LABEL.finditer(source)]
    if "<" in source:
        tags = len(_TAG.findall(protected.without(text)))
        gone += _TAG.findall(protected.without(source))[tags:]
    return gone


def _says_much(gone: list[str], source: str, t: Thresholds) -> bool:
    """Whether what is gone may have taken words with it, as tags do, or is a large part of the sentence itself."""
    return any(part.startswith("<") for part in gone) or sum(map(len, gone)) >= t.label_part * len(source)


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
