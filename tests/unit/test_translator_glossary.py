"""Terms that stay, and terms with a set translation."""

import csv
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import example, given
from hypothesis import strategies as st
from translator_toy import LANGUAGES, Client, Engine, State, batching, load

from translator.checks.checks import Thresholds
from translator.checks.review import with_checks
from translator.errors import GlossaryError
from translator.glossary import Entry, Glossary, Term, _pattern, missing, read
from translator.glossary import load as load_glossary
from translator.http import make_app
from translator.model.job import Job, Translation
from translator.text.placement import put_in
from translator.text_translator import TextTranslator, Wishes

TERMS = ["Acme", "Just do it.", {"term": "running shoe", "translations": {"fr": "chaussure de course"}}]


def backwards(job: Job) -> Translation:
    """An engine that loses terms: each word, names too, is written backwards, but for French ones."""
    known = {"chaussure", "de", "course"}
    said = (m if m in known else m[::-1] for m in re.findall(r"\w+|\W+", job.text.lower()))
    return Translation("".join(said), score=-0.5)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    engine = Engine(backwards)
    state = State("toy")
    async with batching(engine, with_checks(engine, Thresholds())) as batcher:
        load(state, batcher, engine)
        assert state.loaded
        state.loaded = type(state.loaded)(
            TextTranslator(engine, batcher, Thresholds(), glossary=Glossary((Entry("Globex"),))),  # type: ignore[arg-type]
            state.loaded.languages,
            state.loaded.detector,
        )
        async with TestClient(TestServer(make_app(state))) as client:
            yield client


async def ask(client: Client, text: str, **more: Any) -> Any:
    body = {"texts": [text], "targets": ["fr"], "keep": TERMS} | more
    async with client.post("/v1/translations", json=body) as response:
        answer = await response.json()
        return answer["translations"][0]["fr"] if response.status == 200 else answer["error"]["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Acme makes the running shoe for the city.", "Acme sekam eht chaussure de course rof eht ytic."),
        ("They buy it from Globex in the old city.", "yeht yub ti morf Globex ni eht dlo ytic."),
        ("Running shoe", "chaussure de course"),
        ("Acme", "Acme"),
        ("They say: Just do it. Then they go.", "yeht yas: Just do it. neht yeht og."),
        ("The acme of the old city.", "eht emca fo eht dlo ytic."),
        ("Acmeville is the old city.", "ellivemca si eht dlo ytic."),
    ],
)
async def test_terms_read_as_they_should(client: Client, text: str, said: str) -> None:
    answer = await ask(client, text)
    assert answer["text"] == said
    assert all(sentence["verdict"] != "doubtful" for sentence in answer["sentences"])


async def test_a_term_that_was_lost_is_told(client: Client) -> None:
    (sentence,) = (await ask(client, "We walk to the Acme building."))["sentences"]
    assert sentence["verdict"] == "retried"
    assert "Acme is not there" in sentence["reason"]


async def test_a_sentence_of_terms_alone_has_no_parts_to_try(client: Client) -> None:
    assert (await ask(client, "aa " * 900, keep=["aa"]))["sentences"]


async def test_without_the_glossary_nothing_is_kept(client: Client) -> None:
    assert (await ask(client, "Acme is here.", keep=[]))["text"] == "emca si ereh."


async def test_libretranslates_call_takes_it_too(client: Client) -> None:
    form = {"q": "Acme is here.", "source": "en", "target": "fr", "keep": json.dumps(TERMS)}
    async with client.post("/translate", data=form) as response:
        assert (await response.json())["translatedText"] == "Acme si ereh."


@pytest.mark.parametrize(
    ("keep", "why"),
    [
        ("Acme", "keep is not JSON"),
        ({"a": 1}, "must be a list"),
        ([5], "entry 1 must be a term"),
        (["a", ""], "entry 2 must be a text of 1 to 200 characters"),
        (["a" * 201], "entry 1 must be a text of 1 to 200"),
        ([{"term": "a", "translations": {"tlh": "b"}}], "entry 1: unknown language 'tlh'"),
        ([{"term": "a", "into": {}}], "entry 1 must be a term, or an object"),
        (["a"] * 2001, "2001 terms: at most 2000"),
        ([{"term": "a", "translations": {"fr": "\ud800"}}], "entry 1 holds a lone surrogate"),
    ],
)
async def test_a_bad_glossary_is_refused(client: Client, keep: Any, why: str) -> None:
    assert why in await ask(client, "a", keep=keep)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("terms.txt", "# brands\nAcme\n\n  Just do   it.\n"),
        ("terms.json", '["Acme", {"term": "Just do it."}]'),
        ("terms.csv", "term,fr,de\nAcme,,\nJust do it.,,\n"),
        ("terms.tsv", "\ufeffterm\tfr\nAcme\t\nJust do it.\n"),
    ],
)
def test_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert load_glossary(tmp_path / name).entries == (Entry("Acme"), Entry("Just do it."))


def test_a_table_has_a_column_for_each_language(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('term,fr,de_DE\n"running shoe","chaussure, de course",\n', encoding="utf-8")
    (entry,) = load_glossary(tmp_path / "a.csv").entries
    assert entry == Entry("running shoe", {"fra_Latn": "chaussure, de course"})
    assert (entry.into("fra_Latn"), entry.into("deu_Latn")) == ("chaussure, de course", None)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"word,fr\na,b\n", "the first column of a table must be named 'term'"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", b'{"running shoe": {"fr": "chaussure"}}', "must be a list of terms"),
        ("a.json", b'"Acme"', "must be a list of terms"),
        ("a.csv", b"term,fr\n" + b"a" * 140_000 + b",b\n", "field larger than field limit"),
        ("a.txt", b"\xff\xfe", "cannot read"),
        ("a.txt", None, "cannot read"),
        ("a.csv", b"term,tlh\na,b\n", "entry 1: unknown language 'tlh'"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    limit = csv.field_size_limit(1 << 17)  # Python's own; it is one for the whole process, and others raise it
    try:
        with pytest.raises(GlossaryError, match="a\\.") as refused:
            load_glossary(tmp_path / name)
    finally:
        csv.field_size_limit(limit)
    assert why in str(refused.value)


def test_the_longest_term_is_found_first_and_the_last_entry_counts() -> None:
    glossary = read(["Acme", "Acme One", {"term": "red", "translations": {"fr": "vermeil"}}]) + read(["小米", "red"])
    found = glossary.found("Acme One, Acme and RED 小米手机 in redness", "fra_Latn")
    assert [term for _, _, term in found] == [
        Term("Acme One", "Acme One"),
        Term("Acme", "Acme"),
        Term("RED", "RED"),
        Term("小米", "小米"),
    ]


def test_a_term_takes_the_place_of_the_words_that_translate_it() -> None:
    source, text = "The red car stops at Acme today.", "Das rote Auto hält heute bei Akme."
    anchors = [(0, 3, 1.0), (4, 8, 5.0), (9, 13, 9.0), (14, 18, 14.0), (19, 24, 28.0), (25, 28, 19.0), (29, 33, 23.0)]
    done = put_in(source, text, [(4, 11, "Rotauto"), (21, 25, "Acme")], anchors)
    assert done
    assert done[0] == "Das Rotauto hält heute bei Acme."
    assert done[1] == (
        (0, 3, 1.0),
        (4, 11, 7.5),
        (12, 16, 14.0),
        (17, 22, 28.0),
        (23, 26, 19.0),
        (27, 31, 23.0),
    )
    assert put_in(source, "Etwas ganz anderes", [(21, 25, "Acme")], [(0, 18, 2.0)]) is None


async def test_attention_puts_a_term_in_and_no_second_try_is_needed() -> None:
    def said(job: Job) -> Translation:
        anchors = ((0, 2, 1.0), (3, 9, 6.0), (10, 13, 12.0), (14, 18, 16.0))
        return Translation("La voitur est akme.", score=-0.2, anchors=anchors if job.align else ())

    engine = Engine(said)
    async with batching(engine, with_checks(engine, Thresholds())) as batcher:
        translator = TextTranslator(engine, batcher, Thresholds())  # type: ignore[arg-type]
        find = LANGUAGES.find
        wishes = Wishes(Glossary((Entry("Acme"),)))
        answer = await translator.translate(["The car is in Acme."], [find("en")], [find("fr")], wishes)
    (sentence,) = answer.texts[0]["fra_Latn"].sentences
    assert (sentence.text, sentence.verdict) == ("La voitur est Acme.", "retried")
    assert len(engine.asked) == 1


def test_terms_are_counted() -> None:
    terms = [Term("Acme", "Acme"), Term("Acme", "Acme"), Term("red", "vermeil")]
    assert missing(terms, "Acme, Acme, Vermeil") == []
    assert missing(terms, "Acme und vermeil") == ["Acme"]


def test_of_a_large_glossary_only_the_terms_that_may_be_there_are_looked_for() -> None:
    listed = [f"word{number} of {number}" for number in range(1990)] + [f"「語{number}」" for number in range(10)]
    _pattern.cache_clear()
    found = read(listed).found("This is word7 of 7, Word8 OF 8, word9 on 9 and 「語3」 beside it.", "fra_Latn")
    assert [term.source for _, _, term in found] == ["word7 of 7", "Word8 OF 8", "「語3」"]
    assert _pattern.cache_info().misses == 4  # word9's, too


@given(
    st.lists(st.text("aBcß漢ト1'-. _", min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=6),
    st.text("aBcß漢ト1'-. _", max_size=30),
)
@example(["cト"], "cトト")
def test_terms_are_found_where_each_alone_would_be(listed: list[str], text: str) -> None:
    entries = [Entry(" ".join(term.split())) for term in listed]
    alone = {at for entry in entries for match in _pattern(entry.term).finditer(text) for at in range(*match.span())}
    together = {at for start, end, _ in Glossary(tuple(entries)).found(text, "fra_Latn") for at in range(start, end)}
    assert together <= alone
    assert not alone or together
    for entry in entries:
        spans = [(start, end) for start, end, _ in Glossary((entry,)).found(text, "fra_Latn")]
        assert spans == [match.span() for match in _pattern(entry.term).finditer(text)]


async def test_a_glossary_can_be_tried_without_a_text(client: Client) -> None:
    body = {"texts": [], "targets": ["fr"], "keep": ["Acme"]}
    async with client.post("/v1/translations", json=body) as response:
        assert (response.status, (await response.json())["translations"]) == (200, [])
