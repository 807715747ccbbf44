"""The scripted endpoint of `scripts/benchmarks/fakes`, whose usual answer says what is on the pictures it was sent."""

from __future__ import annotations

import base64
from typing import Any

from media_files import number_of

from scripts.benchmarks.fakes import scripted
from scripts.benchmarks.fakes.scripted import Behaviour, completion, error, free_port, listing, stream

__all__ = [
    "Behaviour",
    "FakeServers",
    "answer_to",
    "completion",
    "error",
    "free_port",
    "listing",
    "stream",
    "what_is_seen",
]


def what_is_seen(body: dict[str, Any]) -> str:
    """The numbers of the frames or pictures of a request."""
    *media, _ = body["messages"][0]["content"]
    urls = [part[part["type"]]["url"] for part in media]
    jpegs = [base64.b64decode(frame) for url in urls for frame in url.split("base64,")[1].split(",")]
    return " ".join(str(number_of(jpeg)) for jpeg in jpegs)


def answer_to(body: dict[str, Any]) -> str:
    """Tags, the question itself, or what is seen."""
    prompt = body["messages"][0]["content"][-1]["text"]
    if "JSON array" in prompt:
        return '```json\n["red car", "blue sky", "red car"]\n```'
    if prompt.startswith("Answer this question"):
        return "You asked: " + prompt.split(": ", 1)[1]
    return "I see " + what_is_seen(body)


class FakeServers(scripted.FakeServers):
    """It says what it sees."""

    def __init__(self, port: int | None = None) -> None:
        super().__init__(answer_to, port)
