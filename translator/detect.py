"""Language detection: py3langid, offline, about 120 of NLLB's languages, and CLD2 for some that it does not know.

The libraries tell languages; the script is read off the text. A language that NLLB does not write in that script is
passed over for the next likely one: Serbian in Latin letters comes out as Croatian or Bosnian, which is nearly the
same text, where Serbian would have NLLB read letters that it does not know.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from translator.checks.kinship import related
from translator.errors import DetectionError, UnknownLanguageError
from translator.languages import Language, read_tag
from translator.text.scripts import belongs, size

if TYPE_CHECKING:
    from translator.languages import Languages

_LETTERS = 1000
"""Letters looked at; more make the answer no better, and the library's confidence worse."""
_COMMON = frozenset({
    "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko",
    "nb", "nl", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "ur", "vi", "zh",
})  # fmt: skip
_COMMON_WEIGHT = 3.0
"""How much likelier a text is in one of these than in another language, before one looks at it. Without it "Hello
world" is Fulfulde. Of Django's own messages (8 to 80 letters) in some 30 common languages 89 % are right instead of
84 %, of those in all 80 languages that Django and NLLB share 79 % instead of 81 %."""


_NAME = re.compile(r"[A-ZÀ-ÖØ-Þ][A-Za-zÀ-ɏ'\u2019-]*")
"""A word in Latin letters with a capital."""
_NAME_DISCOUNT = 2 / 3
_SECOND = {
    "bo": "bod_Tibt", "fj": "fij_Latn", "ku": "ckb_Arab", "mi": "mri_Latn", "ny": "nya_Latn", "sd": "snd_Arab",
    "sm": "smo_Latn", "ss": "ssw_Latn", "ti": "tir_Ethi", "tn": "tsn_Latn", "ts": "tso_Latn", "wo": "wol_Latn",
    "yi": "ydd_Hebr",
}  # fmt: skip
"""Languages that py3langid does not know, by CLD2's codes: those that it finds reliably, and no other instead of them.
Of 1100 news sentences in eleven of them 93 % are found, where none was; of 10,400 in others 3 are lost to them."""
_SORANI = frozenset("ڕڵ")
"""Letters of Central Kurdish alone, which 86 of 100 news sentences have: without a look at them 69 are told."""
_SURE = 95.0
"""The most confidence in what py3langid does not know."""
_SECOND_LENGTH = 25
"""Characters of the shortest text that CLD2 is asked about."""
_UNSURE, _UNSURE_COMMON = 70.0, 95.0
"""The most confidence in a language, and in one of `_COMMON`, that has near relatives in its script which py3langid
does not know and CLD2 does not rule out."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A language that a text may be in."""

    language: Language
    confidence: float
    """0 to 100, as LibreTranslate has it."""


class _Identifier(Protocol):
    """The part of py3langid's `LanguageIdentifier` that is used here."""

    nb_classes: list[str]

    def set_languages(self, langs: list[str] | None = None) -> None:
        """Tell only these languages apart."""

    def rank(self, text: str) -> list[tuple[str, float]]:
        """Languages with their probabilities, the likeliest first."""


class Detector:
    """Detects the languages of one model; the library is loaded when it is first needed."""

    def __init__(self, languages: Languages) -> None:
        """Tell `languages` apart."""
        self._languages = languages.all
        self._lock = threading.Lock()
        self._identifier: _Identifier | None = None
        self._members: dict[str, list[Language]] = {}

    def guess(self, text: str, most: int = 3) -> list[Guess]:
        """The likeliest languages of a text, the best first; at least one, which has no confidence if nothing fits.

        Raises:
            DetectionError: the library is not installed.
        """
        start = text[: 20 * _LETTERS]
        letters = [c for c in start if c.isalpha()][:_LETTERS]
        names = [c for name in _NAME.findall(start) for c in name if c.isalpha()][:_LETTERS]
        scripts = _scripts(letters, names, {language.script for language in self._languages})
        second, sure = "", 0.0
        if not _SORANI.isdisjoint(letters):
            second, sure = "ku", _SURE
        elif len(start) >= _SECOND_LENGTH:
            second, sure = _second_opinion(text[: 4 * _LETTERS])
        weights: dict[Language, float] = {}
        if scripts:
            for label, share in self._rank(text[: 4 * _LETTERS]):
                for language in self._members[label]:
                    if language.script in scripts:
                        weights[language] = share * (_COMMON_WEIGHT if language.primary in _COMMON else 1.0)
        if whole := sum(weights.values()):
            best = sorted(weights, key=lambda language: -weights[language])
            guesses = [Guess(language, round(100 * weights[language] / whole, 1)) for language in best]
            for language in self._languages:
                if language.code == _SECOND.get(second) and language.script in scripts:
                    rest = [Guess(one.language, round(one.confidence * (1 - sure / 100), 1)) for one in guesses]
                    return [Guess(language, sure), *rest][:most]
            most_sure = self._most_sure(best[0], second)
            return [Guess(one.language, min(one.confidence, most_sure)) for one in guesses[:most]]
        of_script = [language for language in self._languages if language.script in scripts]
        english = [language for language in self._languages if language.code == "eng_Latn"]
        return [Guess((of_script or english or self._languages)[0], 0.0)]

    def _most_sure(self, language: Language, second: str) -> float:
        """The most confidence that there can be in the likeliest language, by those that could not be told from it."""
        known_to_first = {member.code for members in self._members.values() for member in members}
        near = [
            other
            for other in self._languages
            if other.code not in known_to_first
            and other.script == language.script
            and related(other.code, language.code)
        ]
        confirmed = second == language.primary and all(other.code in _SECOND.values() for other in near)
        if not near or confirmed:
            return 100.0
        return _UNSURE_COMMON if language.primary in _COMMON else _UNSURE

    def _rank(self, text: str) -> list[tuple[str, float]]:
        with self._lock:
            if self._identifier is None:
                self._identifier = self._load()
            return self._identifier.rank(text)

    def _load(self) -> _Identifier:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 (loaded when needed)
        except ImportError as error:
            how = "pip install -e '.[translator]' in Babelview's own folder"
            message = f"languages cannot be detected here: name the source, or {how}"
            raise DetectionError(message) from error
        identifier: _Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        for label in identifier.nb_classes:
            try:
                primary = read_tag(label).primary
            except UnknownLanguageError:
                continue
            if members := [language for language in self._languages if language.primary == primary]:
                self._members[label] = members
        identifier.set_languages(sorted(self._members))
        return identifier


def _scripts(letters: list[str], names: list[str], known: set[str]) -> set[str]:
    """The scripts that at least half of the text is in; Chinese is told apart by its characters.

    Letters are weighed by how much they say, those of `names` in Latin letters as a third: a Chinese sentence with a
    long name in it is Chinese.
    """
    counts, of_names = Counter(letters), Counter(names)
    weights = {c: (n - of_names[c] * _NAME_DISCOUNT) * size(c) for c, n in counts.items()}
    shares = {script: sum(weight for c, weight in weights.items() if belongs(c, script)) for script in known}
    found = {script for script, share in shares.items() if letters and 2 * share >= sum(weights.values())}
    if {"Hans", "Hant"} <= found:
        simplified = sum(n for c, n in counts.items() if _encodes(c, "gb2312") and not _encodes(c, "big5"))
        traditional = sum(n for c, n in counts.items() if _encodes(c, "big5") and not _encodes(c, "gb2312"))
        found.discard("Hans" if traditional > simplified else "Hant")
    return found


def _encodes(character: str, charset: str) -> bool:
    """Whether a national character set of the time when each had one script only has a character."""
    try:
        character.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def _second_opinion(text: str) -> tuple[str, float]:
    """CLD2's code of the language that it reliably finds, with its confidence of at most `_SURE`; else "" and 0."""
    try:
        import pycld2  # noqa: PLC0415 (loaded when needed, and not everywhere)
    except ImportError:
        return "", 0.0
    readable = "".join(c if c.isprintable() else " " for c in text)
    try:
        reliable, _, (best, *_) = pycld2.detect(readable.encode(errors="ignore"))
    except pycld2.error:
        return "", 0.0
    _, code, percent, _ = best
    return (code, min(_SURE, float(percent))) if reliable else ("", 0.0)
