"""NLLB-200 or MADLAD-400 on CTranslate2: tokens in, sentences out. Needs `ctranslate2` and `tokenizers` alone."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ctranslate2
from tokenizers import Tokenizer

from translator.errors import ModelError
from translator.model.alignment import anchors
from translator.model.families import END, family_of
from translator.model.job import ANSWER_TOKENS, CUT, Job, Translation
from translator.model.vocabulary import ALWAYS, mapped, tokens_of
from translator.text.scripts import script_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Beam search ends when this many times `beam_size` hypotheses have ended. At 1, poor ones that end early
hide a better one that is a little longer: the demo model, right with greedy search, then errs once in 300."""


class Engine:
    """A loaded model; `translate` may be called from several threads at once."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        compute_type: str = "auto",
        threads: int = 0,
        replicas: int = 1,
        beam_size: int = 4,
        scripts: Sequence[str] = (),
    ) -> None:
        """Load a model.

        Args:
            folder: a CTranslate2 model with its `tokenizer.json`.
            device: "cpu", "cuda" or "auto".
            compute_type: of CTranslate2, or "auto" (see `choose`).
            threads: CPU threads per replica; 0 leaves it to CTranslate2.
            replicas: batches that may run at the same time.
            beam_size: hypotheses kept while decoding; 1 is greedy and about three times as fast on CPU.
            scripts: of FLORES codes ("Deva"). Sentences of these and of Latin script are translated with the tokens
                of these scripts alone, which is quicker, and others with the whole vocabulary; () for all of them.

        Raises:
            ModelError: there is no such device, or it cannot compute in that type.
            RuntimeError, ValueError: CTranslate2 cannot load the model on that device.
        """
        device, compute_type = choose(device, compute_type)
        # Text that looks like a control token ("</s>", "fra_Latn") must stay text.
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary = frozenset(self._tokenizer.get_vocab())
        """Every token of the model, language codes among them."""
        self.family = family_of(self.vocabulary)
        """Which kind of model it is."""
        self._scripts = frozenset({ALWAYS, *scripts} if scripts else ())
        self._part = tokens_of(self.vocabulary, scripts) if scripts else frozenset()
        with mapped(folder, self._part) if self._part else contextlib.nullcontext(folder) as place:
            self._model = ctranslate2.Translator(
                str(place),
                device=device,
                compute_type=compute_type,
                inter_threads=replicas,
                intra_threads=threads,
            )
        if self._part and not self._takes_part():
            self._part = frozenset()
        self._beam_size = beam_size
        self.device = device
        self.description = f"{device}, {self._model.compute_type}, beam {beam_size}"
        if self._part:
            self.description += (
                f", {len(self._part)} of {len(self.vocabulary)} tokens for {'+'.join(sorted(self._scripts))}"
            )

    def _takes_part(self) -> bool:
        """Whether a part of the vocabulary can be searched here: the library cannot select rows of packed weights."""
        try:
            self._model.translate_batch([[END]], max_decoding_length=1, use_vmap=True)
        except (RuntimeError, ValueError) as error:
            logger.warning("the whole vocabulary is searched for all scripts: %s", error)
            return False
        return True

    @property
    def batch_tokens(self) -> int:
        """Source tokens of a batch from which on larger ones take longer and are hardly more efficient.

        On CPU measured on the shape of 600M (`python -m scripts.benchmarks.translator`), on CUDA a guess.
        """
        if self.device == "cuda":
            return 8192
        return 1024 if self._beam_size == 1 else 512

    def tokenize(self, text: str) -> tuple[str, ...]:
        """The tokens of a sentence, without language and end."""
        return tuple(self._tokenizer.encode(self.family.harmless(text), add_special_tokens=False).tokens)

    def job(self, text: str, source: str, target: str, tokens: tuple[str, ...] | None = None) -> Job:
        """A sentence to translate.

        Args:
            text: the sentence.
            source: its language.
            target: the language wanted, both as FLORES codes.
            tokens: those of `text`, where they are known.
        """
        tokens = self.tokenize(text) if tokens is None else tokens
        part = script_of(target) in self._scripts and self._part.issuperset(tokens)
        return Job(text, source, target, tokens, whole=not part)

    def translate(self, jobs: Sequence[Job]) -> list[Translation]:
        """Translate sentences of one `batch_class` in one batch.

        If the batch fails, each sentence runs alone, and only the one to blame is reported: it comes back
        untranslated, with the reason.
        """
        try:
            return self._translate(jobs)
        except (RuntimeError, ValueError) as error:
            if len(jobs) == 1:
                logger.exception("a sentence of %d tokens failed", len(jobs[0].tokens))
                return [Translation(jobs[0].text, (f"not translated: {error}",), failed=True)]
            logger.warning("a batch of %d failed (%s): each sentence runs alone", len(jobs), error)
            return [result for job in jobs for result in self.translate([job])]

    def _translate(self, jobs: Sequence[Job]) -> list[Translation]:
        results = self._model.translate_batch(
            [self.family.source(job) for job in jobs],
            target_prefix=[self.family.prefix(job) for job in jobs],
            **self._decoding(jobs),
        )
        return [self._answer(job, result) for job, result in zip(jobs, results, strict=True)]

    def _decoding(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """How a batch is decoded."""
        return {
            "beam_size": self._beam_size,
            "num_hypotheses": min(jobs[0].hypotheses, self._beam_size),
            "return_attention": jobs[0].align,
            "patience": _PATIENCE,
            "max_input_length": 0,  # nothing is cut: `MAX_SOURCE_TOKENS` is kept before
            "max_decoding_length": max(ANSWER_TOKENS[job.length_class] for job in jobs),
            "no_repeat_ngram_size": jobs[0].no_repeat,
            "disable_unk": True,
            "return_end_token": True,
            "return_scores": True,
            "use_vmap": not jobs[0].whole,
        }

    def _answer(self, job: Job, result: Any) -> Translation:
        """What became of a sentence: the best hypothesis, the others, and the attention if that was asked for."""
        best = self._read(job, result.hypotheses[0], result.scores[0])
        if len(result.hypotheses) > 1:
            others = [self._read(job, *other) for other in zip(result.hypotheses[1:], result.scores[1:], strict=True)]
            texts = dict.fromkeys(other.text for other in others if other.text and not other.issues)
            texts.pop(best.text, None)
            best = replace(best, alternatives=tuple(texts))
        if job.align:
            begin = len(self.family.prefix(job) or ())
            tokens, attention = result.hypotheses[0][begin:], result.attention[0][begin:]
            best = replace(best, anchors=anchors(job, tokens, attention, best.text))
        return best

    def _read(self, job: Job, tokens: list[str], score: float) -> Translation:
        """An answer `[language] ... </s>` as one line of text; without the end it was cut, which is said."""
        said = tokens[len(self.family.prefix(job) or ()) :]
        ids = [self._tokenizer.token_to_id(token) for token in said]
        text = self._tokenizer.decode([i for i in ids if i is not None], skip_special_tokens=True)
        return Translation(" ".join(text.splitlines()).strip(), () if tokens[-1:] == [END] else (CUT,), score)


def choose(device: str, compute_type: str) -> tuple[str, str]:
    """The device and the type to compute in that "auto" stands for; others are checked.

    On CPU that is int8. On a GPU it is 8-bit weights with 16-bit activations, float16 (compute capability 7.0 and
    up) before bfloat16 (8.0 and up). That order has not been run on a GPU yet.

    Raises:
        ModelError: there is no such device, or it cannot compute in that type; the message says what it can.
    """
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    try:
        have = ctranslate2.get_supported_compute_types(device)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"no device {device}: {error}") from error
    if compute_type == "auto":
        wanted = ("int8_float16", "int8_bfloat16", "int8", "float16")
        return device, next((kind for kind in wanted if kind in have), "default")
    if compute_type not in have | {"default"}:
        raise ModelError(f"{device} does not compute in {compute_type} here: use auto, {', '.join(sorted(have))}")
    return device, compute_type
