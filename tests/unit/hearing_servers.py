"""Servers of which one hears: it says of a sound the pitch of its tone, from its first to its last sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiohttp import web
from fake_servers import FakeServers, listing
from sound_files import RATE

MODELS = ("llama-3.2-11b-vision", "llava-next-video-7b", "whisper-large-v3-turbo")
_WAV_HEADER = 58
_MARGIN_S = 0.2
"""The client keeps so much silence around what it sends."""


def said_of(sound: bytes, language: str = "en", text: str = "tone {}") -> dict[str, Any]:
    """A `verbose_json` of one segment."""
    samples = np.frombuffer(sound[_WAV_HEADER:], "<f4")
    pitch = round(float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples)) / 10) * 10
    length_s = len(samples) / RATE
    words = " " + text.format(pitch)
    segment = {"id": 0, "start": _MARGIN_S, "end": length_s - _MARGIN_S, "text": words, "avg_logprob": -0.2}
    return {"text": words, "language": language, "duration": length_s, "segments": [segment]}


async def _models(*_: Any) -> web.Response:
    return listing("vllm", *MODELS)


async def _hear(_: Any, sound: bytes, __: int) -> web.Response:
    return web.json_response(said_of(sound))


def hearing_servers() -> FakeServers:
    """Servers that see, translate and hear."""
    servers = FakeServers()
    servers.on_models, servers.on_hear = _models, _hear
    return servers
