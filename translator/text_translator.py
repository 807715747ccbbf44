"""Whole texts into several languages: taken apart, translated sentence by sentence, put together again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from translator.checks.review import Reviewed, Reviewer
from translator.model.job import MAX_SOURCE_TOKENS
from translator.text import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.batcher import Batcher
    from translator.checks.checks import Thresholds
    from translator.checks.review import Verdict
    from translator.languages import Language
    from translator.model.engine import Engine
    from translator.text.sentences import Piece


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a text and what became of it."""

    source: str
    text: str
    reason: str | None = None
    """What was wrong with the translation, or with the first one if it was retried; None if nothing was."""
    verdict: Verdict = "ok"
    """`retried`: the first translation had an issue, this later one has none; `doubtful`: this is the best of
    several, and has the issue that `reason` says."""


@dataclass(frozen=True, slots=True)
class TranslatedText:
    """A text in another language; what stood between the sentences is as it was."""

    text: str
    sentences: list[Sentence]


@dataclass(frozen=True, slots=True)
class Answer:
    """The translations of the texts of one request."""

    texts: list[dict[str, TranslatedText]]
    """For each text: target language's FLORES code -> translation."""
    timings: dict[str, float]
    """Seconds: `prepare` (taking apart), `translate` (waiting and running) and `total`."""

    @property
    def sentence_count(self) -> int:
        """Sentences of all texts in all languages."""
        return sum(len(translated.sentences) for text in self.texts for translated in text.values())


_TOKEN_CHARS = 16
"""No running text has tokens of so many characters on average; in NLLB's vocabulary they have about 4."""

_Prepared = list[tuple["Piece", tuple[str, ...]]]


class TextTranslator:
    """Translates texts with one model, many requests at a time."""

    def __init__(self, engine: Engine, batcher: Batcher, thresholds: Thresholds | None = None) -> None:
        """Split and tokenize with `engine`'s vocabulary, translate and retry through `batcher`.

        Args:
            engine: the model.
            batcher: the queue before it; its `run` is `review.with_checks`, or else nothing but cuts is retried.
            thresholds: those of the quality checks.
        """
        self._engine = engine
        self._batcher = batcher
        self._reviewer = Reviewer(engine.job, batcher, thresholds)

    @property
    def waiting(self) -> int:
        """Sentences that wait to be translated, of all requests."""
        return self._batcher.waiting

    async def translate(self, texts: Sequence[str], sources: Sequence[Language], targets: Sequence[Language]) -> Answer:
        """Translate every text, each from its own language, into every target language, in one go.

        Raises:
            QueueFullError, TooManySentencesError, ClosedError: the batcher cannot take them.
        """
        began = time.monotonic()
        # In a thread: a megabyte of text takes a second, during which others must be answered.
        prepared = await asyncio.to_thread(lambda: list(map(self._prepare, texts, sources)))
        ready = time.monotonic()
        jobs = [
            self._engine.job(piece.text, source.code, target.code, tokens)
            for pieces, source in zip(prepared, sources, strict=True)
            for piece, tokens in pieces
            if piece.is_sentence
            for target in targets
            if target != source
        ]
        results = await self._reviewer.translate(jobs)
        translations = {(job.text, job.source, job.target): result for job, result in zip(jobs, results, strict=True)}
        answer = [
            {target.code: _join(pieces, source.code, target.code, translations) for target in targets}
            for pieces, source in zip(prepared, sources, strict=True)
        ]
        end = time.monotonic()
        timings = {"prepare": ready - began, "translate": end - ready, "total": end - began}
        return Answer(answer, {name: round(duration_s, 6) for name, duration_s in timings.items()})

    def _prepare(self, text: str, source: Language) -> _Prepared:
        """Pieces of a text, each sentence short enough for the model, with its tokens."""
        prepared: _Prepared = []
        for piece in sentences.split(text, source.primary):
            parts = sentences.split_long(piece.text, self._fits) if piece.is_sentence else [piece]
            prepared += [(part, self._engine.tokenize(part.text) if part.is_sentence else ()) for part in parts]
        return prepared

    def _fits(self, sentence: str) -> bool:
        # Far beyond what the tokens could hold: a megabyte without a space is halved unread.
        if len(sentence) > MAX_SOURCE_TOKENS * _TOKEN_CHARS:
            return False
        return len(self._engine.tokenize(sentence)) <= MAX_SOURCE_TOKENS


def _join(
    pieces: _Prepared, source: str, target: str, translations: dict[tuple[str, str, str], Reviewed]
) -> TranslatedText:
    """Put a text together again; a sentence without translation (the language is the source's) stays."""
    said: list[Sentence] = []
    whole: list[str] = []
    for piece, _ in pieces:
        if not piece.is_sentence:
            whole.append(piece.text)
            continue
        result = translations.get((piece.text, source, target)) or Reviewed(piece.text)
        said.append(Sentence(piece.text, result.text, result.reason, result.verdict))
        whole.append(result.text)
    return TranslatedText("".join(whole), said)
