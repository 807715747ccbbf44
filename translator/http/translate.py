"""What the three APIs share: languages are looked up, texts translated, and the translator's errors made HTTP's."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from translator.errors import (
    ApiError,
    ClosedError,
    DetectionError,
    GlossaryError,
    QueueFullError,
    TooManySentencesError,
    UnknownLanguageError,
)
from translator.glossary import Glossary
from translator.glossary import read as read_glossary
from translator.http.state import STATE, SUMMARY
from translator.text_translator import TranslatedText, Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from translator.detect import Guess
    from translator.http.documents import Document
    from translator.http.fields import Fields
    from translator.http.state import Limits
    from translator.languages import Language, Languages
    from translator.text_translator import Answer

AUTO = "auto"
_LIBRETRANSLATES = frozenset({"source", "target"})
"""Names that LibreTranslate has for languages in a request."""


@dataclass(frozen=True, slots=True)
class Translated:
    """The answer, and what was understood of the question."""

    answer: Answer
    """Of the documents' parts."""
    documents: list[Document]
    firsts: list[int]
    """Which of the parts is a document's first."""
    targets: dict[str, Language]
    """By the code that the request wrote."""

    def text(self, number: int, target: str) -> TranslatedText:
        """Document `number` in the language that the request wrote as `target`."""
        code, document, first = self.targets[target].code, self.documents[number], self.firsts[number]
        parts = [text[code] for text in self.answer.texts[first : first + len(document.parts)]]
        return _joined(document, parts, code)


async def find_sources(
    request: web.Request, texts: list[str], source: str, field: str
) -> tuple[list[Language], list[Guess] | None]:
    """The language of each text; if `source` is "auto", also how sure that is.

    Raises:
        ApiError: the language is unknown.
    """
    loaded = request.app[STATE].ready()
    if source.lower() != AUTO:
        return [find_language(loaded.languages, source, field)] * len(texts), None
    guesses = [found[0] for found in await detect(request, texts)]
    return [guess.language for guess in guesses], guesses


def _joined(document: Document, parts: list[TranslatedText], code: str) -> TranslatedText:
    text = document.with_parts([part.text for part in parts], code)
    alternatives = [
        document.with_parts([(part.alternatives[rank:] or [part.text])[0] for part in parts], code)
        for rank in range(max((len(part.alternatives) for part in parts), default=0))
    ]
    return TranslatedText(text, [sentence for part in parts for sentence in part.sentences], alternatives)


async def translate(
    request: web.Request,
    documents: list[Document],
    sources: list[Language],
    targets: Sequence[str],
    *,
    field: str,
    wishes: Wishes | None = None,
) -> Translated:
    """Translate for a request.

    Args:
        request: gets its summary for the log.
        documents: to be translated.
        sources: the language of each.
        targets: language codes.
        field: how the request calls them.
        wishes: what it asks for beyond the translation.

    Raises:
        ApiError: a language is unknown, or it is too much.
    """
    state = request.app[STATE]
    loaded = state.ready()
    wanted = {code: find_language(loaded.languages, code, field) for code in dict.fromkeys(targets)}
    if not wanted:
        raise ApiError(400, f"{field} is empty: name at least one language", param=field)
    distinct = list({language.code: language for language in wanted.values()}.values())
    try:
        parts = [part for document in documents for part in document.parts]
        languages = [source for one, source in zip(documents, sources, strict=True) for _ in one.parts]
        answer = await loaded.translator.translate(parts, languages, distinct, wishes or Wishes())
    except QueueFullError as error:
        raise ApiError(429, str(error), code="queue_full", retry_after_s=error.retry_after_s) from error
    except TooManySentencesError as error:
        raise ApiError(413, f"{error}: send fewer texts or languages at a time", code="too_large") from error
    except ClosedError as error:
        raise ApiError(503, str(error), code="shutting_down", retry_after_s=5) from error
    state.metrics.answered(answer)
    request[SUMMARY] = (
        f"{len(documents)} texts of {sum(map(len, parts))} characters, {_codes(sources)} to {_codes(distinct)}, "
        f"{answer.sentence_count} sentences"
    )
    firsts = [0, *itertools.accumulate(len(document.parts) for document in documents)]
    return Translated(answer, documents, firsts, wanted)


def _codes(languages: Sequence[Language]) -> str:
    return ",".join(dict.fromkeys(language.code for language in languages))


def read_wishes(fields: Fields, most_alternatives: int) -> Wishes:
    """What a request asks for beyond the translation: `keep`, a glossary, and `alternatives`.

    Raises:
        ApiError: 400, the fields are not as they should be.
    """
    listed = fields.listed("keep")
    try:
        glossary = read_glossary(listed) if listed is not None else Glossary()
    except GlossaryError as error:
        raise ApiError(400, f"keep: {error}", param="keep", code="bad_glossary") from error
    return Wishes(glossary, fields.count("alternatives", most_alternatives))


async def detect(request: web.Request, texts: list[str]) -> list[list[Guess]]:
    """In which language each text is, the likeliest first; never empty.

    Raises:
        ApiError: 501, there is no detector.
    """
    loaded = request.app[STATE].ready()
    try:
        return await asyncio.to_thread(lambda: [loaded.detector.guess(text) for text in texts])
    except DetectionError as error:
        raise ApiError(501, str(error), code="no_detection") from error


def check_size(texts: list[str], limits: Limits) -> None:
    """Make sure that a request is not too large.

    Raises:
        ApiError: 413, it is.
    """
    characters = sum(map(len, texts))
    for size, most, what in ((len(texts), limits.texts, "texts"), (characters, limits.characters, "characters")):
        if size > most:
            message = f"Invalid request: request ({size} {what}) exceeds text limit ({most})"
            raise ApiError(413, message, code="too_large")


def find_language(languages: Languages, code: str, field: str) -> Language:
    """The language that a code means.

    Raises:
        ApiError: 400, there is none.
    """
    try:
        return languages.find(code)
    except UnknownLanguageError as error:
        libre = error.as_libretranslate if field in _LIBRETRANSLATES else None
        raise ApiError(400, str(error), param=field, code="unknown_language", libretranslate=libre) from error
