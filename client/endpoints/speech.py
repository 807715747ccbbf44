"""Has sound transcribed: OpenAI's `/audio/transcriptions`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

from client.endpoints.http import JsonServer
from client.endpoints.keys import API_KEY, OPENAI_KEY
from client.endpoints.language_names import known_codes, language_code, shown_name
from client.endpoints.retry import RetryPolicy
from client.errors import FailedError
from client.tasks.transcript import Said, to_text

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from client.endpoints.retry import Notify
    from client.errors import UnavailableError
    from client.media.content import SoundPiece
    from client.tasks.plan import Request

_NAMES = {"arabic": "ar", "chinese": "zh", "norwegian": "no", "persian": "fa", "malay": "ms", "azerbaijani": "az"}
"""Of languages that NLLB-200 has in several forms, as OpenAI names them."""


class Transcribed(NamedTuple):
    """What was heard in a piece of sound."""

    said: list[Said]
    language: str | None
    """Its FLORES code; None where it is not told, or NLLB-200 does not know it."""
    log_probability: float | None
    """Mean of the tokens'; None where it is not told, as the next two."""
    silence: float | None
    """How sure the model was that nobody speaks, 0 to 1."""
    compression: float | None
    """How much shorter the text is when packed."""
    tokens: int
    request_s: float

    @property
    def text(self) -> str:
        """What the ledger keeps."""
        return to_text(self.said, self.language)


class SpeechClient:
    """A model that transcribes, at an OpenAI endpoint."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        deadline_s: float,
        wait_s: float,
        notify: Notify,
        stop: asyncio.Event,
        leaves: Callable[[UnavailableError], bool] | None = None,
    ) -> None:
        """`deadline_s` of an attempt and `wait_s` for a server that is away, in seconds; `leaves`: of `RetryPolicy`."""
        self._server = JsonServer(
            base_url, deadline_s=deadline_s, api_key=api_key, key_variable=f"{API_KEY}, or else {OPENAI_KEY},"
        )
        self._retry = RetryPolicy(
            f"speech model at {self._server.url}", wait_s=wait_s, notify=notify, stop=stop, leaves=leaves
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def transcribe(self, request: Request, piece: SoundPiece, label: str, temperature: float) -> Transcribed:
        """What is said in a piece of sound, with the times of its file; `label` names it in the log.

        Raises:
            RequestError: there was no answer, or the server refused the request.
            ServiceLostError: the server is gone.
            StoppedError: the run was stopped.
        """

        async def attempt() -> Transcribed:
            form = aiohttp.FormData()
            form.add_field("file", piece.wav, filename="sound.wav", content_type="audio/wav")
            form.add_field("model", request.model)
            form.add_field("response_format", "verbose_json")
            form.add_field("temperature", f"{temperature:g}")
            for name in ("segment", "word") if request.over.words else ("segment",):
                form.add_field("timestamp_granularities[]", name)
            began = time.perf_counter()
            said = await self._server.post("/audio/transcriptions", form)
            return _read(said, piece, time.perf_counter() - began)

        return await self._retry.call(attempt, f"{label} {request.label} {piece.span}")


def _read(said: Any, piece: SoundPiece, took_s: float) -> Transcribed:
    """A `verbose_json`, its times made those of the file, within those of the piece.

    Raises:
        FailedError: it is something else.
    """
    begin_s, length_s = piece.span.start_us / 1e6, (piece.span.end_us - piece.span.start_us) / 1e6
    try:
        text = str(said["text"]).strip()
        parts = [part for part in said.get("segments") or () if str(part["text"]).strip()]
        if text and not parts:  # an endpoint that gives no segments: all of it in one
            parts = [{"start": 0.0, "end": length_s, "text": text}]
        words = [(float(each["start"]), float(each["end"]), str(each["word"])) for each in said.get("words") or ()]
        segments: list[Said] = []
        for number, part in enumerate(parts):
            start = min(max(float(part["start"]), 0.0), length_s)
            end = min(max(float(part["end"]), start), length_s)
            until = float(parts[number + 1]["start"]) if number + 1 < len(parts) else float("inf")
            since = float(part["start"]) if number else float("-inf")
            own = tuple((begin_s + at, begin_s + to, word) for at, to, word in words if since <= at < until)
            segments.append(Said(begin_s + start, begin_s + end, str(part["text"]).strip(), own))
        means = (_mean(parts, "avg_logprob"), _mean(parts, "no_speech_prob"), _mean(parts, "compression_ratio"))
        tokens = sum(len(part.get("tokens") or ()) for part in parts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FailedError("the answer is no transcript") from error
    return Transcribed(segments, code_of(str(said.get("language") or "")), *means, tokens, took_s)


def _mean(parts: list[dict[str, Any]], name: str) -> float | None:
    found = [float(part[name]) for part in parts if part.get(name) is not None]
    return sum(found) / len(found) if found else None


def code_of(language: str) -> str | None:
    """The FLORES code of a language as endpoints name it, `en` or `english`; None if NLLB-200 does not know it."""
    code = language_code(_NAMES.get(language.lower(), language))
    if code in known_codes():
        return code
    return next((known for known in known_codes() if shown_name(known).lower() == language.lower()), None)
