"""Forms with a sound: taken apart, checked, decoded, and put together anew; answers in OpenAI's formats."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import openai
import orjson
import psutil
import pytest
from aiohttp import web
from gateway_rig import PICTURE, Engine, event, picture_model, serving, short_folder, until
from sounds import FORMATS, RATE, encoded, tone

from server.errors import SoundError
from server.gateway.config import GatewayConfig, Limits, Timeouts
from server.gateway.sound_child import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOUND = encoded(tone(1.5, RATE))
LIMITS = Limits(max_media_bytes=300_000, max_body_bytes=1 << 20, max_sound_s=4.0, sound_processes=1)
SEGMENTS = [
    {"id": 0, "start": 0.0, "end": 0.0, "text": "", "avg_logprob": 0.0},
    {"id": 1, "start": 0.1, "end": 0.62, "text": " Waves & wind", "avg_logprob": -0.1},
    {"id": 2, "start": 0.7000000001, "end": 10.0, "text": " --> come\nin.", "avg_logprob": -0.1},
]


class Listener(Engine):
    """An engine that says what it was sent, and answers as vLLM does."""

    form: dict[str, Any]
    segments: list[dict[str, Any]] = SEGMENTS
    gone: str = ""

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/audio/transcriptions", self.listen)
        app.router.add_post("/v1/audio/translations", self.listen)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(request.headers["Content-Type"].encode())
        fields = await request.post()
        self.form = {"path": request.path}
        for name, value in fields.items():
            self.form[name] = value.file.read() if isinstance(value, web.FileField) else value
        if self.form.get("stream") == "true":
            return await self.stream(request)
        if self.form["response_format"] == "json":
            return web.json_response({"text": " waves", "usage": {"type": "duration", "seconds": 2}})
        said = "".join(segment["text"] for segment in self.segments)
        return web.json_response(
            {"text": said, "language": "en", "duration": 1.5, "segments": self.segments, "words": None}
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Pieces that begin and end anywhere."""
        words = [" Waves", "", "  come", " in."]
        said = [event({"object": "transcription.chunk", "choices": [{"delta": {"content": word}}]}) for word in words]
        usage = {"prompt_tokens": 150, "completion_tokens": 7, "total_tokens": 157}
        text = b"".join([*said, event({"object": "transcription.chunk", "choices": [], "usage": usage})])
        text += b"data: [DONE]\n\n"
        if self.gone == "error":
            text = said[0] + event({"error": {"message": "no memory", "type": "x", "code": 400}}) + b"data: [DONE]\n\n"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for at in range(0, len(text) if self.gone != "died" else 200, 31):
            await response.write(text[at : at + 31])
            await asyncio.sleep(0.001)
        if self.gone == "died":
            assert request.transport
            request.transport.abort()
        return response


def models(folder: Any) -> tuple[Any, ...]:
    return (
        picture_model(folder, "sound", name="sound", task="transcribe", aliases=("hub/sound",), max_images=0),
        picture_model(folder),
    )


@pytest.fixture
async def served() -> AsyncIterator[tuple[Listener, str]]:
    with short_folder() as folder:
        async with (
            Listener(folder / "sound.sock").running() as engine,
            serving(GatewayConfig(models=models(folder), limits=LIMITS)) as address,
        ):
            yield engine, f"{address}/v1"  # type: ignore[misc]


@pytest.fixture
async def sdk(served: tuple[Listener, str]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=served[1], api_key="x", max_retries=0) as client:
        yield client


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own translations
async def test_a_sound_goes_to_the_model_of_its_form(served: tuple[Listener, str], sdk: openai.AsyncOpenAI) -> None:
    engine = served[0]
    said = await sdk.audio.transcriptions.create(file=("../a.wav", SOUND), model="hub/sound", language="es")
    assert said.text == "waves"
    form = {name: value for name, value in engine.form.items() if name != "file"}
    path = "/v1/audio/transcriptions"
    assert form == {"path": path, "model": "hub/sound", "language": "es", "response_format": "json"}
    translated = await sdk.audio.translations.create(file=("a.wav", SOUND), model="sound")
    assert translated.text == "waves"
    assert engine.form["path"] == "/v1/audio/translations"


@pytest.mark.parametrize("suffix", FORMATS)
async def test_an_engine_gets_every_format_as_float32_of_16_khz(
    served: tuple[Listener, str], sdk: openai.AsyncOpenAI, suffix: str
) -> None:
    """Whole numbers, also at this rate, are what vLLM takes for huge samples."""
    sound = encoded(tone(1.5, RATE), suffix, channels=2 if suffix == "m4a" else 1)
    await sdk.audio.transcriptions.create(file=(f"a.{suffix}", sound), model="sound")
    wav = served[0].form["file"]
    assert wav[:16] + wav[20:24] == b"RIFF" + (len(wav) - 8).to_bytes(4, "little") + b"WAVEfmt \x03\x00\x01\x00"
    assert int.from_bytes(wav[24:28], "little") == RATE
    samples = np.frombuffer(wav[44:], np.float32)
    assert len(samples) == pytest.approx(1.5 * RATE, abs=0.06 * RATE)
    middle = samples[RATE // 2 : RATE]
    assert np.abs(np.fft.rfft(middle)).argmax() == 220  # half a second of 440 Hz
    assert 0.4 < np.abs(middle).max() < 0.8


async def test_the_same_form_is_the_same_bytes(served: tuple[Listener, str], sdk: openai.AsyncOpenAI) -> None:
    """By these a request that crashes engines is known again."""
    forms = []
    for _ in range(2):
        await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model="sound", temperature=0.5)
        forms.append(served[0].form)
    assert forms[0] == forms[1]
    assert served[0].bodies[0] == served[0].bodies[1]  # the boundary between its parts


async def test_a_model_is_asked_for_what_it_can(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="it can generate"):
        await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model=PICTURE)
    with pytest.raises(openai.BadRequestError, match="it can transcribe"):
        await sdk.chat.completions.create(model="sound", messages=[{"role": "user", "content": "x"}])
    listed = {model.id: model.model_dump() for model in (await sdk.models.list()).data}
    assert (listed["sound"]["task"], listed["sound"]["max_sound_s"]) == ("transcribe", 4.0)
    assert (listed[PICTURE]["task"], listed[PICTURE]["max_sound_s"]) == ("generate", 0)


async def test_formats_are_made_of_segments(served: tuple[Listener, str], sdk: openai.AsyncOpenAI) -> None:
    create = sdk.audio.transcriptions.create
    file = ("a.wav", SOUND)
    assert await create(file=file, model="sound", response_format="text") == "waves\n"
    assert served[0].form["response_format"] == "json"
    srt = await create(file=file, model="sound", response_format="srt")
    assert srt == (
        "1\n00:00:00,100 --> 00:00:00,620\nWaves & wind\n\n2\n00:00:00,700 --> 00:00:01,500\n-> come in.\n\n"
    )
    assert served[0].form["response_format"] == "verbose_json"
    vtt = await create(file=file, model="sound", response_format="vtt")
    assert vtt == (
        "WEBVTT\n\n00:00:00.100 --> 00:00:00.620\nWaves &amp; wind\n\n00:00:00.700 --> 00:00:01.500\n-&gt; come in.\n\n"
    )
    verbose = await create(
        file=file, model="sound", response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (verbose.duration, verbose.language, verbose.text) == (1.5, "en", "Waves & wind --> come\nin.")
    assert [(each.id, each.start, each.end) for each in verbose.segments or ()] == [(0, 0.1, 0.62), (1, 0.7, 1.5)]
    assert verbose.usage is not None
    assert verbose.usage.seconds == 2


@pytest.mark.parametrize("format_", ["text", "srt", "vtt", "verbose_json"])
async def test_silence_is_no_error(served: tuple[Listener, str], sdk: openai.AsyncOpenAI, format_: Any) -> None:
    served[0].segments = []
    said = await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model="sound", response_format=format_)
    if format_ == "verbose_json":
        assert (said.text, said.segments) == ("", [])  # type: ignore[union-attr]
    else:
        assert said == {"text": "waves\n", "srt": "", "vtt": "WEBVTT\n\n"}[format_]


async def test_a_segment_that_was_cut_off_ends_where_the_next_begins(
    served: tuple[Listener, str], sdk: openai.AsyncOpenAI
) -> None:
    cut = [{"start": 0.0, "end": 30.0, "text": " a"}, {"start": 0.9, "end": 9.0, "text": " b"}]
    served[0].segments = [{"id": 7, "avg_logprob": 0.0, **segment} for segment in cut]
    said = await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model="sound", response_format="verbose_json")
    assert [(each.start, each.end) for each in said.segments or ()] == [(0.0, 0.9), (0.9, 1.5)]


async def test_a_stream_has_openais_events(served: tuple[Listener, str], sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model="sound", stream=True)
    events = [each.model_dump(exclude_unset=True) async for each in stream]
    assert [each["type"] for each in events] == [*["transcript.text.delta"] * 3, "transcript.text.done"]
    assert [each["delta"] for each in events[:-1]] == ["Waves", " come", " in."]
    assert events[-1]["text"] == "Waves come in."
    assert events[-1]["usage"] == {"type": "tokens", "input_tokens": 150, "output_tokens": 7, "total_tokens": 157}
    assert served[0].form["stream_include_usage"] == "true"


@pytest.mark.parametrize(("gone", "says"), [("error", "no memory"), ("died", "died while answering")])
async def test_a_stream_that_fails_is_an_error(
    served: tuple[Listener, str], sdk: openai.AsyncOpenAI, gone: str, says: str
) -> None:
    served[0].gone = gone
    stream = await sdk.audio.transcriptions.create(file=("a.wav", SOUND), model="sound", stream=True)
    assert (await anext(stream)).type == "transcript.text.delta"
    with pytest.raises(openai.APIError, match=says):
        [each async for each in stream]


async def post(url: str, fields: list[tuple[str, Any]]) -> tuple[int, dict[str, Any]]:
    """Status and error of a form."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields:
        form.add_field(name, io.BytesIO(value) if isinstance(value, bytes) else value)
    async with aiohttp.ClientSession() as http, http.post(f"{url}/audio/transcriptions", data=form) as answer:
        return answer.status, (await answer.json()).get("error", {})


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"include[]": "logprobs"}, "include[]", "probabilities"),
        ({"vllm_xargs": "{}"}, "vllm_xargs", "extensions"),
        ({"hotwords": "a"}, "hotwords", "prompt"),
        ({"to_language": "fr"}, "to_language", "/v1/translations"),
        ({"colour": "red"}, "colour", "no form field"),
        ({"response_format": "diarized_json"}, "response_format", "diarized_json"),
        ({"timestamp_granularities[]": "word", "response_format": "verbose_json"}, "timestamp_granularities", "words"),
        ({"timestamp_granularities[]": "segment"}, "timestamp_granularities", "verbose_json"),
        ({"stream": "true", "response_format": "srt"}, "stream", "srt"),
        ({"stream": "perhaps"}, "stream", "bool"),
        ({"temperature": "hot"}, "temperature", "float"),
        ({"temperature": "nan"}, "temperature", "temperature"),
        ({"temperature": "1.5"}, "temperature", "<= 1"),
        ({"top_p": "nan"}, "top_p", "top_p"),
        ({"seed": "1.5"}, "seed", "int"),
        ({"max_completion_tokens": "100"}, "max_completion_tokens", "99"),
        ({"prompt": "x" * 397}, "prompt", "396"),
        ({"chunking_strategy": "server_vad"}, "chunking_strategy", "server_vad"),
    ],
)
async def test_a_wrong_field_is_refused_by_its_name(
    served: tuple[Listener, str], fields: dict[str, Any], param: str, says: str
) -> None:
    status, error = await post(served[1], [("model", "sound"), ("file", SOUND), *fields.items()])
    assert (status, error["param"]) == (400, param)
    assert says in error["message"]
    assert not served[0].bodies


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ([("file", SOUND)], 400, "invalid_form"),
        ([("model", "sound")], 400, "invalid_form"),
        ([("model", "sound"), ("file", "text")], 400, "invalid_media"),
        ([("model", "sound"), ("model", "sound"), ("file", SOUND)], 400, "invalid_parameter"),
        ([("model", "sound"), ("file", SOUND), ("file", SOUND)], 400, "invalid_form"),
        ([("model", "sound"), ("file", bytes(300_001))], 413, "request_too_large"),
        ([("model", "sound"), ("prompt", "x" * 20_000)], 413, "request_too_large"),
        ([("model", "other"), ("file", SOUND)], 404, "model_not_found"),
    ],
)
async def test_other_forms_are_refused(
    served: tuple[Listener, str], fields: list[tuple[str, Any]], status: int, code: str
) -> None:
    assert (await post(served[1], fields))[0] == status
    assert (await post(served[1], fields))[1]["code"] == code


@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (b"", "invalid_media"),
        (b"hello " * 1000, "invalid_media"),
        (np.random.default_rng(1).bytes(100_000), "invalid_media"),
        (SOUND[:44], "invalid_media"),
        (encoded(tone(1, RATE), "m4a")[:3000], "invalid_media"),
        (encoded(tone(0.05, RATE)), "sound_too_short"),
        (encoded(tone(4.5, RATE)), "sound_too_long"),
    ],
    ids=["empty", "text", "noise", "header", "cut", "short", "long"],
)
async def test_what_is_no_sound_is_refused(served: tuple[Listener, str], sound: bytes, code: str) -> None:
    status, error = await post(served[1], [("model", "sound"), ("file", sound)])
    assert (status, error["code"], error["param"]) == (400, code, "file")
    assert not served[0].bodies


async def test_a_playlist_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would read files that a text names."""
    (tmp_path / "a.wav").write_bytes(SOUND)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SoundError, match="no sound file"):
        decode(b"ffconcat version 1.0\nfile a.wav\n", 600)
    assert len(decode(SOUND, 600)) == 1.5 * RATE


async def test_a_decoder_that_dies_is_replaced(served: tuple[Listener, str]) -> None:
    form: list[tuple[str, Any]] = [("model", "sound"), ("file", SOUND)]
    assert (await post(served[1], form))[0] == 200
    (child,) = decoders()
    child.kill()
    status, error = await post(served[1], form)
    assert (status, error["code"]) == (400, "invalid_media")
    assert (await post(served[1], form))[0] == 200
    assert [each.pid for each in decoders()] != [child.pid]


async def test_a_decoder_that_hangs_is_ended() -> None:
    form: list[tuple[str, Any]] = [("model", "sound"), ("file", SOUND)]
    with short_folder() as folder:
        config = GatewayConfig(models=models(folder), limits=LIMITS, timeouts=Timeouts(sound_s=2.0))
        async with Listener(folder / "sound.sock").running(), serving(config) as address:
            while (await post(f"{address}/v1", form))[0] != 200:  # it starts in time, if not at once
                pass
            (child,) = decoders()
            child.suspend()
            status, error = await post(f"{address}/v1", form)
            assert (status, error["param"]) == (400, "file")
            assert "takes longer" in error["message"]
            await until(lambda: not child.is_running())


async def test_decoders_have_no_keys_and_end_with_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_API_KEYS", "me=a-secret-of-mine-alone")
    with short_folder() as folder:
        async with (
            Listener(folder / "sound.sock").running(),
            serving(GatewayConfig(models=models(folder), limits=LIMITS)) as address,
        ):
            headers = {"Authorization": "Bearer a-secret-of-mine-alone"}
            form = aiohttp.FormData({"model": "sound", "file": io.BytesIO(SOUND)})
            async with aiohttp.ClientSession(headers=headers) as http:
                assert (await http.post(f"{address}/v1/audio/transcriptions", data=form)).status == 200
            (child,) = decoders()
            assert "BABELVIEW_API_KEYS" not in child.environ()
    assert not decoders()


def decoders() -> list[psutil.Process]:
    """The processes that decode sounds for this one."""
    return [child for child in psutil.Process().children() if "server.gateway.sound_child" in child.cmdline()]


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
        assert orjson.loads(await answer.read())["error"]["message"]
