"""Quality checks: what can be seen to be wrong with a translation without knowing the languages.

Every check is a cheap heuristic: a translation with an issue is tried again (see `review`), and marked if nothing
better comes. The thresholds have been set by hand on examples. They are not calibrated on the output of the
published NLLB weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from translator.checks import numbers
from translator.text import protected, scripts

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a translation has an issue. All uncalibrated on real weights."""

    loop_times: int = 3
    """A word or phrase so often in a row, and more often than anything in the source, is a loop."""
    loop_times_short: int = 5
    """The same for a single letter (of scripts without spaces) and within a word ("lalalala")."""
    loop_clause: int = 5
    """A phrase of at least so many words (or twice as many letters of such scripts) is a loop at two times in a row."""
    repeated_share: float = 0.3
    """Above so large a share of three-word (or six-letter) sequences that were there before, and the source's own
    share on top, a translation is a loop."""
    common_share: float = 0.22
    """Above so large a share of all words, one word of four letters or more is a loop, if it also comes at least
    `common_times` times, and more than twice as often as any word of the source."""
    common_times: int = 4
    """The fewest times that one word comes in a loop by `common_share`."""
    longest: float = 2.6
    """Above so many times the source's length a translation is too long; in letters of English (`scripts.size`)."""
    shortest: float = 0.38
    """Below so many times the source's length a translation is too short."""
    length_slack: float = 12.0
    """Letters added to both lengths, because short texts vary more: "TV", "télévision"."""
    copied_words: int = 3
    """From so many lower-case words on, a translation that is the source itself is a copy: names are not."""
    copied_share: float = 0.8
    """From so large a share of the source's lower-case words on, a translation that holds them is a copy."""
    copied_long: int = 6
    """The fewest lower-case words of a source that are looked at for `copied_share`."""
    script_share: float = 0.7
    """The least share of the letters that must be of the target's script, names in Latin letters not counted."""
    script_letters: int = 8
    """From so many letters on, Japanese must have kana and Korean hangul, and not Chinese characters alone."""
    lowest_score: float = -2.0
    """The least mean log-probability of a token. It differs in the third decimal with the company in a batch, so
    that issues do not quote it."""


_RELATED = [
    frozenset(group.split())
    for group in (
        "dan nob nno swe fao isl",
        "hrv bos srp slv",
        "ces slk pol szl",
        "rus ukr bel bul mkd srp",
        "spa glg por ast cat oci pap fra ita",
        "ita vec lmo lij fur scn srd",
        "ind zsm jav sun min bjn ban bug ace",
        "arb acm acq aeb ajp apc ars ary arz",
        "azj tur crh tuk tat bak kaz kir uzn",
        "hin mai bho awa mag hne npi mar san",
        "zho yue",
        "nld afr lim deu ltz",
        "zul xho ssw nso tsn sot",
        "kin run",
        "pes prs tgk",
        "twi aka",
        "bam dyu",
        "amh tir",
    )
]
"""Languages in which a whole sentence can be the same, or nearly."""
_LOOP_UNITS = 20
"""The longest phrase, in words or letters, that is looked at for following itself."""


def find_issues(
    source: str,
    text: str,
    languages: tuple[str, str],
    *,
    score: float = 0.0,
    thresholds: Thresholds | None = None,
) -> tuple[str, ...]:
    """What speaks against `text` as a translation of the sentence `source`, each in a few words.

    Args:
        source: a sentence with letters.
        text: what came back.
        languages: FLORES codes of both.
        score: mean log-probability of a token.
        thresholds: from where on something is an issue.
    """
    t = thresholds or Thresholds()
    if not any(c.isalpha() for c in text) and not _only_numbers(source, text):
        return (f"empty: only {text!r} came back" if text else "empty: nothing came back",)
    found = [
        _loop(source, text, t),
        _length(source, text, t),
        _copied(source, text, languages, t),
        _script(source, text, scripts.script_of(languages[1]), t),
        f"unlikely: mean log-probability below {t.lowest_score:g}" if score < t.lowest_score else None,
        _numbers(source, text),
        _protected(source, text),
    ]
    return tuple(issue for issue in found if issue)


def _only_numbers(source: str, text: str) -> bool:
    """Whether a text without letters can be all there is to say: "three" -> "3"."""
    return len(source) <= 20 and any(c.isdigit() for c in text)


def _loop(source: str, text: str, t: Thresholds) -> str | None:
    said, asked = scripts.units(text), scripts.units(source)
    if loop := _in_a_row(said, asked, t) or _within_a_word(said, asked, t):
        return loop
    width = 3 if sum(map(len, said)) > 2 * len(said) else 6
    before = _repeated(asked, 3 if sum(map(len, asked)) > 2 * len(asked) else 6)
    if len(said) >= width + 8 and (share := _repeated(said, width)) > t.repeated_share + before:
        return f"loop: {share:.0%} of it repeats itself"
    long = Counter(word for word in said if len(word) >= 4)
    if long:
        word, times = long.most_common(1)[0]
        most = max(Counter(asked).values(), default=0)
        if times >= max(t.common_times, 2 * most + 1) and times > t.common_share * len(said):
            return f"loop: {word!r} {times} times"
    return None


def _in_a_row(said: Sequence[str], asked: Sequence[str], t: Thresholds) -> str | None:
    before = max((times for _, times in _runs(asked)), default=1)
    before = max(before, max((_run_in(word)[1] for word in asked), default=1))
    for phrase, times in _runs(said):
        short = len(phrase) == 1 and len(phrase[0]) == 1
        spaced = sum(map(len, phrase)) > 2 * len(phrase)
        clause = len(phrase) >= (t.loop_clause if spaced else 2 * t.loop_clause)
        enough = t.loop_times_short if short else 2 if clause else t.loop_times
        if times >= enough and times > before:
            return f"loop: {(' ' if spaced else '').join(phrase)!r} {times} times in a row"
    return None


def _within_a_word(said: Sequence[str], asked: Sequence[str], t: Thresholds) -> str | None:
    before = max((_run_in(word)[1] for word in asked), default=1)
    for word in said:
        part, times = _run_in(word)
        if times >= t.loop_times_short and times > 2 * before:
            return f"loop: {part!r} {times} times in a word"
    return None


def _runs(units: Sequence[str]) -> list[tuple[tuple[str, ...], int]]:
    """Phrases that follow themselves, with how many times in a row, at most one for each length."""
    found: list[tuple[tuple[str, ...], int]] = []
    for width in range(1, min(_LOOP_UNITS, len(units) // 2) + 1):
        equal = longest = at = 0
        for i in range(len(units) - width):
            equal = equal + 1 if units[i] == units[i + width] else 0
            if equal > longest:
                longest, at = equal, i
        if longest >= width:
            start = at - longest + 1
            found.append((tuple(units[start : start + width]), longest // width + 1))
    return found


def _run_in(word: str) -> tuple[str, int]:
    """The part of a word that follows itself most often, and how often."""
    runs = [("".join(part), times) for part, times in _runs(word)] if len(word) > 3 else []
    return max(runs, key=lambda run: run[1], default=(word, 1))


def _repeated(units: Sequence[str], width: int) -> float:
    """Share of the sequences of `width` units that were there before."""
    sequences = [tuple(units[i : i + width]) for i in range(len(units) - width + 1)]
    return 1 - len(set(sequences)) / len(sequences) if sequences else 0.0


def _length(source: str, text: str, t: Thresholds) -> str | None:
    ratio = (scripts.size(text) + t.length_slack) / (scripts.size(source) + t.length_slack)
    if ratio > t.longest:
        return f"too long: {ratio:.1f} times what the source's length lets expect"
    if ratio < t.shortest:
        return f"too short: {ratio:.2f} of what the source's length lets expect"
    return None


def _copied(source: str, text: str, languages: tuple[str, str], t: Thresholds) -> str | None:
    first, second = (code.partition("_")[0] for code in languages)
    if any(first in group and second in group for group in _RELATED):
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


def _plain_words(text: str) -> list[str]:
    """The words that are no names: in lower case, or of a script without case; without addresses."""
    return [word for part in protected.without(text).split() if part == part.lower() for word in scripts.words(part)]


def _script(source: str, text: str, script: str, t: Thresholds) -> str | None:
    names = {word for part in source.split() if part != part.lower() for word in scripts.words(part)}
    bare = protected.without(text)
    foreign: list[str] = []
    right = 0
    for word in scripts.words(bare):
        letters = [c for c in word if c.isalpha()]
        wrong = [c for c in letters if not scripts.belongs(c, script)]
        right += len(letters) - len(wrong)
        if not (word in names and all(scripts.prefix(c) == "LATIN" for c in wrong)):
            foreign += wrong
    if foreign and right < t.script_share * (right + len(foreign)):
        return f"wrong script: {right / (right + len(foreign)):.0%} of the letters are {script}"
    if right >= t.script_letters and not any(scripts.is_own(c, script) for c in bare):
        return f"wrong script: no letter is {script} alone"
    return None


def _numbers(source: str, text: str) -> str | None:
    gone = numbers.lost(protected.without(source), protected.without(text))
    return f"numbers lost or changed: {', '.join(gone)}" if gone else None


def _protected(source: str, text: str) -> str | None:
    gone = Counter(protected.find(source)) - Counter(protected.find(text))
    return f"lost: {', '.join(gone)}" if gone else None
