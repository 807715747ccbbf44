"""Rough input to the real service: every answer has a reason in the shape of its path, and none is a 500."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from translator_process import Service

from scripts.demo.world.scenes import all_sentences
from scripts.demo.world.translations import translate

JSON = "Content-Type: application/json"
LIBRE = {"q": "red", "source": "en", "target": "fr"}
OURS = {"texts": ["red"], "targets": ["fr"]}
ODD: list[Any] = [
    None,
    0,
    -1,
    1.5,
    1e308,
    True,
    "",
    "\0",
    " ",
    "xx",
    "x" * 5000,
    "\ud800",
    [],
    [[]],
    [None],
    [1],
    {},
    {"a": []},
]


@pytest.fixture(scope="module")
def service(translator_cache: Path) -> Iterator[Service]:
    service = Service(translator_cache, "--model", "demo", "--body-timeout", "1")
    service.wait_for("is ready")
    yield service
    assert service.stop() == 0
    log = "".join(service.log)
    assert "Traceback" not in log
    assert " 500 " not in log
    assert all(secret not in log for secret in ("scenes", "SECRET"))  # sizes and codes, never texts


async def post(service: Service, path: str, body: Any) -> tuple[int, Any]:
    timeout = aiohttp.ClientTimeout(300)
    async with (
        aiohttp.ClientSession(service.url, timeout=timeout) as session,
        session.post(path, data=json.dumps(body), headers={"Content-Type": "application/json"}) as response,
    ):
        return response.status, await response.json()


def check_shape(path: str, answer: Any) -> None:
    """LibreTranslate's errors are a string, ours are OpenAI's."""
    assert list(answer) == ["error"]
    message = answer["error"]
    if path.startswith("/v1/"):
        assert set(message) == {"message", "type", "param", "code"}
        message = message["message"]
    assert isinstance(message, str)
    assert 8 < len(message) < 500


@pytest.mark.parametrize(
    ("path", "good"), [("/translate", LIBRE), ("/v1/translations", OURS), ("/detect", {"q": "red"})]
)
async def test_wrong_types_in_every_field(service: Service, path: str, good: dict[str, Any]) -> None:
    names = [*good, "source", "format", "alternatives", "api_key", "src_lang", "tgt_lang"]
    for name in dict.fromkeys(names):
        for value in ODD:
            status, answer = await post(service, path, good | {name: value})
            assert status in (200, 400), (name, value, answer)
            if status != 200:
                check_shape(path, answer)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/translate", LIBRE | {"target": "tlh"}, 400),
        ("/translate", LIBRE | {"target": "sr-Latn"}, 400),
        ("/translate", LIBRE | {"q": ""}, 400),
        ("/translate", LIBRE | {"q": []}, 400),
        ("/translate", LIBRE | {"q": ["red"] * 10_001}, 413),
        ("/translate", LIBRE | {"q": "a " * 1_500_000}, 413),
        ("/translate", LIBRE | {"q": "a" * 5_000_000}, 413),
        ("/v1/translations", OURS | {"targets": [f"x{number}" for number in range(10_000)]}, 400),
        ("/v1/translations", OURS | {"targets": ["hi-Latn"]}, 400),
        ("/v1/translations", OURS | {"targets": []}, 400),
        ("/v1/translations", {"texts": [f"word {n}" for n in range(9_000)], "targets": ["fr", "es", "de"]}, 413),
    ],
)
async def test_what_is_refused(service: Service, path: str, body: Any, status: int) -> None:
    got, answer = await post(service, path, body)
    assert got == status
    check_shape(path, answer)


async def test_what_is_much_and_yet_answered(service: Service) -> None:
    french = {sentence: translate(sentence, "fra_Latn") for sentence in all_sentences()}
    texts = (list(french) * 100)[:10_000]
    status, answer = await post(service, "/translate", LIBRE | {"q": texts})
    assert (status, answer["translatedText"]) == (200, [french[text] for text in texts])
    megabyte = "\n".join(texts)[:1_000_000].rpartition("\n")[0]
    status, answer = await post(service, "/translate", LIBRE | {"q": megabyte})
    assert (status, answer["translatedText"]) == (200, "\n".join(french[text] for text in megabyte.split("\n")))
    status, answer = await post(service, "/translate", LIBRE | {"q": "x" * 200_000})
    assert status == 200
    status, answer = await post(service, "/v1/translations", OURS | {"targets": ["fr"] * 10_000})
    assert (status, list(answer["translations"][0])) == (200, ["fr"])
    same = LIBRE | {"q": " One.\0 two \n", "target": "en-GB"}
    assert await post(service, "/translate", same) == (200, {"translatedText": same["q"]})
    assert (await post(service, "/v1/translations", OURS | {"texts": []}))[1]["translations"] == []
    nul = await post(service, "/translate", LIBRE | {"q": "red\0car"})
    assert nul[0] == 200


BODY = json.dumps(LIBRE | {"q": "SECRET"}).encode()
BIG = b"X-Big: " + b"SECRET" * 20_000


@pytest.mark.parametrize(
    ("head", "headers", "body", "status"),
    [
        (b"POST /translate", [JSON], b"{", 400),
        (b"POST /translate", [JSON], b"[" * 100_000, 400),
        (b"POST /translate", [JSON], b'{"q": "\xff"}', 400),
        (b"POST /translate", [JSON + "; charset=klingon"], BODY, 415),
        (b"POST /translate", ["Content-Type: text/xml"], b"<q>red</q>", 415),
        (b"POST /translate", ["Content-Type: multipart/form-data"], BODY, 400),
        (b"POST /translate", ["Content-Type: multipart/form-data; boundary=x"], b"--x\r\n\r\n--x", 400),
        (b"POST /translate", ["Content-Type: application/x-www-form-urlencoded"], b"q=%FF&source=en&target=fr", 400),
        (b"POST /translate", ["Content-Type: application/x-www-form-urlencoded"], b"&".join([b"q=a"] * 20_000), 413),
        (b"POST /translate", [JSON, "Content-Encoding: gzip"], b"not gzip", 400),
        (b"POST /v1/translations", [JSON], b"\0" * 100, 400),
        (b"GET /%00%0a/../secret", [], b"", 404),
        (b"DELETE /translate", [], b"", 405),
        (b"GET /v1/translations", [], b"", 405),
    ],
)
async def test_rough_requests(service: Service, head: bytes, headers: list[str], body: bytes, status: int) -> None:
    await check_refused(service, head, headers, body, status)


async def test_a_small_body_that_unpacks_to_much_is_refused(service: Service) -> None:
    packed = gzip.compress(b" " * 50_000_000)
    await check_refused(service, b"POST /translate", [JSON, "Content-Encoding: gzip"], packed, 413)


async def check_refused(service: Service, head: bytes, headers: list[str], body: bytes, status: int) -> None:
    """A request of such lines and such a body gets this status, and a reason in the shape of its path."""
    lines = [head + b" HTTP/1.1", b"Host: x", b"Connection: close", *(header.encode() for header in headers)]
    request = b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
    answer = await exchange(service, request)
    said, _, content = answer.partition(b"\r\n\r\n")
    assert int(said.split()[1]) == status
    check_shape(head.split()[1].decode(), json.loads(content))


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"SECRET\r\n\r\n",
        b"BREW /translate HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /translate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nSECRET",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + BIG + b"\r\n\r\n",
        b"GET /translate?q=" + b"SECRET" * 50_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(10_000)) + b"\r\n",
    ],
)
async def test_what_is_no_http_is_refused(service: Service, request_: bytes) -> None:
    assert (await exchange(service, request_)).split()[1] == b"400"


async def test_slow_and_broken_bodies(service: Service) -> None:
    head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    answer = await exchange(service, head)
    assert answer.split()[1] == b"408"
    check_shape("/translate", json.loads(answer.partition(b"\r\n\r\n")[2]))
    for cut in (1, len(head) // 2, len(head)):  # half-closed, and hung up on
        await exchange(service, head[:cut], half_close=True)
        _, writer = await connect(service)
        writer.write(head[:cut])
        await writer.drain()
        writer.close()
    assert (await post(service, "/translate", LIBRE))[0] == 200


async def exchange(service: Service, request: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes, and read what comes until the service hangs up."""
    reader, writer = await connect(service)
    writer.write(request)
    if half_close:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = service.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))
