"""Doubtful sentences are shown to a second engine, whose answer is kept if the checks like it better."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from translator_toy import LANGUAGES, Engine, batching

from translator import second_opinion
from translator.checks.checks import Thresholds
from translator.checks.review import with_checks
from translator.cli import make_settings, translate
from translator.glossary import Entry, Glossary
from translator.model.job import Job, Translation
from translator.second_opinion import SecondOpinion, read
from translator.text_translator import Sentence, TextTranslator, Wishes

ENGLISH, FRENCH = LANGUAGES.find("eng_Latn"), LANGUAGES.find("fra_Latn")
SOURCE = "It costs 25 euros in the old city."
GOOD = "Cela coûte 25 euros dans la vieille ville."


class Endpoint:
    """An OpenAI-compatible endpoint that says what it is told to."""

    def __init__(self, said: str | int, *, chunked: bool = False, silent_on: str = "") -> None:
        """Questions that hold `silent_on` are not answered until the endpoint is let go."""
        self.said, self.chunked, self.silent_on = said, chunked, silent_on
        self.asked, self.let_go, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        self.asked.set()
        if self.silent_on and self.silent_on in self.bodies[-1]["messages"][0]["content"]:
            try:
                await self.let_go.wait()
            finally:
                self.left.set()
        if isinstance(self.said, int):
            return web.json_response({}, status=self.said)
        response = web.json_response({"choices": [{"message": {"content": self.said}}]})
        if self.chunked:
            response.enable_chunked_encoding()
        return response


def loses_numbers(job: Job) -> Translation:
    return Translation("Cela coûte des euros dans la vieille ville." if "25" in job.text else "Bonjour.", score=-0.3)


@asynccontextmanager
async def translating(endpoint: Endpoint, key: str | None = None) -> AsyncIterator[TextTranslator]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.answer)
    engine = Engine(loses_numbers)
    async with TestServer(app) as server, batching(engine, with_checks(engine, Thresholds())) as batcher:
        second = SecondOpinion(str(server.make_url("/v1")), "llama", key)
        yield TextTranslator(engine, batcher, Thresholds(), second=second)  # type: ignore[arg-type]
        endpoint.let_go.set()
        await second.close()


async def ask(translator: TextTranslator, text: str = SOURCE, *terms: Entry) -> Sentence:
    answer = await translator.translate([text], [ENGLISH], [FRENCH], Wishes(Glossary(terms)))
    (sentence,) = answer.texts[0]["fra_Latn"].sentences
    return sentence


async def test_a_better_answer_is_kept_and_says_whose_it_is() -> None:
    endpoint = Endpoint(f"« {GOOD} »\n(a note)")
    async with translating(endpoint, "secret") as translator:
        sentence = await ask(translator)
        assert (sentence.text, sentence.verdict, sentence.by, sentence.score) == (GOOD, "retried", "llama", None)
        assert sentence.reason
        assert "25" in sentence.reason
        assert await ask(translator) == sentence
    (body,) = endpoint.bodies  # the second time it was remembered
    assert endpoint.keys == ["Bearer secret"]
    assert (body["model"], body["temperature"]) == ("llama", 0)
    asked = body["messages"][0]["content"]
    assert asked.startswith("Translate the sentence below from English into French.")
    assert asked.endswith(f"\n\n{SOURCE}")


async def test_it_is_told_the_glossary() -> None:
    endpoint = Endpoint("Cela coûte 25 euros dans la cité antique.")
    async with translating(endpoint) as translator:
        sentence = await ask(translator, SOURCE, Entry("old city", {"fra_Latn": "cité antique"}), Entry("Acme"))
    assert sentence.by == "llama"
    assert "Write these terms exactly so: old city → cité antique." in endpoint.bodies[0]["messages"][0]["content"]


async def test_an_answer_without_end_is_left_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "_MOST_BYTES", 1000)
    endpoint = Endpoint(GOOD + " " * 1000, chunked=True)
    async with translating(endpoint) as translator:
        assert (await ask(translator)).by == ""
    assert len(endpoint.bodies) == 1


async def test_all_sentences_of_a_request_have_one_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(second_opinion, "_DEADLINE_S", 2.0)
    text = f"{SOURCE} " + " ".join(SOURCE.replace("25", f"25{n}") for n in range(11, 20))
    endpoint = Endpoint(GOOD, silent_on="251")
    async with translating(endpoint) as translator:
        answer = await translator.translate([text], [ENGLISH], [FRENCH], Wishes())
        sentences = answer.texts[0]["fra_Latn"].sentences
        assert [sentence.by for sentence in sentences] == ["llama", *[""] * 9]
        assert {sentence.verdict for sentence in sentences[1:]} == {"doubtful"}
    assert len(endpoint.bodies) == 1 + second_opinion._AT_ONCE
    assert "in time on 9 of 10 sentences" in caplog.text


async def test_an_endpoint_that_says_nothing_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "_DEADLINE_S", 0.2)
    endpoint = Endpoint(GOOD, silent_on="It costs")
    async with translating(endpoint) as translator:
        first = await ask(translator)
        assert (first.verdict, first.by) == ("doubtful", "")
        assert "25" in str(first.reason)
        await ask(translator, SOURCE.replace("25", "2500"))
    assert len(endpoint.bodies) == 1


async def test_an_address_where_nothing_listens_changes_nothing(unused_tcp_port: int) -> None:
    engine = Engine(loses_numbers)
    async with batching(engine, with_checks(engine, Thresholds())) as batcher:
        second = SecondOpinion(f"http://127.0.0.1:{unused_tcp_port}/v1", "llama")
        alone = await ask(TextTranslator(engine, batcher, Thresholds()))  # type: ignore[arg-type]
        asked = await ask(TextTranslator(engine, batcher, Thresholds(), second=second))  # type: ignore[arg-type]
        await second.close()
    assert asked == alone
    assert asked.verdict == "doubtful"


async def test_a_request_that_is_given_up_asks_no_more() -> None:
    endpoint = Endpoint(GOOD, silent_on="It costs")
    async with translating(endpoint) as translator:
        asking = asyncio.create_task(ask(translator))
        await asyncio.wait_for(endpoint.asked.wait(), 30)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(endpoint.left.wait(), 30)


@pytest.mark.parametrize("said", ["Cela coûte des euros dans la vieille ville.", "", SOURCE, 500, 404])
async def test_what_is_no_better_changes_nothing(said: str | int) -> None:
    async with translating(Endpoint(said)) as translator:
        sentence = await ask(translator)
    assert (sentence.verdict, sentence.by) == ("doubtful", "")


async def test_good_sentences_are_not_asked_about_nor_a_silent_endpoint_again() -> None:
    endpoint = Endpoint(503)
    async with translating(endpoint) as translator:
        assert (await ask(translator, "Hello there.")).verdict != "doubtful"
        assert not endpoint.bodies
        await ask(translator)
        await ask(translator, SOURCE.replace("25", "2500"))
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("answer", "source", "said"),
    [
        ("  Bonjour. \n\nNote: x", "Hello.", "Bonjour."),
        ('"Bonjour."', "Hello.", "Bonjour."),
        ('"Bonjour."', '"Hello."', '"Bonjour."'),
        ("", "Hello.", ""),
    ],
)
def test_what_is_read_of_an_answer(answer: str, source: str, said: str) -> None:
    assert read(answer, source) == said


def test_the_key_comes_from_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_TRANSLATOR_SECOND_OPINION_KEY", "secret")
    settings = make_settings(second_opinion="http://127.0.0.1:8000/v1")
    assert settings.second_opinion_key == "secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("url", ["here", "ftp://x/", "http://user:pw@x/v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    from click.testing import CliRunner  # noqa: PLC0415

    done = CliRunner().invoke(translate, ["--second-opinion", url])
    assert done.exit_code == 2
    assert "is no address such as" in done.output
