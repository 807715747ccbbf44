"""Language detection: py3langid, offline, about 120 of NLLB's languages.

The library tells languages; the script is read off the text. A language that NLLB does not write in that script is
passed over for the next likely one: Serbian in Latin letters comes out as Croatian or Bosnian, which is nearly the
same text, where Serbian would have NLLB read letters that it does not know.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from translator.errors import DetectionError, UnknownLanguageError
from translator.languages import Language, read_tag
from translator.text.scripts import belongs

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
        letters = [c for c in text[: 20 * _LETTERS] if c.isalpha()][:_LETTERS]
        scripts = _scripts(letters, {language.script for language in self._languages})
        weights: dict[Language, float] = {}
        if scripts:
            for label, share in self._rank(text[: 4 * _LETTERS]):
                for language in self._members[label]:
                    if language.script in scripts:
                        weights[language] = share * (_COMMON_WEIGHT if language.primary in _COMMON else 1.0)
        if whole := sum(weights.values()):
            best = sorted(weights, key=lambda language: -weights[language])[:most]
            return [Guess(language, round(100 * weights[language] / whole, 1)) for language in best]
        of_script = [language for language in self._languages if language.script in scripts]
        english = [language for language in self._languages if language.code == "eng_Latn"]
        return [Guess((of_script or english or self._languages)[0], 0.0)]

    def _rank(self, text: str) -> list[tuple[str, float]]:
        with self._lock:
            if self._identifier is None:
                self._identifier = self._load()
            return self._identifier.rank(text)

    def _load(self) -> _Identifier:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 (loaded when needed)
        except ImportError as error:
            message = 'languages cannot be detected here: name the source, or pip install ".[translator]"'
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


def _scripts(letters: list[str], known: set[str]) -> set[str]:
    """The scripts that at least half of the letters belong to; Chinese is told apart by its characters."""
    counts = Counter(letters)
    shares = {script: sum(n for c, n in counts.items() if belongs(c, script)) for script in known}
    found = {script for script, share in shares.items() if letters and 2 * share >= len(letters)}
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
