"""Forms with a sound: taken apart, checked, and put together anew."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
from aiohttp import web
from gateway_rig import PICTURE, Engine, picture_model, serving, short_folder

from server.gateway.config import GatewayConfig, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOUND = bytes(range(256)) * 1000
LIMITS = Limits(max_media_bytes=300_000, max_body_bytes=1 << 20)


class Listener(Engine):
    """An engine that says what it was sent."""

    form: dict[str, Any]

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/audio/transcriptions", self.listen)
        app.router.add_post("/v1/audio/translations", self.listen)

    async def listen(self, request: web.Request) -> web.Response:
        fields = await request.post()
        self.form = {"path": request.path}
        for name, value in fields.items():
            self.form[name] = value.file.read() if isinstance(value, web.FileField) else value
        return web.json_response({"text": "waves"})


@pytest.fixture
async def served() -> AsyncIterator[tuple[Listener, str]]:
    with short_folder() as folder:
        sound = picture_model(folder, "sound", name="sound", task="transcribe", aliases=("hub/sound",))
        async with (
            Listener(folder / "sound.sock").running() as engine,
            serving(GatewayConfig(models=(sound, picture_model(folder)), limits=LIMITS)) as address,
        ):
            yield engine, f"{address}/v1"  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own translations
async def test_a_sound_goes_to_the_model_of_its_form(served: tuple[Listener, str]) -> None:
    engine, url = served
    async with openai.AsyncOpenAI(base_url=url, api_key="x") as sdk:
        said = await sdk.audio.transcriptions.create(file=("../a.wav", SOUND), model="hub/sound", language="es")
        assert said.text == "waves"
        path = "/v1/audio/transcriptions"
        assert engine.form == {"path": path, "file": SOUND, "model": "hub/sound", "language": "es"}
        await sdk.audio.translations.create(file=("a.wav", SOUND), model="sound")
        assert engine.form["path"] == "/v1/audio/translations"


async def test_a_model_is_asked_for_what_it_can(served: tuple[Listener, str]) -> None:
    async with openai.AsyncOpenAI(base_url=served[1], api_key="x") as sdk:
        with pytest.raises(openai.BadRequestError, match="it can generate"):
            await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model=PICTURE)
        with pytest.raises(openai.BadRequestError, match="it can transcribe"):
            await sdk.chat.completions.create(model="sound", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"file": SOUND}, 400),
        ({"model": "sound", "file": SOUND, "vllm_xargs": "{}"}, 400),
        ({"model": "sound", "file": SOUND * 2}, 413),
        ({"model": "sound", "prompt": "x" * 20_000}, 413),
        ({"model": "other", "file": SOUND}, 404),
    ],
)
async def test_other_forms_are_refused(served: tuple[Listener, str], fields: dict[str, Any], status: int) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, io.BytesIO(value) if isinstance(value, bytes) else value)
    async with aiohttp.ClientSession() as http, http.post(f"{served[1]}/audio/transcriptions", data=form) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data; name=model\r\n\r\nsound",
        b'--x\r\nContent-Disposition: form-data; name="a\x0cb"\r\n\r\n1\r\n--x--\r\n',
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n\r\n--y--\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=model\r\n\r\n\xff\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=language\r\n\r\nes\r\n" * 40 + b"--x--\r\n",
    ],
)
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "application/json", ""])
async def test_broken_forms_are_400(served: tuple[Listener, str], body: bytes, kind: str) -> None:
    headers = {"Content-Type": kind}
    async with aiohttp.ClientSession() as http:
        answer = await http.post(f"{served[1]}/audio/transcriptions", data=body, headers=headers)
        assert answer.status == 400
