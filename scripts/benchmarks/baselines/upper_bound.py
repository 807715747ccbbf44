"""The speed of light of a running stack: the requests of a run, made ready beforehand, and nothing else to do.

The media, questions and translations are those of a finished run of `client.batch`, changed where a cache would
know them: in the middle of each picture and frame a small square has another colour, and two neighbouring words of
each sentence have changed places.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import numpy as np
import orjson
import pybase64
import simplejpeg

from client.endpoints.translation import SOURCE
from client.media.jpeg import QUALITY
from client.media.kinds import Kind
from client.media.load import identify, load_spans
from client.media.sampling import Sampling
from client.pipeline import TRANSLATIONS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from client.tasks.plan import Plan, Request

SQUARE = 16
"""Pixels: a block of JPEG's chroma, so that it survives."""


@dataclass(frozen=True)
class Answers:
    """What came back, and how long all of it took, in seconds."""

    total_s: float
    generated_tokens: int
    chat_s: float
    """Until the last answer of the model."""


@dataclass(frozen=True)
class Requests:
    """The bodies of all requests of a run, ready to be sent."""

    chats: Sequence[bytes]
    translations: Sequence[bytes]


def make_requests(paths: Sequence[Path], texts: Sequence[str], plan: Plan, seed: int) -> Requests:
    """The requests of a run over `paths` whose answers were `texts`.

    Raises:
        MediaError: a file cannot be read.
    """
    rng = np.random.default_rng(seed)
    chats = [body for path in paths for body in _chats(path, plan, rng)]
    shuffle = random.Random(seed)
    bodies = [
        orjson.dumps({"texts": [reworded(text, shuffle)], "source": SOURCE, "targets": list(plan.languages)})
        for text in texts
    ]
    return Requests(chats, bodies if plan.languages else [])


def _chats(path: Path, plan: Plan, rng: np.random.Generator) -> Iterable[bytes]:
    identity = identify(path)
    (content,) = load_spans(path, identity, Sampling(), [None])
    frames = b",".join(pybase64.b64encode(marked(jpeg, rng)) for jpeg in content.jpegs)
    part = b"video" if identity.kind is Kind.VIDEO else b"image"
    media = orjson.Fragment(b'{"type":"%b_url","%b_url":{"url":"data:%b/jpeg;base64,%b"}}' % (part, part, part, frames))
    for request in plan.requests[identity.kind]:
        yield _chat(request, media)


def _chat(request: Request, media: orjson.Fragment) -> bytes:
    return orjson.dumps(
        {
            "model": request.model,
            "messages": [{"role": "user", "content": [media, {"type": "text", "text": request.prompt}]}],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        }
    )


def marked(jpeg: bytes, rng: np.random.Generator) -> bytes:
    """The same picture with a square of some colour in its middle."""
    pixels = simplejpeg.decode_jpeg(jpeg)
    top, left = (pixels.shape[0] - SQUARE) // 2, (pixels.shape[1] - SQUARE) // 2
    pixels[max(0, top) : top + SQUARE, max(0, left) : left + SQUARE] = rng.integers(0, 256, 3, dtype=np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="420")
    return encoded


def reworded(text: str, rng: random.Random) -> str:
    """The same text with two neighbouring words changed in each sentence, so of as many tokens."""
    return "".join(_swapped(part, rng) for part in re.split(r"(?<=[.!?])(?=\s)", text))


def _swapped(sentence: str, rng: random.Random) -> str:
    head, end = sentence.rstrip(".!?"), sentence[len(sentence.rstrip(".!?")) :]
    words = head.split(" ")
    places = [at for at in range(len(words) - 1) if words[at] and words[at] != words[at + 1]]
    if places:
        at = rng.choice(places)
        words[at : at + 2] = words[at + 1], words[at]
    return " ".join(words) + end


def fire(
    endpoint: str,
    translator: str | None,
    requests: Requests,
    concurrency: int,
    keys: tuple[str | None, str | None] = (None, None),
) -> Answers:
    """Send everything, as many requests at a time as the client does; `keys` are the endpoint's and the translator's.

    Raises:
        aiohttp.ClientResponseError: a request was refused.
    """
    headers = [{"Authorization": f"Bearer {key}"} if key else {} for key in keys]
    return asyncio.run(_fire(endpoint, translator, requests, concurrency, headers))


async def _fire(
    endpoint: str,
    translator: str | None,
    requests: Requests,
    concurrency: int,
    keys: Sequence[dict[str, str]],
) -> Answers:
    tokens = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"Content-Type": "application/json"},
        raise_for_status=True,
    ) as session:

        async def send(url: str, key: dict[str, str], bodies: list[bytes]) -> None:
            nonlocal tokens
            while bodies:
                async with session.post(url, data=bodies.pop(), headers=key) as response:
                    answer = orjson.loads(await response.read())
                tokens += answer.get("usage", {}).get("completion_tokens", 0)

        async def send_all(url: str, key: dict[str, str], bodies: Sequence[bytes], at_once: int) -> float:
            waiting = list(reversed(bodies))
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(send(url, key, waiting))
            return time.perf_counter()

        began = time.perf_counter()
        sent = [send_all(f"{endpoint}/chat/completions", keys[0], requests.chats, concurrency)]
        if translator:
            url = f"{translator}/v1/translations"
            sent.append(send_all(url, keys[1], requests.translations, TRANSLATIONS_AT_ONCE))
        ends = await asyncio.gather(*sent)
    return Answers(max(ends) - began, tokens, ends[0] - began)
