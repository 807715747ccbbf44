"""What holds for any text, on the demo model: the real engine, quality checks, batcher and splitting, without HTTP."""

import asyncio
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.demo.world.scenes import all_sentences
from translator.batcher import Batcher
from translator.checks.checks import Thresholds
from translator.checks.review import with_checks
from translator.http.documents import Document
from translator.languages import Languages
from translator.model.engine import Engine
from translator.text.marked import Marked
from translator.text.sentences import has_letters, is_for_the_model
from translator.text_translator import Answer, TextTranslator, TranslatedText

CONTROL = ["</s>", "<s>", "<pad>", "<unk>", "<mask>", "fra_Latn", "eng_Latn", "▁"]
WORDS = [
    *all_sentences(),
    *CONTROL,
    "red",
    "blue,",
    "12",
    "1,000.50",
    "{name}",
    "https://example.org/a",
    "zebra",
    "日本",
    "สี",
]
ANY = st.text(max_size=80) | st.text(st.characters(categories=["L", "Z", "M", "Cc", "Cf"]), max_size=40)
LINES = st.lists(st.sampled_from(WORDS) | ANY, max_size=6).flatmap(
    lambda parts: st.lists(
        st.sampled_from([" ", "\n", "\n\n", "\r\n", "\u2028", "\x0c", "\t", "- ", "\u00a0", "\u200b", "** ", " | "]),
        min_size=len(parts),
        max_size=len(parts),
    ).map(lambda between: "".join(a + b for a, b in zip(parts, between, strict=True)))
)
LIST_LETTER = re.compile(r"(?m)^\W*\(?(?:[a-z]|[ivx]{1,4})[.)]\s+")
TEXTS = ANY | LINES


@pytest.fixture(scope="module")
def engine(demo_translator: Path) -> Engine:
    return Engine(demo_translator, device="cpu", threads=1, replicas=2, scripts=("Latn", "Deva"))


Request = tuple[Sequence[str | Marked], Sequence[str]]


def run(engine: Engine, *requests: Request, at_once: bool = True, **batching: int) -> list[Answer]:
    """The answers to several requests of (texts, targets), all at once or one after the other."""
    languages = Languages(engine.vocabulary)

    async def ask() -> list[Answer]:
        batcher = Batcher(with_checks(engine.translate, Thresholds()), linger_s=0, **batching)  # type: ignore[arg-type]
        translator = TextTranslator(engine, batcher, Thresholds())
        batcher.start()
        asked = [
            translator.translate(
                texts, [languages.find("eng_Latn")] * len(texts), [languages.find(code) for code in targets]
            )
            for texts, targets in requests
        ]
        try:
            return await asyncio.gather(*asked) if at_once else [await one for one in asked]
        finally:
            await batcher.close()

    return asyncio.run(ask())


def accounted_for(text: str, translated: TranslatedText) -> None:
    """The text is its sentences and what is between them; with each sentence's translation it is the answer."""
    at, built = 0, ""
    for sentence in translated.sentences:
        start = text.index(sentence.source, at)
        assert not is_for_the_model(LIST_LETTER.sub("", text[at:start]))
        built += text[at:start] + sentence.text
        at = start + len(sentence.source)
        assert sentence.verdict in ("ok", "retried", "doubtful")
        assert sentence.reason or sentence.verdict == "ok"
        assert sentence.text.strip()
        assert len((sentence.text + "x").splitlines()) == len((sentence.source + "x").splitlines())
    assert not is_for_the_model(text[at:])
    assert built + text[at:] == translated.text


@settings(max_examples=150)
@given(TEXTS)
def test_any_text_keeps_its_paragraphs_and_every_sentence_has_a_verdict(engine: Engine, text: str) -> None:
    (answer,) = run(engine, ([text], ["fra_Latn", "hin_Deva"]))
    for translated in answer.texts[0].values():
        accounted_for(text, translated)
        for ends in (r"\n\s*\n", r"\n"):
            assert len(re.split(ends, translated.text)) == len(re.split(ends, text))
        assert len(translated.text.splitlines()) == len(text.splitlines())


@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=["L", "Cs"]), max_size=200))
def test_text_without_letters_is_as_it_was(engine: Engine, text: str) -> None:
    assert not has_letters(text)
    (answer,) = run(engine, ([text], ["deu_Latn"]))
    assert answer.texts[0]["deu_Latn"] == TranslatedText(text, [])


@pytest.mark.parametrize("unit", ["a", "ก", "红", "a b ", "red, ", "e\u0301", "</s>", "Ax. "])
def test_a_long_text_without_end_comes_back_whole(engine: Engine, unit: str) -> None:
    text = unit * (3000 // len(unit))
    (answer,) = run(engine, ([text], ["fra_Latn"]))
    accounted_for(text, answer.texts[0]["fra_Latn"])


@settings(max_examples=60)
@given(st.lists(st.sampled_from(CONTROL), min_size=1, max_size=4), st.sampled_from(all_sentences()[::40]))
def test_control_tokens_beside_a_sentence_change_nothing_about_it(engine: Engine, marks: list[str], known: str) -> None:
    text = "\n".join([known, " ".join(marks), known])
    (answer,) = run(engine, ([text, known], ["spa_Latn"]))
    marked, plain = (one["spa_Latn"] for one in answer.texts)
    first, *_, last = marked.text.split("\n")
    assert first == last == plain.text
    accounted_for(text, marked)


TAGS = ["<b>", "</b>", "<i class='x'>", "</i>", "<br>", "<p>", "</p>", "<img src=a>", "<!-- x -->", "<code>", "</code>"]
PAGE_TEXTS = ["red ", " blue, ", "\n", " ", "&amp;", "&nbsp;", *all_sentences()[::60]]
PAGES = st.lists(st.sampled_from([*TAGS, *PAGE_TEXTS]), max_size=14).map("".join)


@settings(max_examples=40)
@given(PAGES)
def test_every_tag_of_a_page_is_there_once_and_pages_without_words_are_as_they_were(engine: Engine, page: str) -> None:
    document = Document(page, "html")
    (answer,) = run(engine, (document.parts, ["fra_Latn", "jpn_Jpan"]))
    for language in ("fra_Latn", "jpn_Jpan"):
        there = document.with_parts([text[language].text for text in answer.texts], language)
        assert [there.count(tag) for tag in TAGS] == [page.count(tag) for tag in TAGS]
        if not any(has_letters(part.text) for part in document.parts):
            assert there == page


@settings(max_examples=20)
@given(st.lists(TEXTS, min_size=1, max_size=5), st.randoms(use_true_random=False), st.booleans())
def test_company_changes_nothing(engine: Engine, texts: list[str], rng: random.Random, cached: bool) -> None:
    """The same sentences alone, one request after the other, and with others in any mix."""
    codes = ["fra_Latn", "hin_Deva", "jpn_Jpan"]
    pairs = [(text, code) for text in texts for code in codes]
    alone = run(engine, *(([text], [code]) for text, code in pairs), at_once=False, cache_bytes=0)
    expected = {pair: one.texts[0][pair[1]] for pair, one in zip(pairs, alone, strict=True)}
    mix: list[Request] = [
        (rng.sample(texts, rng.randint(1, len(texts))), rng.sample(codes, rng.randint(1, 3))) for _ in range(4)
    ]
    settings = {
        "cache_bytes": (16 << 20) * cached,
        "replicas": rng.choice((1, 2)),
        "batch_tokens": rng.choice((40, 1024)),
    }
    for (asked, targets), answer in zip(mix, run(engine, *mix, **settings), strict=True):
        for text, said in zip(asked, answer.texts, strict=True):
            assert {code: said[code] for code in targets} == {code: expected[text, code] for code in targets}
