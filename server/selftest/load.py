"""Requests for a served model: text, pictures, videos; each one different from all before it."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
from PIL import Image

from server.key_variables import CLIENT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAMES = 8
TIMEOUT_S = 600.0
QUALITY = 90


@dataclass(frozen=True)
class Loaded:
    """What came of some requests.

    Attributes:
        answers: That were whole.
        tokens: Written, in all of them.
        wall_s: From the first request to the last answer.
        problems: What went wrong with the others.
    """

    answers: int
    tokens: int
    wall_s: float
    problems: list[str]


@dataclass
class Requests:
    """Makes the contents of messages.

    Attributes:
        width: Of pictures and frames, in pixels; they are square.
    """

    width: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def text(self) -> list[dict[str, Any]]:
        """A question; the number stands first, so that no prompt begins like another one."""
        return [_words(f"{next(self._numbers)}: what is a picture?")]

    def picture(self) -> list[dict[str, Any]]:
        """A picture and a question."""
        url = f"data:image/jpeg;base64,{self._jpeg()}"
        return [{"type": "image_url", "image_url": {"url": url}}, _words("what is this?")]

    def video(self) -> list[dict[str, Any]]:
        """Frames and a question."""
        url = f"data:video/jpeg;base64,{','.join(self._jpeg() for _ in range(FRAMES))}"
        return [{"type": "video_url", "video_url": {"url": url}}, _words("what happens?")]

    def _jpeg(self) -> str:
        """Random colours, blurred: about as many bytes as a photograph that is out of focus."""
        random = np.random.default_rng(next(self._numbers))
        colours = Image.fromarray(random.integers(0, 255, (18, 18, 3), dtype=np.uint8))
        written = io.BytesIO()
        colours.resize((self.width, self.width), Image.Resampling.BICUBIC).save(written, "JPEG", quality=QUALITY)
        return base64.b64encode(written.getvalue()).decode()


async def ask_many(
    endpoint: str, model: str, content: Callable[[], list[dict[str, Any]]], *, count: int, at_once: int, tokens: int
) -> Loaded:
    """Ask, so many at a time, for answers of exactly so many tokens.

    Args:
        endpoint: Base URL with /v1; BABELVIEW_API_KEY has the key, if it wants one.
        model: As it is served.
        content: Makes the content of a message.
        count: Requests.
        at_once: Of them.
        tokens: Of each answer.
    """
    contents = [content() for _ in range(count)]  # before the clock runs
    key = os.environ.get(CLIENT_KEY)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    room = asyncio.Semaphore(at_once)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:

        async def ask(content: list[dict[str, Any]]) -> int | str:
            """The tokens of the answer, or what went wrong."""
            body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": tokens}
            body |= {"temperature": 0, "ignore_eos": True}
            try:
                async with room, session.post(f"{endpoint}/chat/completions", json=body) as response:
                    if response.status != 200:
                        return f"{response.status}: {(await response.text())[:200]}"
                    written = int((await response.json())["usage"]["completion_tokens"])
            except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
                return f"{type(error).__name__}: {error}"
            return written if written == tokens else f"an answer has {written} tokens instead of {tokens}"

        began = time.perf_counter()
        answers = await asyncio.gather(*map(ask, contents))
        wall_s = time.perf_counter() - began
    whole = [answer for answer in answers if isinstance(answer, int)]
    return Loaded(len(whole), sum(whole), wall_s, [answer for answer in answers if isinstance(answer, str)])


def _words(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}
