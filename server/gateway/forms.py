"""Forms with a sound file: taken apart, every field checked, and put together anew for the engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import hdrs

from server.errors import RequestError
from server.gateway import multipart
from server.gateway.api_types import SoundForm
from server.gateway.parameters import wrong_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from server.gateway.config import Limits, ServedModel

FIELDS = frozenset(SoundForm.__struct_encode_fields__)
REPEATED = frozenset(name for name in FIELDS if name.endswith("[]"))
REFUSED = {
    "include[]": "probabilities of single tokens are not given; a segment of verbose_json has their mean",
    "known_speaker_names[]": "speakers are not told apart",
    "known_speaker_references[]": "speakers are not told apart",
    "hotwords": "Whisper knows none: name such words in the prompt",
    "to_language": "Whisper translates into English alone: translate the text, with /v1/translations",
    "use_beam_search": "it keeps the engine from batching",
    "n": "it keeps the engine from batching",
    "vllm_xargs": "it reaches the engine's extensions",
    "stream_include_usage": "the last event of a stream always has it",
    "stream_continuous_usage_stats": "the last event of a stream has it",
}
SEGMENTED = frozenset({"srt", "vtt", "verbose_json"})
"""Formats with times: an engine makes them of verbose_json."""
LONGEST_TEXT = 16 << 10
_NO_WORDS = "the engine gives no times of words: ask for segments, and send short sounds where closer times are needed"


@dataclass(frozen=True, slots=True)
class Form:
    """What a request for a transcription asks, checked but for its sound."""

    sound: bytes
    """The file as it came."""
    model: str
    fields: Mapping[str, Any]
    """All others, of the types of `SoundForm`."""

    @classmethod
    def parse(cls, request: web.Request, body: bytes, limits: Limits) -> Form:
        """Take a body apart, and check all that needs no model.

        Raises:
            RequestError: 400 or 413, naming the field.
        """
        texts, sound = _take_apart(request, body, limits)
        for name in texts.keys() & REFUSED.keys():
            raise _refusal(name, f"{name} is not taken: {REFUSED[name]}")
        for name in texts.keys() - FIELDS:
            raise RequestError(400, f"there is no form field {name!r:.60}", param=name[:60], code="unknown_parameter")
        if "model" not in texts:
            raise RequestError(400, "the form has no model", param="model", code="invalid_form")
        if sound is None:
            raise RequestError(400, "the form has no file", param="file", code="invalid_form")
        return cls(sound, texts["model"][0], _typed(texts))

    @property
    def response_format(self) -> str:
        """One of `SoundForm`'s."""
        return str(self.fields.get("response_format", "json"))

    @property
    def stream(self) -> bool:
        """Whether the text is sent as it comes."""
        return bool(self.fields.get("stream"))

    def check(self, model: ServedModel, limits: Limits) -> None:
        """Check what depends on the model.

        Raises:
            RequestError: 400.
        """
        if self.fields.get("max_completion_tokens", 0) > model.max_model_len:
            message = f"max_completion_tokens may be {model.max_model_len} at most"
            raise _refusal("max_completion_tokens", message)
        most = model.max_model_len * limits.max_characters_per_token // 4
        if (size := len(self.fields.get("prompt", ""))) > most:
            message = f"a prompt of {size} characters: {most} are taken"
            raise RequestError(400, message, param="prompt", code="context_length_exceeded")

    def encode(self, wav: bytes) -> tuple[bytes, str]:
        """Body and content type of the form that an engine gets, with the sound as a WAV file.

        Formats that the gateway makes itself are asked for as what they are made of. The same form always gives the
        same bytes: by these a request that crashes engines is known again.
        """
        given = {name: value for name, value in self.fields.items() if name not in {"chunking_strategy", *REPEATED}}
        given["model"] = self.model
        given["response_format"] = "verbose_json" if self.response_format in SEGMENTED else "json"
        if self.stream:
            given["stream_include_usage"] = True
        boundary = f"babelview-{hashlib.blake2b(wav, digest_size=16).hexdigest()}"
        parts: list[bytes] = []
        for name, value in given.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode())
        head = 'Content-Disposition: form-data; name="file"; filename="sound.wav"\r\nContent-Type: audio/wav'
        parts += [f"--{boundary}\r\n{head}\r\n\r\n".encode(), wav, f"\r\n--{boundary}--\r\n".encode()]
        return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _take_apart(request: web.Request, body: bytes, limits: Limits) -> tuple[dict[str, list[str]], bytes | None]:
    """The fields of a form, and its file."""
    texts: dict[str, list[str]] = {}
    sound: bytes | None = None
    for name, data in multipart.parts(request.headers.get(hdrs.CONTENT_TYPE, ""), body):
        if name != "file":
            if len(data) > LONGEST_TEXT:
                raise RequestError(413, f"{name:.60}: too long", param=name[:60], code="request_too_large")
            try:
                texts.setdefault(name, []).append(data.decode())
            except UnicodeDecodeError:
                raise RequestError(
                    400, f"{name:.60}: the text is not in UTF-8", param=name[:60], code="invalid_form"
                ) from None
            continue
        if len(data) > limits.max_media_bytes:
            limit = limits.max_media_bytes >> 20
            raise RequestError(413, f"file: larger than {limit} MiB", param="file", code="request_too_large")
        if sound is not None:
            raise RequestError(400, "the form has two files", param="file", code="invalid_form")
        sound = data
    return texts, sound


def _typed(texts: Mapping[str, list[str]]) -> dict[str, Any]:
    """The fields with their types, without the model.

    Raises:
        RequestError: 400, naming the one that is wrong.
    """
    for name, values in texts.items():
        if len(values) > 1 and name not in REPEATED:
            raise _refusal(name, f"{name} is given {len(values)} times")
    if "word" in texts.get("timestamp_granularities[]", ()):
        raise _refusal("timestamp_granularities", f"timestamp_granularities: {_NO_WORDS}")
    given = {name: values if name in REPEATED else values[0] for name, values in texts.items()}
    try:
        form = msgspec.convert(given | {"file": ""}, SoundForm, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_type(error) from error
    typed: dict[str, Any] = msgspec.to_builtins(form)
    format_ = typed.get("response_format", "json")
    if typed.get("stream") and format_ in SEGMENTED:
        raise _refusal("stream", f"stream: {format_} is made when all is said; json and text are streamed")
    if "timestamp_granularities[]" in typed and format_ != "verbose_json":
        raise _refusal("timestamp_granularities", "timestamp_granularities needs response_format verbose_json")
    return {name: value for name, value in typed.items() if name not in {"file", "model"}}


def _refusal(name: str, message: str) -> RequestError:
    return RequestError(400, message, param=name, code="invalid_parameter")
