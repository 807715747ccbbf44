"""Our own call, and what is the same on every path: errors, the queue, health."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from translator_toy import Client, Engine, batching, load, serving, until

from translator.batcher import Batcher
from translator.http import Limits, State, make_app
from translator.languages import Languages
from translator.text.sentences import has_letters
from translator.text_translator import TextTranslator


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Client]:
    limits = Limits(body_bytes=10_000, texts=60, characters=9_000)
    async with serving(engine, State("toy", limits=limits), queue_limit=50) as client:
        yield client


async def ask(client: Client, texts: Any, targets: Any = ("fra_Latn",), **more: Any) -> tuple[int, Any]:
    body = {"texts": texts, "targets": targets} | more
    async with client.post("/v1/translations", json=body) as response:
        return response.status, await response.json()


async def test_texts_times_languages_in_one_call(client: Client) -> None:
    status, answer = await ask(client, ["One.\n\n- two  ", "red"], ["fra_Latn", "hin_Deva", "fra_Latn"])
    assert status == 200
    assert answer["model"] == "toy"
    assert "-0.0" not in json.dumps(answer)
    assert answer["translations"] == [
        {
            code: {
                "text": f"<{code}>ONE.\n\n- <{code}>TWO  ",
                "sentences": [
                    {"source": "One.", "text": f"<{code}>ONE.", "verdict": "ok", "score": 0.0},
                    {"source": "two", "text": f"<{code}>TWO", "verdict": "ok", "score": 0.0},
                ],
            }
            for code in ("fra_Latn", "hin_Deva")
        },
        {
            code: {
                "text": f"<{code}>RED",
                "sentences": [{"source": "red", "text": f"<{code}>RED", "verdict": "ok", "score": 0.0}],
            }
            for code in ("fra_Latn", "hin_Deva")
        },
    ]
    assert set(answer["timings"]) == {"prepare", "translate", "total"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20)
@given(st.text("1 \n-🎬…!?.,\t", max_size=30))
def test_text_without_letters_needs_no_translation(text: str) -> None:
    assert not has_letters(text)

    async def check() -> None:
        batcher = Batcher(lambda jobs: pytest.fail(f"{jobs} reached the model"))
        translator = TextTranslator(Engine(), batcher)  # type: ignore[arg-type]
        languages = Languages({"eng_Latn", "fra_Latn"})
        answer = await translator.translate([text], [languages.find("eng_Latn")], [languages.find("fra_Latn")])
        assert answer.texts[0]["fra_Latn"].text == text

    asyncio.run(check())


async def test_a_sentence_too_long_for_the_model_is_cut_at_clauses_and_nothing_is_lost(
    client: Client,
) -> None:
    clause = "and a red car turns left at the corner,"
    sentence = " ".join([clause] * 40)
    _, answer = await ask(client, [sentence])
    translated = answer["translations"][0]["fra_Latn"]
    assert translated["text"].replace("<fra_Latn>", "") == sentence.upper()
    assert len(translated["sentences"]) > 1
    assert all(part["source"].endswith(clause) for part in translated["sentences"])


async def test_the_same_language_comes_back_as_it_is(client: Client) -> None:
    _, answer = await ask(client, ["One. Two."], ["eng_Latn", "fra_Latn"])
    assert answer["translations"][0]["eng_Latn"]["text"] == "One. Two."
    assert answer["translations"][0]["fra_Latn"]["text"] == "<fra_Latn>ONE. <fra_Latn>TWO."


async def test_a_doubtful_sentence_says_why(client: Client) -> None:
    _, answer = await ask(client, ["Fine. This is endless."])
    fine, endless = answer["translations"][0]["fra_Latn"]["sentences"]
    assert fine["verdict"] == "ok"
    assert "reason" not in fine
    assert endless["verdict"] == "doubtful"
    assert endless["reason"] == "no end"


@pytest.mark.parametrize(
    ("body", "status", "param", "said"),
    [
        (b"{", 400, None, "not JSON"),
        (b"\xff\xfe{}", 400, None, "not JSON"),
        (b"[" * 9000, 400, None, "not JSON"),
        (b"[]", 400, None, "JSON object"),
        (b"{}", 400, "texts", "list of strings"),
        (b'{"texts": "one", "targets": ["fra_Latn"]}', 400, "texts", "list of strings"),
        (b'{"texts": [1], "targets": ["fra_Latn"]}', 400, "texts", "list of strings"),
        (b'{"texts": ["\\ud800"], "targets": ["fra_Latn"]}', 400, "texts", "surrogate"),
        (b'{"texts": ["a"]}', 400, "targets", "list of strings"),
        (b'{"texts": ["a"], "targets": []}', 400, "targets", "at least one"),
        (b'{"texts": ["a"], "targets": ["fra_Latn", "xxx_Latn"]}', 400, "targets", "'xxx_Latn'"),
        (b'{"texts": ["a"], "targets": ["</s>"]}', 400, "targets", "GET /languages"),
        (b'{"texts": ["a"], "targets": ["fra_Latn"], "source": "spa_Latn"}', 400, "source", "'spa_Latn'"),
        (b'{"texts": ["a"], "targets": ["fra_Latn"], "source": 7}', 400, "source", "string"),
        (b'{"texts": ["a"], "targets": ["sr-Latn"]}', 400, "targets", "srp_Cyrl, not in Latn"),
        (b'{"texts": ["a"], "targets": ["' + b"x" * 9000 + b'"]}', 400, "targets", "unknown language"),
        (b'{"texts": ["' + b"a" * 20_000 + b'"]}', 413, None, "too large"),
        (b'{"texts": ["' + b"a" * 9500 + b'"], "targets": ["fra_Latn"]}', 413, None, "9500 characters"),
        (b'{"texts": [' + b'"a",' * 60 + b'"a"], "targets": ["fra_Latn"]}', 413, None, "61 texts"),
    ],
)
async def test_bad_requests_are_refused_in_openais_shape(
    client: Client, body: bytes, status: int, param: str | None, said: str
) -> None:
    async with client.post("/v1/translations", data=body) as response:
        answer = await response.json()
        assert response.status == status
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["param"] == param
    assert answer["error"]["type"] == "invalid_request_error"
    assert said in answer["error"]["message"]


async def test_languages_come_back_as_they_were_called(client: Client) -> None:
    _, answer = await ask(client, ["red"], ["fr", "FRA_Latn", "zh-CN"], source="en-US")
    assert answer["targets"] == {"fr": "fra_Latn", "FRA_Latn": "fra_Latn", "zh-CN": "zho_Hans"}
    assert answer["sources"] == ["eng_Latn"]
    texts = {code: said["text"] for code, said in answer["translations"][0].items()}
    assert texts == {"fr": "<fra_Latn>RED", "FRA_Latn": "<fra_Latn>RED", "zh-CN": "<zho_Hans>RED"}


async def test_each_text_has_its_own_language_if_it_is_not_said(client: Client) -> None:
    texts = [
        "The red car turns left at the corner.",
        "La voiture rouge tourne à gauche.",
        "लाल गाड़ी बाएँ मुड़ती है।",
        "1 2",
    ]
    _, answer = await ask(client, texts, ["eng_Latn"], source="auto")
    assert answer["sources"] == ["eng_Latn", "fra_Latn", "hin_Deva", "eng_Latn"]
    assert [guess["language"] for guess in answer["detected"]] == answer["sources"]
    assert answer["detected"][1]["confidence"] > 50
    assert answer["detected"][3]["confidence"] == 0
    said = [text["eng_Latn"]["text"] for text in answer["translations"]]
    assert said == [texts[0], "<eng_Latn>LA VOITURE ROUGE TOURNE À GAUCHE.", f"<eng_Latn>{texts[2]}", "1 2"]


async def test_what_was_accepted_before_closing_is_finished(engine: Engine) -> None:
    state = State("toy")
    async with serving(engine, state) as client:
        engine.gate.clear()
        accepted = asyncio.create_task(ask(client, ["red"]))
        await engine.is_running()
        state.closing = True
        status, answer = await ask(client, ["late"])
        assert (status, answer["error"]["code"]) == (503, "shutting_down")
        engine.gate.set()
        assert (await accepted)[0] == 200


async def test_an_answer_carries_the_requests_id(client: Client) -> None:
    for sent, kept in (("ab-1:2", True), ("a b", False), ("x" * 65, False), (None, False)):
        async with client.get("/health", headers={"X-Request-Id": sent} if sent else {}) as response:
            assert (response.headers["X-Request-Id"] == sent) == kept
            assert response.headers["X-Request-Id"]


async def test_too_many_sentences_at_once_are_refused(client: Client) -> None:
    status, answer = await ask(client, [f"word {i}" for i in range(51)])
    assert status == 413
    assert "51 sentences" in answer["error"]["message"]


async def test_a_full_queue_answers_429_and_when_to_come_back(client: Client, engine: Engine) -> None:
    engine.gate.clear()
    first = asyncio.create_task(ask(client, ["running"]))
    await engine.is_running()  # the queue is empty again
    second = asyncio.create_task(ask(client, [f"word {i}" for i in range(50)]))
    async with asyncio.timeout(30):
        while (await (await client.get("/health/details")).json())["waiting"] < 50:  # noqa: ASYNC110 (asks from outside)
            await asyncio.sleep(0.01)
    async with client.post("/v1/translations", json={"texts": ["late"], "targets": ["fra_Latn"]}) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) >= 1
        assert (await response.json())["error"]["code"] == "queue_full"
    engine.gate.set()
    assert [status for status, _ in await asyncio.gather(first, second)] == [200, 200]


async def test_unknown_paths_and_methods(client: Client) -> None:
    async with client.get("/v1/translations") as response:
        assert response.status == 405
        assert "GET /v1/translations" in (await response.json())["error"]["message"]
    async with client.get("/nothing") as response:
        assert response.status == 404
        assert isinstance((await response.json())["error"], str)


async def test_not_healthy_until_loaded_nor_while_closing(engine: Engine) -> None:
    state = State("toy")
    async with TestClient(TestServer(make_app(state))) as client:
        async with client.get("/health") as response:
            assert response.status == 503
            assert "being loaded" in (await response.json())["error"]
        status, answer = await ask(client, ["a"])
        assert (status, answer["error"]["code"]) == (503, "loading")
        load(state, Batcher(engine.translate), engine)
        async with client.get("/health") as response:
            assert response.status == 200
            assert (await response.json())["status"] == "ok"
        state.closing = True
        async with client.get("/health") as response:
            assert response.status == 503
            assert "Retry-After" in response.headers
            assert response.headers["Connection"] == "close"


async def test_who_hangs_up_leaves_the_queue() -> None:
    engine = Engine()
    engine.gate.clear()
    state = State("toy")
    async with batching(engine) as batcher, TestServer(make_app(state)) as server:
        load(state, batcher, engine)
        _, running = await open_request(server, "running")
        await engine.is_running()
        _, waiting = await open_request(server, "waiting")
        await until(lambda: batcher.waiting == 1)
        waiting.close()
        await until(lambda: batcher.waiting == 0)
        running.close()
        engine.gate.set()


async def open_request(server: TestServer, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request whose answer nobody reads."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    body = json.dumps({"texts": [text], "targets": ["fra_Latn"]}).encode()
    writer.write(b"POST /v1/translations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    return reader, writer
