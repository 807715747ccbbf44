"""From the settings to a model that answers: prepared, loaded, tried once, and with its queue before it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from translator.batcher import Batcher
from translator.checks.checks import Thresholds
from translator.checks.review import with_checks
from translator.detect import Detector
from translator.errors import ModelError
from translator.glossary import Glossary
from translator.glossary import load as load_glossary
from translator.http.state import Loaded
from translator.languages import Languages
from translator.model import models
from translator.model.cores import share_out, usable_cores
from translator.model.engine import Engine, choose
from translator.text_translator import TextTranslator

if TYPE_CHECKING:
    from translator.http.state import State
    from translator.settings import Settings

logger = logging.getLogger("translator")


async def load(settings: Settings, state: State) -> Batcher:
    """Prepare and load the model, make it translate once, and fill `state`; the queue, which the caller closes.

    Raises:
        ModelError: no usable model; the message says why.
        GlossaryError: the file of `--keep` cannot be read.
    """
    glossary = await asyncio.to_thread(load_glossary, settings.keep) if settings.keep else Glossary()
    second = state.second_opinion
    device, compute_type = choose(settings.device, settings.compute_type)
    folder = await models.prepare(settings.model, compute_type=compute_type)
    threads, replicas = settings.threads, settings.replicas or 1
    if device == "cpu":
        threads, replicas = share_out(settings.threads, settings.replicas, usable_cores())

    def start() -> Engine:
        return Engine(
            folder,
            device=device,
            compute_type=compute_type,
            threads=threads,
            replicas=replicas,
            beam_size=settings.beam_size,
            scripts=settings.scripts,
        )

    try:
        engine = await asyncio.to_thread(start)
    except Exception as error:  # a broken tokenizer file raises plain Exception
        raise ModelError(f"cannot load {folder}: {error}") from error
    languages = Languages(engine.family.codes)
    await _try_once(engine, languages, settings.model)
    thresholds = Thresholds()
    batcher = Batcher(
        with_checks(engine.translate, thresholds),
        replicas=replicas,
        batch_tokens=settings.batch_tokens or engine.batch_tokens,
        queue_limit=settings.queue,
        cache_bytes=settings.cache_mib << 20,
        ran=state.metrics.ran,
    )
    batcher.start()
    state.metrics.watch(state.model, engine.description, batcher)
    state.loaded = Loaded(
        TextTranslator(engine, batcher, thresholds, glossary=glossary, second=second), languages, Detector(languages)
    )
    logger.info(
        "%s is ready: %d languages, %s, %d at once", state.model, len(languages.all), engine.description, replicas
    )
    return batcher


async def _try_once(engine: Engine, languages: Languages, model: str) -> None:
    """Let the model translate one letter, before anybody waits for it."""
    if len(languages.all) < 2:
        raise ModelError(
            f"{model} has neither NLLB's nor MADLAD's language codes in its vocabulary: is it NLLB-200 or MADLAD-400?"
        )
    source, target, *_ = languages.all
    (said,) = await asyncio.to_thread(engine.translate, [engine.job("a", source.code, target.code)])
    if said.failed:
        raise ModelError(f"{model} does not translate: {said.issues[0]}")
