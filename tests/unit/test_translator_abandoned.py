"""Texts of clients that left, and texts that are long to take apart: others must not wait for them."""

import asyncio
import time

import pytest
from translator_toy import LANGUAGES, Engine, batching, until

from translator import text_translator
from translator.batcher import Batcher
from translator.errors import AbandonedError, TooManySentencesError
from translator.model.job import MAX_SOURCE_TOKENS
from translator.text import sentences
from translator.text.sentences import Piece
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


@pytest.mark.parametrize("unit", ["\n", "\r\n", "1\n", "- \n", "\u2028"])
def test_lines_without_words_are_one_piece(unit: str) -> None:
    text = unit * 100_000
    assert sentences.split(f"One.\n{text}Two.") == [
        Piece("One.", is_sentence=True),
        Piece("\n", is_sentence=False),
        Piece(text, is_sentence=False),
        Piece("Two.", is_sentence=True),
    ]


async def test_a_text_of_too_many_sentences_is_left_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_translator, "_MOST_SENTENCES", 1000)
    engine = Counting()
    async with batching(engine) as batcher:
        with pytest.raises(TooManySentencesError, match="more than 1000 sentences"):
            await translate(engine, batcher, "a\n" * 10_000)
        assert engine.seen < 5000
        assert not engine.batches


async def test_a_short_text_does_not_wait_until_long_ones_are_taken_apart() -> None:
    engine = Counting()
    async with batching(engine) as batcher:
        translator = TextTranslator(engine, batcher)  # type: ignore[arg-type]
        texts = ["Mr. Smith waits. " * 50_000] * 4
        long = [asyncio.create_task(translator.translate([text], [ENGLISH], [FRENCH])) for text in texts]
        await until(lambda: engine.seen)
        await translator.translate(["Mr. Smith waits."], [ENGLISH], [FRENCH])
        assert len(engine.batches) == 1
        assert engine.seen < 850_000  # characters of one of the long ones
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)


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
        seen = -1
        async with asyncio.timeout(60):
            while seen != engine.seen:  # until nothing more is done about it
                seen = engine.seen
                await asyncio.sleep(0.2)
        assert seen < 500_000
        assert not engine.batches


async def test_two_long_texts_at_most_are_taken_apart_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_translator, "_LONG", 500)
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
    async with asyncio.timeout(60):
        await ended.wait()
