"""The gateway in front of engines that the test plays."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from gateway_rig import HELLO, PICTURE, VIDEO, Engine, picture_model, serving, short_folder, video

from server.gateway.config import GatewayConfig, Limits, Replica, ServedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[Engine]:
    async with Engine(folder / f"{VIDEO}.sock").running() as running:
        yield running


@asynccontextmanager
async def two_models(folder: Path) -> AsyncIterator[str]:
    """A gateway for a video model with the alias `hub/video`, and a picture model that is down."""
    models = (
        ServedModel(
            name=VIDEO,
            aliases=("hub/video",),
            replicas=(Replica(name=VIDEO, socket=str(folder / f"{VIDEO}.sock")),),
            max_model_len=99,
            max_frames=4,
        ),
        picture_model(folder),
    )
    async with serving(GatewayConfig(models=models, limits=Limits(max_body_bytes=1 << 20))) as address:
        yield address


@pytest.fixture
async def url(folder: Path) -> AsyncIterator[str]:
    async with two_models(folder) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing() -> AsyncIterator[tuple[Engine, str]]:
    """One gateway for all that it refuses, and the engine, which is to see nothing of it."""
    with short_folder() as folder:
        async with Engine(folder / f"{VIDEO}.sock").running() as engine, two_models(folder) as address:
            yield engine, address


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def sdk(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("name", [VIDEO, "hub/video"])
async def test_a_request_reaches_its_engine_unchanged(
    engine: Engine, url: str, http: aiohttp.ClientSession, name: str
) -> None:
    body = orjson.dumps({"model": name, "messages": video(4), "seed": 7})
    async with http.post(f"{url}/v1/chat/completions", data=body) as response:
        assert response.status == 200
        assert (await response.json())["choices"][0]["message"]["content"] == VIDEO
    assert engine.bodies == [body]


async def test_streamed_pieces_pass_at_once(engine: Engine, sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model=VIDEO, messages=HELLO, stream=True)  # type: ignore[call-overload]
    first = await asyncio.wait_for(anext(aiter(stream)), 60)  # the engine waits for us before it says more
    assert first.choices[0].delta.content == "one"
    engine.go_on.set()
    assert [chunk.choices[0].delta.content async for chunk in stream] == [" two"]


async def test_an_engine_that_dies_mid_stream_is_an_error_not_a_short_answer(
    engine: Engine, sdk: openai.AsyncOpenAI
) -> None:
    engine.behave = "die mid-stream"
    engine.go_on.set()
    stream = await sdk.chat.completions.create(model=VIDEO, messages=HELLO, stream=True)  # type: ignore[call-overload]
    with pytest.raises(openai.APIError, match="died"):
        _ = [chunk async for chunk in stream]


async def test_models_lists_all_names(url: str, sdk: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in sdk.models.list()] == [VIDEO, "hub/video", PICTURE]
    assert (await sdk.models.retrieve("hub/video")).id == "hub/video"


async def test_an_unknown_model_is_404_and_says_what_is_served(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=f"served: {VIDEO}") as raised:
        await sdk.chat.completions.create(model="gpt", messages=HELLO)  # type: ignore[arg-type]
    assert raised.value.code == "model_not_found"


async def test_an_engine_that_is_down_is_503_with_retry_after(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match=PICTURE) as raised:
        await sdk.chat.completions.create(model=PICTURE, messages=HELLO)  # type: ignore[arg-type]
    assert raised.value.status_code == 503
    assert int(raised.value.response.headers["Retry-After"]) > 0


async def test_an_engine_that_dies_under_a_request_is_503(engine: Engine, sdk: openai.AsyncOpenAI) -> None:
    engine.behave = "die"
    with pytest.raises(openai.InternalServerError) as raised:
        await sdk.chat.completions.create(model=VIDEO, messages=HELLO)  # type: ignore[arg-type]
    assert raised.value.status_code == 503


@pytest.mark.parametrize(("healthy", "status"), [(True, 502), (False, 503)])
async def test_a_server_error_is_502_or_of_a_dead_engine_core_503(
    engine: Engine, sdk: openai.AsyncOpenAI, healthy: bool, status: int
) -> None:
    engine.behave, engine.healthy = "fail", healthy
    with pytest.raises(openai.InternalServerError) as raised:
        await sdk.chat.completions.create(model=VIDEO, messages=HELLO)  # type: ignore[arg-type]
    assert raised.value.status_code == status


async def test_the_engines_own_refusal_passes_in_our_shape(engine: Engine, sdk: openai.AsyncOpenAI) -> None:
    engine.behave = "refuse"
    with pytest.raises(openai.BadRequestError, match="too long") as raised:
        await sdk.chat.completions.create(model=VIDEO, messages=HELLO)  # type: ignore[arg-type]
    assert raised.value.body == {"message": "too long", "type": "invalid_request_error", "param": None, "code": None}


async def test_a_client_that_goes_away_aborts_its_request(engine: Engine, url: str) -> None:
    engine.behave = "hang"
    async with aiohttp.ClientSession() as session:
        body = orjson.dumps({"model": VIDEO, "messages": HELLO})
        asking = asyncio.create_task(session.post(f"{url}/v1/chat/completions", data=body))
        await asyncio.wait_for(engine.asked.wait(), 60)
        asking.cancel()
    await asyncio.wait_for(engine.aborted.wait(), 60)


@pytest.mark.parametrize(
    ("model", "messages", "says"),
    [
        (VIDEO, video(5), "5 frames, but video-model looks at 4 at most"),
        (VIDEO, video(0, "http://169.254.169.254/latest"), "only data: URLs"),
        (VIDEO, video(0, "file:///etc/passwd"), "only data: URLs"),
        (VIDEO, video(0, "data:video/mp4;base64,AAAA"), "as frames"),
        (PICTURE, video(1), "takes no video"),
        (
            PICTURE,
            [{"role": "user", "content": [{"type": "image_url", "image_url": "http://x"}]}],
            "only data: URLs",
        ),
        (
            PICTURE,
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}] * 3}],
            "3 pictures",
        ),
        (
            PICTURE,
            [{"role": "user", "content": [{"type": "audio_url", "audio_url": {}}]}],
            "holds 'audio_url'",
        ),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_media_that_is_not_taken_is_400_with_the_reason(
    refusing: tuple[Engine, str], model: str, messages: Any, says: str
) -> None:
    engine, address = refusing
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as sdk:
        with pytest.raises(openai.BadRequestError) as raised:
            await sdk.chat.completions.create(model=model, messages=messages)
    assert says in str(raised.value)
    assert not engine.bodies


async def test_a_request_cannot_change_how_frames_are_read(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="media_io_kwargs"):
        await sdk.chat.completions.create(model=VIDEO, messages=HELLO, extra_body={"media_io_kwargs": {}})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b"\xff", 400),
        ("POST", "/v1/chat/completions", b"{}", 404),
        ("POST", "/v1/chat/completions", b" " * (2 << 20), 413),
        ("GET", "/v1/chat/completions", None, 405),
        ("GET", "/v1/models/nope", None, 404),
        ("POST", "/v1/translations", b"{}", 404),
        ("POST", "/v1/completions", b"{}", 404),
        ("POST", "/collective_rpc", b"{}", 404),
        ("GET", "/v1/../health", None, 503),
        ("GET", "/", None, 404),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_refusals_have_openais_shape(
    refusing: tuple[Engine, str], method: str, path: str, body: bytes | None, status: int
) -> None:
    _, url = refusing
    async with aiohttp.ClientSession() as http, http.request(method, url + path, data=body) as response:
        said = await response.json()
        assert response.status == status
    if path != "/v1/../health":
        assert said["error"].keys() == {"message", "type", "param", "code"}
        assert said["error"]["message"]


async def test_health_says_which_part_is_down(engine: Engine, url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{url}/health") as response:
        assert response.status == 503
        assert (await response.json())["parts"] == {VIDEO: "ok", PICTURE: "down"}
    async with http.get(f"{url}/health/live") as response:
        assert response.status == 200


async def test_translations_pass_to_the_translator(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELVIEW_TRANSLATOR_API_KEY", "first,second")

    async def translate(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer first"
        return web.json_response({"got": await request.json()})

    app = web.Application()
    app.router.add_post("/v1/translations", translate)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    translator = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            serving(GatewayConfig(models=(), translator=translator)) as gateway,
            http.post(f"{gateway}/v1/translations", json={"texts": ["a"]}) as response,
        ):
            assert await response.json() == {"got": {"texts": ["a"]}}
    finally:
        await runner.cleanup()


def test_the_configuration_survives_its_file(tmp_path: Path) -> None:
    replicas = (Replica(name="m-0", socket="/s"), Replica(name="m-1", url="http://there:8000", sleep_group="gpu-0"))
    model = ServedModel(name="m", aliases=("a", "b"), replicas=replicas, max_model_len=5, max_frames=1)
    config = GatewayConfig(
        models=(model,), translator="http://t", limits=Limits(max_body_bytes=3), media_domains=("example.org",)
    )
    config.write(tmp_path / "gateway.json")
    assert GatewayConfig.read(tmp_path / "gateway.json") == config


def test_a_replica_is_at_one_place_and_has_a_name_of_its_own() -> None:
    with pytest.raises(ValueError, match="replica r: give a socket, a url or an address_file"):
        Replica(name="r")
    with pytest.raises(ValueError, match="at least one replica"):
        ServedModel(name="m", replicas=(), max_model_len=5)
    model = ServedModel(name="m", replicas=(Replica(name="r", socket="/s"),) * 2, max_model_len=5)
    with pytest.raises(ValueError, match="names of their own: r"):
        GatewayConfig(models=(model,))
