"""Texts of clients that left, and texts that are long to take apart: others must not wait for them."""

import asyncio
import time

import pytest
from translator_toy import LANGUAGES, Engine, batching, until

from translator.batcher import Batcher
from translator.errors import AbandonedError
from translator.model.job import MAX_SOURCE_TOKENS
from translator.text import sentences
from translator.text_translator import TextTranslator
from translator.threads import in_thread

ENGLISH, FRENCH = LANGUAGES.find("eng_Latn"), LANGUAGES.find("fra_Latn")


class Counting(Engine):
    """Counts the characters that it makes tokens of; each call takes a moment."""

    seen = 0

    def tokenize(self, text: str) -> tuple[str, ...]:
        self.seen += len(text)
        time.sleep(0.001)
        return tuple(text.split())


@pytest.mark.parametrize("unit", ["Mr. ", "a b, ", "x", "1. a ", "ก", "e.g. 5 ", "word "])
def test_each_character_is_tokenized_a_few_times(unit: str) -> None:
    text, seen = unit * (120_000 // len(unit)), 0

    def fits(part: str) -> bool:
        nonlocal seen
        seen += len(part)
        return len(part) <= MAX_SOURCE_TOKENS

    for piece in sentences.pieces(text, "en"):
        sentences.split_long(piece.text, fits)
    assert seen <= 6 * len(text)


async def translate(engine: Engine, batcher: Batcher, text: str) -> None:
    translator = TextTranslator(engine, batcher)  # type: ignore[arg-type]
    await translator.translate([text], [ENGLISH], [FRENCH])


async def test_a_text_is_left_off_when_its_client_leaves() -> None:
    engine = Counting()
    async with batching(engine) as batcher:
        asked = asyncio.create_task(translate(engine, batcher, "Mr. Smith waits. " * 50_000))
        await until(lambda: engine.seen)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await asyncio.sleep(0.1)
        seen = engine.seen
        await asyncio.sleep(0.2)
        assert engine.seen == seen
        assert seen < 500_000
        assert not engine.batches


async def test_two_texts_at_most_are_taken_apart_at_once() -> None:
    engine = Counting()
    running, most = 0, 0

    async def one(translator: TextTranslator) -> None:
        await translator.translate(["Mr. Smith waits. " * 40], [ENGLISH], [FRENCH])

    def tokenize(text: str) -> tuple[str, ...]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.002)
        running -= 1
        return tuple(text.split())

    engine.tokenize = tokenize  # type: ignore[method-assign]
    async with batching(engine) as batcher:
        translator = TextTranslator(engine, batcher)  # type: ignore[arg-type]
        await asyncio.gather(*(one(translator) for _ in range(8)))
    assert most == 2


async def test_work_in_a_thread_ends_when_nobody_waits() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(wanted: object) -> None:
        try:
            while callable(wanted):
                wanted()
                time.sleep(0.01)
        except AbandonedError:
            loop.call_soon_threadsafe(ended.set)
            raise

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(10):
        await ended.wait()
