"""An engine is ready once everything that a request may set has run in it.

vLLM compiles some kernels when they are first needed: whoever asks for `logprobs` first makes everybody wait for half a
minute, and the core looks hung meanwhile. So the API server asks itself, and every other request is answered with 503
until that is done. Loaded by `--middleware server.engines.warm_up.WarmUp`, as the last one, which is the outermost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
from typing import TYPE_CHECKING, Any

from server.engines.require_key import engine_keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

STAGE = "Warming up"
"""The log's word for it, by which the supervisor knows the stage."""
CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
TRANSCRIPTION, TRANSLATION = "/v1/audio/transcriptions", "/v1/audio/translations"
PICTURE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBk"
    "eFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAAQABADAR"
    "EAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBka"
    "EII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKj"
    "pKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQ"
    "oL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZH"
    "SElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5e"
    "bn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwCjXnn0RxtegfOnZV559EcbXoHzp//Z"
)
"""A JPEG of 16x16 pixels, in base64."""
Feature = tuple[str, str, dict[str, Any]]
"""What is tried, path, what is set."""
ALONE_S = 30.0
"""How long features are asked for one by one: where a step takes many seconds, all of them would take half an hour."""
FEATURES: tuple[Feature, ...] = (
    ("greedy", CHAT, {"temperature": 0}),
    ("sampling", CHAT, {"temperature": 1}),
    ("top_k", CHAT, {"top_k": 5}),
    ("top_p", CHAT, {"top_p": 0.9}),
    ("top_k, top_p, min_p and seed", CHAT, {"top_k": 5, "top_p": 0.9, "min_p": 0.05, "seed": 1}),
    ("n", CHAT, {"n": 2}),
    ("logprobs", CHAT, {"logprobs": True, "top_logprobs": 2}),
    ("logprob_token_ids", CHAT, {"logprobs": True, "logprob_token_ids": [1, 2]}),
    ("prompt_logprobs", COMPLETION, {"prompt_logprobs": 1}),
    ("penalties", CHAT, {"frequency_penalty": 0.1, "presence_penalty": 0.1, "repetition_penalty": 1.1}),
    ("bad_words", CHAT, {"bad_words": ["never"]}),
    ("logit_bias", CHAT, {"logit_bias": {"1": 1.0}}),
    ("allowed_token_ids", CHAT, {"allowed_token_ids": [1, 2, 3]}),
    ("min_tokens and stop_token_ids", CHAT, {"min_tokens": 2, "stop_token_ids": [1]}),
    ("structured_outputs", CHAT, {"structured_outputs": {"choice": ["yes", "no"]}}),
    ("response_format", CHAT, {"response_format": {"type": "json_object"}}),
)
"""Each feature that has code of its own where tokens are chosen."""
SPEECH_FEATURES: tuple[Feature, ...] = (
    ("greedy", TRANSCRIPTION, {"language": "en"}),
    ("sampling", TRANSCRIPTION, {"temperature": 1, "seed": 1}),
    ("top_k, top_p and min_p", TRANSCRIPTION, {"temperature": 1, "top_k": 5, "top_p": 0.9, "min_p": 0.05}),
    ("penalties", TRANSCRIPTION, {"frequency_penalty": 0.1, "presence_penalty": 0.1, "repetition_penalty": 1.1}),
    ("prompt", TRANSCRIPTION, {"prompt": "a"}),
    ("verbose_json", TRANSCRIPTION, {"response_format": "verbose_json"}),
    ("stream", TRANSCRIPTION, {"stream": "true"}),
    ("translation", TRANSLATION, {"response_format": "verbose_json"}),
)
"""The same of a model that transcribes; without a language it is asked which one it hears."""
_SAMPLES = 8000
WAV = (
    struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + 4 * _SAMPLES, b"WAVE", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
    + struct.pack("<4sI", b"data", 4 * _SAMPLES)
    + bytes(4 * _SAMPLES)
)
"""Half a second of silence in float32."""
_BOUNDARY = "babelview-warm-up"


class WarmUp:
    """ASGI middleware that asks the engine once for each feature before it lets anybody else in."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: asyncio.Task[None] | None = None
        self._done = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Begin with the first request; answer 503 until everything has been tried."""
        if self._done or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._running is None:
            self._running = asyncio.create_task(self._run(scope["app"]))
        body = b'{"error": {"message": "the engine warms up", "type": "server_error", "param": null, "code": 503}}'
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"2"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _run(self, app: Any) -> None:
        """Ask for each feature by itself, then for all at once: kernels are compiled for shapes, too.

        Where a step takes long, most are asked for at once only. A feature that fails is reported and left: who does
        not use it can be served.
        """
        began = time.monotonic()
        try:
            args = app.state.args
            hears = (args.limit_mm_per_prompt or {}).get("audio")
            features = SPEECH_FEATURES if hears else [*FEATURES, *_media(args)]
            print(f"{STAGE}: {len(features)} features", flush=True)  # to the engine's log
            for feature in features:
                if time.monotonic() - began > ALONE_S:
                    break
                await self._try(app, feature)
            await asyncio.gather(*(self._try(app, feature) for feature in features))
            print(f"{STAGE} took {time.monotonic() - began:.1f} s", flush=True)
        except Exception:
            # Better slow at the first request of a kind than never ready.
            logging.getLogger(__name__).exception("%s failed: the engine serves without", STAGE)
        finally:
            self._done = True

    async def _try(self, app: Any, feature: Feature) -> None:
        name, path, asked = feature
        if (status := await self._ask(app, path, asked)) != 200:
            print(f"WARNING {STAGE}: {name} was answered with {status}", flush=True)

    async def _ask(self, app: Any, path: str, asked: dict[str, Any]) -> int:
        """The status of the answer to one request of our own; 500 if there is none."""
        body, content_type = _body(app.state.args.served_model_name[0], path, asked)
        status = 500
        sent = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            if (message := next(sent, None)) is None:
                await asyncio.Event().wait()  # we do not go away
            assert message is not None
            return message

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        try:
            await self._app(_scope(app, path, content_type), receive, send)
        except Exception:
            logging.getLogger(__name__).exception("%s: %s", STAGE, asked)
        return status


def _media(args: Any) -> Iterator[Feature]:
    """A request with a picture, and one with a video, of a model that takes them; `args` are those of `vllm serve`."""
    limits = args.limit_mm_per_prompt or {}
    urls = {"image": f"data:image/jpeg;base64,{PICTURE}", "video": f"data:video/jpeg;base64,{PICTURE},{PICTURE}"}
    for kind, url in urls.items():
        if limits.get(kind):
            part = {"type": f"{kind}_url", f"{kind}_url": {"url": url}}
            content = [part, {"type": "text", "text": "a"}]
            yield kind, CHAT, {"messages": [{"role": "user", "content": content}]}


def _body(model: str, path: str, asked: dict[str, Any]) -> tuple[bytes, str]:
    """The body of a request for a few tokens, and its content type."""
    if path in {TRANSCRIPTION, TRANSLATION}:
        fields = {"model": model, "max_completion_tokens": 4, **asked}
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"'
        parts = [f"{head.format(name)}\r\n\r\n{value}\r\n".encode() for name, value in fields.items()]
        parts += [f'{head.format("file")}; filename="a.wav"\r\n\r\n'.encode(), WAV, b"\r\n"]
        return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()]), f"multipart/form-data; boundary={_BOUNDARY}"
    content = {"prompt": "a"} if path == COMPLETION else {"messages": [{"role": "user", "content": "a"}]}
    return json.dumps({"model": model, "max_tokens": 2, **content, **asked}).encode(), "application/json"


def _scope(app: Any, path: str, content_type: str) -> Message:
    """A request of our own, as uvicorn would hand it on."""
    headers = [(b"host", b"engine"), (b"content-type", content_type.encode())]
    if keys := engine_keys(app):
        headers.append((b"authorization", f"Bearer {keys[0]}".encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("engine", 80),
        "client": ("127.0.0.1", 0),
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "state": {},
        "app": app,
    }
