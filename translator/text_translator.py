"""Whole texts into several languages: taken apart, translated sentence by sentence, put together again."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from translator.assembly import Sentence, TranslatedText, assemble
from translator.checks.review import Reviewed, Reviewer
from translator.errors import TooManySentencesError
from translator.glossary import Glossary
from translator.model.job import MAX_SOURCE_TOKENS
from translator.prepared import Prepared, PreparedSentence
from translator.text import sentences
from translator.text.marked import Marked
from translator.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from translator.batcher import Batcher
    from translator.checks.checks import Thresholds
    from translator.checks.review import Second
    from translator.languages import Language
    from translator.model.engine import Engine
    from translator.model.job import Job

__all__ = ["Answer", "Sentence", "TextTranslator", "TranslatedText", "Wishes"]


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


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks for beyond the translation."""

    glossary: Glossary = field(default_factory=Glossary)
    """Terms that stay, or have a set translation."""
    alternatives: int = 0
    """Other translations of each sentence, as far as the beam has them."""


_TOKEN_CHARS = 16
"""No running text has tokens of so many characters on average; in NLLB's vocabulary they have about 4."""
_PREPARING = 2
"""Long requests that are taken apart at the same time: each holds the interpreter's lock while it is."""
_LONG = 20_000
"""Characters of all texts of a request; what has fewer is taken apart in a moment, and waits for no long one."""
_MOST_SENTENCES = 100_000
"""Of one request, repeated ones and languages not counted: of two million characters, each would have twenty."""
_NO_WISHES = Wishes()


class TextTranslator:
    """Translates texts with one model, many requests at a time."""

    def __init__(
        self,
        engine: Engine,
        batcher: Batcher,
        thresholds: Thresholds | None = None,
        *,
        glossary: Glossary | None = None,
        second: Second | None = None,
    ) -> None:
        """Split and tokenize with `engine`'s vocabulary, translate and retry through `batcher`.

        Args:
            engine: the model.
            batcher: the queue before it; its `run` is `review.with_checks`, or else nothing but cuts is retried.
            thresholds: those of the quality checks.
            glossary: terms of all requests.
            second: asked about sentences that stay doubtful.
        """
        self._engine = engine
        self._batcher = batcher
        self._reviewer = Reviewer(engine.job, batcher, thresholds, second)
        self._glossary = glossary or Glossary()
        self._preparing = asyncio.Semaphore(_PREPARING)

    @property
    def waiting(self) -> int:
        """Sentences that wait to be translated, of all requests."""
        return self._batcher.waiting

    async def translate(
        self,
        texts: Sequence[str | Marked],
        sources: Sequence[Language],
        targets: Sequence[Language],
        wishes: Wishes = _NO_WISHES,
    ) -> Answer:
        """Translate every text, each from its own language, into every target language, in one go.

        A caller that is cancelled stops all work for it: what is being taken apart at the next sentence, what waits
        at once, and the batch that runs goes on for the others in it.

        Raises:
            QueueFullError, TooManySentencesError, ClosedError: they are too many, or the batcher cannot take them.
        """
        began = time.monotonic()
        marked = [text if isinstance(text, Marked) else Marked(text) for text in texts]
        glossary = self._glossary + wishes.glossary

        def prepare(wanted: Callable[[], None]) -> tuple[list[Prepared], list[Job]]:
            prepared: list[Prepared] = []
            left = _MOST_SENTENCES
            for one in zip(marked, sources, strict=True):
                prepared.append(self._prepare(*one, wanted, left))
                left -= len(prepared[-1].sentences)
            return prepared, list(self._jobs(prepared, targets, glossary, wishes.alternatives, wanted))

        # In a thread: a megabyte of text takes a second, during which others must be answered.
        long = sum(len(one.text) for one in marked) > _LONG
        async with self._preparing if long else nullcontext():
            prepared, jobs = await in_thread(prepare)
        ready = time.monotonic()
        results = await self._reviewer.translate(jobs)
        translations: dict[tuple[str, str, str], Reviewed] = {}
        for job, result in zip(jobs, results, strict=True):
            if job.align or (job.text, job.source, job.target) not in translations:
                translations[job.text, job.source, job.target] = result

        def join(wanted: Callable[[], None]) -> list[dict[str, TranslatedText]]:
            def result(one: Prepared, sentence: PreparedSentence, target: str) -> Reviewed:
                wanted()
                found = translations.get((sentence.said, one.source.code, target))
                return found or Reviewed(_set_or_same(sentence.said, target, glossary, one.source))

            answer = []
            for one in prepared:
                wanted()
                answer.append({target.code: assemble(one, target.code, result) for target in targets})
            return answer

        answer = await in_thread(join)
        end = time.monotonic()
        timings = {"prepare": ready - began, "translate": end - ready, "total": end - began}
        return Answer(answer, {name: round(duration_s, 6) for name, duration_s in timings.items()})

    def _prepare(self, marked: Marked, source: Language, wanted: Callable[[], None], most: int) -> Prepared:
        """A text's pieces, each sentence short enough for the model, with its tokens.

        Raises:
            TooManySentencesError: there are more than `most`.
        """
        prepared = Prepared(marked, source)
        for piece in sentences.pieces(marked.text, source.primary, layout=marked.layout):
            wanted()
            parts = sentences.split_long(piece.text, self._fits) if piece.is_sentence else [piece]
            for part in parts:
                prepared.add(part, self._engine.tokenize)
            if len(prepared.sentences) > most:
                raise TooManySentencesError(f"more than {_MOST_SENTENCES} sentences in one request")
        return prepared

    def _jobs(
        self,
        prepared: Sequence[Prepared],
        targets: Sequence[Language],
        glossary: Glossary,
        alternatives: int,
        wanted: Callable[[], None],
    ) -> list[Job]:
        """What the model is asked: each sentence in each language that is not its own."""
        jobs: list[Job] = []
        for one in prepared:
            for sentence in one.sentences:
                wanted()
                for target in targets:
                    if target == one.source:
                        continue
                    terms = tuple(term for _, _, term in glossary.found(sentence.said, target.code))
                    if len(terms) == 1 and terms[0].source == sentence.said:
                        continue
                    job = self._engine.job(sentence.said, one.source.code, target.code, sentence.tokens)
                    if terms or alternatives or sentence.align:
                        align = sentence.align or bool(terms)
                        job = replace(job, hypotheses=1 + alternatives, align=align, terms=terms)
                    jobs.append(job)
        return jobs

    def _fits(self, sentence: str) -> bool:
        # Far beyond what the tokens could hold: a megabyte without a space is halved unread.
        if len(sentence) > MAX_SOURCE_TOKENS * _TOKEN_CHARS:
            return False
        return len(self._engine.tokenize(sentence)) <= MAX_SOURCE_TOKENS


def _set_or_same(said: str, target: str, glossary: Glossary, source: Language) -> str:
    """What stands for a sentence that the model was not asked for: a term's set translation, or the sentence."""
    terms = glossary.found(said, target) if target != source.code else []
    return terms[0][2].target if len(terms) == 1 and terms[0][2].source == said else said
