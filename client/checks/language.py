"""The language of an answer: that of its prompt, unless the prompt speaks of languages or of what is written.

English is told by its small words, scripts by their letters; only what neither tells goes to py3langid, whose model is
loaded when it is first needed: it takes 75 MB and 0.6 s.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from client.checks.words import quoting, straight, unquoted, words
from client.endpoints.language_names import known_names

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENGLISH = frozenset(
    "the a an of and is in with on to are at its it that this for by from as there has which be or".split()  # noqa: SIM905
)
_ENGLISH_SHARE, _ENGLISH_WORDS = 0.18, 6
"""From so large a share of small English words on, and so many words, a text is English."""
_OTHERS = frozenset(
    """de del la el los las una con y di della do da dos des du le les et au aux une und der die das im am mit von auf
    il gli e na w z i och med van het een den en yang dan dengan""".split()  # noqa: SIM905
)
"""Small words of other languages: one of them, or a letter with a mark, is in most lists of theirs."""
_FEWEST_WORDS, _FEWEST_WORDS_OF_LIST = 9, 18
"""A shorter text, of which names may be half, is not looked at; tags have no sentences to tell a language by."""
_FEWEST_LETTERS = 12
"""Of another script than the prompt's."""
_SCRIPT_SHARE = 0.5
_CERTAIN, _UNLIKELY = 0.6, 1e-4
"""How likely another language and those nearly like it must be, and how unlikely that of the prompt."""
_LOOKED_AT = 1000
"""Characters: more make the answer no surer."""
_RELATED = [
    frozenset(group.split())
    for group in (
        "nb nn no da sv fo is",
        "hr bs sr sl mk bg",
        "cs sk pl",
        "ru uk be bg mk sr kk",
        "es gl pt ca an oc it fr",
        "id ms jv su",
        "hi mr ne sa bh",
        "zh ja",
        "nl af de lb fy",
        "ar fa ur ps",
        "zu xh",
        "tr az tk kk ky",
    )
]
"""Languages that short texts do not tell apart."""
_SPEAKS_OF_LANGUAGE = re.compile(
    r"\b(?:language|languages|translat\w+|transcrib\w+|bilingual|multilingual|mother tongue|idioma|langue|sprache"
    r"|lingua)\b",
    re.IGNORECASE,
)
_ASKS_WHAT_IS_WRITTEN = re.compile(
    r"\b(?:says?|said|text|texts|reads?|written|writes?|word|words|wording|slogans?|headlines?|quotes?|quoted"
    r"|titles?|captions?|lyrics|signs?|labels?|names?|named|called|logos?|brands?|letters|subtitles?|ocr)\b",
    re.IGNORECASE,
)
"""Of a question: its answer may be in the language of what the picture shows."""
_NAMES = {
    "en": "English", "es": "Spanish", "fr": "French", "de": "German", "it": "Italian", "pt": "Portuguese",
    "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ru": "Russian", "ar": "Arabic", "hi": "Hindi", "nl": "Dutch",
    "pl": "Polish", "tr": "Turkish", "vi": "Vietnamese", "id": "Indonesian", "th": "Thai", "uk": "Ukrainian",
    "sv": "Swedish", "cs": "Czech", "ro": "Romanian", "hu": "Hungarian", "el": "Greek", "da": "Danish",
    "fi": "Finnish", "he": "Hebrew",
}  # fmt: skip
_SCRIPTS = {"CJK": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA", "HALFWIDTH": "KANA"}


class _Identifier(Protocol):
    def rank(self, text: str) -> list[tuple[str, float]]:
        """Languages with their probabilities, the likeliest first."""


def find_wrong_language(text: str, prompt: str, question: str | None, items: Sequence[str] | None) -> str | None:
    """Which language an answer is in instead of that of its prompt, in words; None if in that, or if it cannot be told.

    Args:
        text: the answer.
        prompt: what was asked.
        question: the user's own part of it, which may be in another language.
        items: of an answer that is a list.
    """
    text = ", ".join(items) if items else straight(text[: 3 * _LOOKED_AT])
    said = words(text) if items else tuple(chain.from_iterable(quoting(text).around))
    if not items and _is_english(said) and _language_of(prompt) == "en":
        return None
    bare = text if items else unquoted(text)
    wanted = {_language_of(prompt), *([_language_of(question)] if question else [])}
    if "" in wanted or _leaves_it_open(prompt, question):
        return None
    if found := _other_script(bare, wanted):
        return f"in {found} letters, where the prompt is {_named(wanted)}"
    if len(said) < (_FEWEST_WORDS_OF_LIST if items else _FEWEST_WORDS) or ("en" in wanted and _is_english(said)):
        return None
    if items and bare.isascii() and "en" in wanted and _OTHERS.isdisjoint(said):
        return None
    best = _certain_language(bare, wanted)
    return best and f"in {_NAMES.get(best, best)}, where the prompt is {_named(wanted)}"


def _certain_language(text: str, wanted: set[str]) -> str | None:
    """The language of a text, if it is surely another one than those that are wanted."""
    ranks = _rank(text[:_LOOKED_AT])
    best = max(ranks, key=lambda code: ranks[code])
    certainty = sum(share for code, share in ranks.items() if _related(code, best))
    likely = max(ranks.get(code, 0.0) for code in wanted)
    unsure = certainty < _CERTAIN or likely > _UNLIKELY or any(_related(best, code) for code in wanted)
    return None if unsure else best


def _named(codes: set[str]) -> str:
    return f"in {' and '.join(sorted(_NAMES.get(code, code) for code in codes))}"


def _is_english(said: tuple[str, ...]) -> bool:
    return len(said) >= _ENGLISH_WORDS and sum(map(_ENGLISH.__contains__, said)) >= _ENGLISH_SHARE * len(said)


def _related(one: str, other: str) -> bool:
    return one == other or any(one in group and other in group for group in _RELATED)


@lru_cache(256)
def _leaves_it_open(prompt: str, question: str | None) -> bool:
    """Whether an answer in another language can be what is wanted."""
    if question and _ASKS_WHAT_IS_WRITTEN.search(question):
        return True
    return _SPEAKS_OF_LANGUAGE.search(prompt) is not None or not _language_names().isdisjoint(words(prompt))


@cache
def _language_names() -> frozenset[str]:
    """The languages of NLLB-200 by their English names, and some by their own; a prompt may ask for English."""
    own = "deutsch français español castellano italiano português anglais inglés englisch inglese русский 中文 日本語"
    names = {name.partition(" (")[0].split()[-1].lower() for name in known_names()}
    return frozenset(names | set(own.split())) - {"english"}


@lru_cache(256)
def _language_of(text: str) -> str:
    """ISO 639-1; empty if it cannot be told."""
    said = words(unquoted(straight(text)))
    if _is_english(said):
        return "en"
    if not said:
        return ""
    best, certainty = max(_rank(text[:_LOOKED_AT]).items(), key=lambda rank: rank[1])
    return best if certainty >= _CERTAIN else ""


def _other_script(text: str, wanted: set[str]) -> str | None:
    """The script of most letters, where it is none that the languages are written in."""
    if text.isascii():
        return None
    counts = Counter(_script(letter) for letter in text[:_LOOKED_AT] if letter.isalpha())
    if not counts:
        return None
    script, count = counts.most_common(1)[0]
    if count < _FEWEST_LETTERS or count < _SCRIPT_SHARE * counts.total():
        return None
    return script.capitalize() if script != "LATIN" and wanted <= _LATIN else None


_LATIN = frozenset(
    "en es fr de it pt nl pl tr vi id sv cs ro hu da fi nb nn no sk sl hr et lv lt ca gl eu ms sw af is ga cy".split()  # noqa: SIM905
)
"""Languages in Latin letters alone."""


@lru_cache(8192)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0]
    return _SCRIPTS.get(name, name)


_lock = threading.Lock()


def load() -> None:
    """Load what tells languages, where an answer must not wait for it: a second, once in a process."""
    with _lock:
        _identifier()


def _rank(text: str) -> dict[str, float]:
    with _lock:
        return dict(_identifier().rank(text))


@cache
def _identifier() -> _Identifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  # takes a second, and is seldom needed

    identifier: _Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier
