"""LibreTranslate's call and nllb-serve's, on one path."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import FormData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traced import steps_of
from translator_toy import Client, Engine, serving

from translator.errors import ApiError
from translator.http import Limits, State, multipart

PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
NAMED = b"Content-Disposition: form-data; name=q"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    limits = Limits(body_bytes=100_000, texts=60, characters=9_000)
    async with serving(Engine(), State("toy", limits=limits), queue_limit=500) as client:
        yield client


async def ask(client: Client, path: str = "/translate", **call: Any) -> tuple[int, Any]:
    async with client.post(path, **call) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("way", ["json", "urlencoded", "multipart", "query"])
async def test_every_way_to_send_the_fields(client: Client, way: str) -> None:
    fields = {"q": "Hé, two\nlines & more.", "source": "en", "target": "fr", "format": "text", "api_key": "x"}
    form = FormData(fields, default_to_multipart=way == "multipart")
    call = {"json": {"json": fields}, "query": {"params": fields}}.get(way, {"data": form})
    status, answer = await ask(client, **call)
    assert (status, answer) == (200, {"translatedText": "<fra_Latn>HÉ, TWO\n<fra_Latn>LINES & MORE."})


async def test_lists_give_lists(client: Client) -> None:
    status, answer = await ask(client, json={"q": ["a", "", "b"], "source": "en", "target": "fr"})
    assert (status, answer) == (200, {"translatedText": ["<fra_Latn>A", "", "<fra_Latn>B"]})
    form = FormData([("q", "a"), ("q", "b"), ("source", "en"), ("target", "fr")])
    assert (await ask(client, data=form))[1] == {"translatedText": ["<fra_Latn>A", "<fra_Latn>B"]}


async def test_auto_says_what_was_detected(client: Client) -> None:
    body = {"q": "Bonjour, la voiture est rouge !", "source": "auto", "target": "en"}
    _, answer = await ask(client, json=body)
    assert answer["translatedText"].startswith("<eng_Latn>BONJOUR, LA VOITURE")
    assert answer["detectedLanguage"]["language"] == "fr"
    assert 50 < answer["detectedLanguage"]["confidence"] <= 100
    _, answer = await ask(client, json=body | {"q": [body["q"], "The red car turns left."]})
    assert [guess["language"] for guess in answer["detectedLanguage"]] == ["fr", "en"]


async def test_alternatives_have_the_right_shape(client: Client) -> None:
    body = {"q": "a", "source": "en", "target": "fr", "alternatives": 2}
    assert (await ask(client, json=body))[1] == {"translatedText": "<fra_Latn>A", "alternatives": []}
    _, answer = await ask(client, json=body | {"q": ["a", "b"], "alternatives": "3"})
    assert answer == {"translatedText": ["<fra_Latn>A", "<fra_Latn>B"], "alternatives": [[], []]}


async def test_html_keeps_its_tags(client: Client) -> None:
    page = '<p class="x">One &amp; <b>two</b>.</p><script>let a = "b"</script>'
    _, answer = await ask(client, json={"q": page, "source": "en", "target": "fr", "format": "html"})
    assert answer["translatedText"] == (
        '<p class="x">&lt;fra_Latn&gt;ONE &amp; <b>TWO</b>.</p><script>let a = "b"</script>'
    )
    pages = ["<i>La voiture est rouge aujourd'hui</i>", "<hr>", "<i>The car is red today</i>"]
    _, answer = await ask(client, json={"q": pages, "source": "auto", "target": "hi", "format": "html"})
    assert [guess["language"] for guess in answer["detectedLanguage"]] == ["fr", "en", "en"]
    assert answer["translatedText"][1] == "<hr>"
    assert answer["translatedText"][2] == "<i>&lt;hin_Deva&gt;THE CAR IS RED TODAY</i>"


@pytest.mark.parametrize("way", ["json", "data", "params"])
async def test_nllb_serve(client: Client, way: str) -> None:
    status, answer = await ask(client, **{way: {"source": "One.", "src_lang": "eng_Latn", "tgt_lang": "fra_Latn"}})
    assert status == 200
    assert answer.pop("time_taken") >= 0
    assert answer == {
        "source": ["One."],
        "translation": ["<fra_Latn>ONE."],
        "src_lang": "eng_Latn",
        "tgt_lang": "fra_Latn",
        "time_units": "s",
    }
    _, answer = await ask(client, json={"source": ["a", "b"], "tgt_lang": "fr"})
    assert answer["translation"] == ["<fra_Latn>A", "<fra_Latn>B"]
    async with client.get(
        "/translate", params=[("source", "a"), ("source", "b"), ("tgt_lang", "fra_Latn")]
    ) as response:
        assert (await response.json())["translation"] == ["<fra_Latn>A", "<fra_Latn>B"]


async def test_languages_as_libretranslate_lists_them(client: Client) -> None:
    async with client.get("/languages") as response:
        languages = await response.json()
    tags = ["en", "fr", "hi", "sr", "zh-Hans"]
    assert [language["code"] for language in languages] == tags
    assert languages[1] == {"code": "fr", "name": "French", "flores": "fra_Latn", "targets": tags}


async def test_detect(client: Client) -> None:
    for q in ("La voiture est rouge.", ["La voiture", "est rouge."]):
        status, answer = await ask(client, "/detect", json={"q": q})
        assert status == 200
        assert answer[0]["language"] == "fr"
        assert answer[0]["confidence"] > 50
        assert sum(guess["confidence"] for guess in answer) <= 100.1


async def test_what_clients_ask_first(client: Client) -> None:
    async with client.get("/frontend/settings") as response:
        settings = await response.json()
    assert settings["charLimit"] == 9_000
    assert settings["keyRequired"] is False
    assert settings["language"]["source"] == {"code": "en", "name": "English"}
    assert settings["language"]["target"]["code"] != "en"
    status, answer = await ask(client, "/suggest", json={})
    assert (status, answer) == (403, {"error": "/suggest is not offered by this service"})


GOOD = {"q": "a", "source": "en", "target": "fr"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "missing q"),
        (GOOD | {"q": None}, "missing q"),
        (GOOD | {"q": ""}, "missing q"),
        (GOOD | {"q": []}, "missing q"),
        (GOOD | {"q": 5}, "q must be a string or a list"),
        (GOOD | {"q": ["a", None]}, "q must be a string or a list"),
        (GOOD | {"q": {"a": 1}}, "q must be a string or a list"),
        (GOOD | {"q": "\ud83d"}, "surrogate"),
        ({"q": "a", "target": "fr"}, "missing source"),
        ({"q": "a", "source": "en"}, "missing target"),
        (GOOD | {"source": 5}, "source must be a string"),
        (GOOD | {"source": "xx"}, "xx is not supported"),
        (GOOD | {"target": ["fr"]}, "target must be a string"),
        (GOOD | {"target": "auto"}, "auto is not supported"),
        (GOOD | {"target": "sr-Latn"}, "srp_Cyrl, not in Latn script"),
        (GOOD | {"target": "french"}, "did you mean fra_Latn"),
        (GOOD | {"format": "pdf"}, "'pdf' format is not supported"),
        (GOOD | {"alternatives": "many"}, "not a number"),
        (GOOD | {"alternatives": True}, "not a number"),
        (GOOD | {"alternatives": -1}, "must be <="),
        (GOOD | {"alternatives": 1e9}, "not a number"),
        (GOOD | {"api_key": 7}, "api_key must be a string"),
        ({"source": [], "tgt_lang": "fr"}, "missing source"),
        ({"source": "a", "tgt_lang": "xx"}, "'xx'"),
    ],
)
async def test_bad_fields_are_refused_in_libretranslates_shape(client: Client, body: Any, said: str) -> None:
    status, answer = await ask(client, json=body)
    assert status == 400
    assert list(answer) == ["error"]
    assert said in answer["error"]


@pytest.mark.parametrize(
    ("data", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"[]", "application/json", 400, "JSON object"),
        (b"[" * 50_000, "application/json", 400, "deeply nested"),
        (b'{"q": "\xff"}', "application/json", 400, "not JSON in utf-8"),
        (b'{"q": 1}', "application/json; charset=ebcdic", 415, "charset 'ebcdic'"),
        (b'{"q": 1}', "application/json; charset=zlib", 415, "charset 'zlib'"),
        (b"<q>a</q>", "text/xml", 415, "'text/xml'"),
        (b"q=%FF&source=en&target=fr", "application/x-www-form-urlencoded", 400, "not in utf-8"),
        (b"q=a&source=en&source=fr&target=fr", "application/x-www-form-urlencoded", 400, "source must be a string"),
        (b"&".join([b"q=a"] * 200), "application/x-www-form-urlencoded", 413, "more than 160 fields"),
        (b'{"q": "a"}', "application/x-www-form-urlencoded", 400, "missing q"),
        (b"", "application/json", 400, "missing q"),
        (b"--x\r\n", "multipart/form-data", 400, "form cannot be read"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 400, "form cannot be read"),
        (PART % b"q" + b"\xff\r\n--x--", "multipart/form-data; boundary=x", 400, "'q' is not in UTF-8"),
        (PART % b"" + b"a\r\n--x--", "multipart/form-data; boundary=x", 400, "no name"),
        (PART % b"q" + b"a\r\n--x--", "multipart/form-data; boundary*=undefined''x", 400, "names no boundary"),
        ((PART % b"q" + b"a\r\n") * 161 + b"--x--", "multipart/form-data; boundary=x", 413, "more than 160 fields"),
        (PART % b"q" + b"a\r\n--xy", "multipart/form-data; boundary=x", 400, "form cannot be read"),
        (b"q=" + b"a" * 9_500 + b"&source=en&target=fr", "application/x-www-form-urlencoded", 413, "9500 characters"),
        (b" " * 200_000, "application/json", 413, "too large"),
    ],
)
async def test_bad_bodies_are_refused_with_a_reason(
    client: Client, data: bytes, kind: str, status: int, said: str
) -> None:
    got, answer = await ask(client, data=data, headers={"Content-Type": kind})
    assert (got, list(answer)) == (status, ["error"])
    assert said in answer["error"]


async def test_files_are_not_fields(client: Client) -> None:
    form = FormData(GOOD)
    form.add_field("q", b"a", filename="a.txt")
    status, answer = await ask(client, data=form)
    assert (status, answer["error"]) == (400, "'q' is a file: fields of the form must be text")


def texts(head: bytes, content: bytes = b"a") -> list[tuple[str, str]]:
    """Those of a form with one part that has these lines at its head."""
    body = b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n--x--"
    return list(multipart.texts("multipart/form-data; boundary=x", body, {"utf-8", "iso-8859-1"}))


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (b'content-disposition:form-data;name=q; filename=""', b"\xc3\xa9"),
        (NAMED + b"\r\nContent-Type: text/plain", b"\xc3\xa9"),
        (NAMED + b"\r\nContent-Type: text/plain; Charset=ISO-8859-1", b"\xe9"),
        (NAMED + b"\r\nContent-Transfer-Encoding: 8bit", b"\xc3\xa9"),
    ],
)
def test_a_part_is_read_as_it_says_it_is(head: bytes, content: bytes) -> None:
    assert texts(head, content) == [("q", "é")]


@pytest.mark.parametrize(
    ("head", "status", "said"),
    [
        (NAMED + b"; filename=a", 400, "'q' is a file"),
        (NAMED + b"; filename*=undefined''a", 400, "'q' is a file"),
        (NAMED + b"\r\nContent-Transfer-Encoding: base64", 400, "send it as it is"),
        (NAMED + b"\r\nContent-Type: text/plain; charset=utf-16", 415, "charset 'utf-16'"),
    ],
)
def test_a_part_that_is_no_plain_text_is_refused(head: bytes, status: int, said: str) -> None:
    with pytest.raises(ApiError, match=re.escape(said)) as refused:
        texts(head)
    assert refused.value.status == status


async def test_what_a_form_calls_a_field_forges_no_line_of_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    head = b'--x\r\nContent-Disposition: form-data; name="q\nforged line"\r\n\r\n'
    for content in (b"\xff", b"a"):
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        await ask(client, data=head + content + b"\r\n--x--", headers=kind)
    assert caplog.messages
    assert not [text for text in caplog.messages if "\n" in text]


@pytest.mark.parametrize(
    "body",
    [
        b"\n" * 1_000_000 + PART % b"q" + b"a\r\n--x--",
        PART % b"q" + b"a\r\n--" * 300_000 + b"\r\n--x--",
        PART % b"q" + b"a\r\n--x--" + b"\r\n" * 500_000,
        (PART % (b";" * 4000) + b"a\r\n") * 15 + b"--x--",
    ],
)
def test_no_form_takes_a_step_for_each_of_its_lines(body: bytes) -> None:
    """While a form is taken apart nobody else is answered."""

    def take_apart() -> None:
        with suppress(ApiError):
            list(multipart.texts("multipart/form-data; boundary=x", body, {"utf-8"}))

    assert steps_of(take_apart) < 1000


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["en", "fr", "auto", "html", "vtt", "[]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from(
    ["q", "source", "target", "format", "alternatives", "api_key", "src_lang", "tgt_lang", "texts", "keep"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(st.lists(st.dictionaries(NAMES, ODD), min_size=10, max_size=10), st.binary(max_size=200))
def test_no_request_is_an_internal_error(bodies: list[dict[str, Any]], noise: bytes) -> None:
    async def check() -> None:
        async with serving(Engine()) as client:
            for path in ("/translate", "/detect", "/v1/translations"):
                for body in bodies:
                    whole = {"targets": ["fr"], "texts": ["a"]} | GOOD | body
                    status, answer = await ask(client, path, data=json.dumps(whole), headers=JSON)
                    assert status in (200, 400, 413)
                    assert status == 200 or answer["error"]
                for kind in (
                    "application/json",
                    "application/x-www-form-urlencoded",
                    "multipart/form-data; boundary=x",
                ):
                    data = b"--x\r\nContent-Disposition: form-data; name=q\r\n" + noise if "multi" in kind else noise
                    status, answer = await ask(client, path, data=data, headers={"Content-Type": kind})
                    assert status in (200, 400, 413, 415), (kind, data)

    asyncio.run(check())


JSON = {"Content-Type": "application/json"}
