"""SIGTERM under load: streams in flight end whole, new requests are refused, no process stays.

The last test that uses the session's stack (see `tests/workers.py`), for afterwards there is none.
"""

from __future__ import annotations

import asyncio
import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import openai
import psutil
from PIL import Image

if TYPE_CHECKING:
    from scripts.demo.stack import Stack

MODEL = "llava-next-video-7b"
CLIENTS = 16
TOKENS, MORE_TOKENS = 60, 12
"""Of the first client's answers, and how many more of each other one's: they do not end together."""
DEADLINE_S = 120


class Load:
    """Clients that ask again and again until they are refused."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client
        self.begun = asyncio.Semaphore(0)
        """Is released for each piece of an answer."""
        self.ends: list[str | None] = []
        """Why each answer ended."""
        self.in_flight = 0
        self.cut: int | None = None
        """Answers that had begun when the first request was refused."""

    async def ask(self, tokens: int) -> None:
        """Stream answers of so many tokens, one after the other."""
        while True:
            try:
                chunks = await self._client.chat.completions.create(
                    model=MODEL,
                    messages=question(),
                    max_tokens=tokens,
                    stream=True,
                    extra_body={"ignore_eos": True},
                )
            except (openai.APIConnectionError, openai.InternalServerError) as error:
                if not says_where_else(error):
                    raise
                self.cut = self.in_flight if self.cut is None else self.cut
                return
            self.in_flight += 1
            reason = None
            async for chunk in chunks:
                self.begun.release()
                if chunk.choices:
                    reason = chunk.choices[0].finish_reason
            self.in_flight -= 1
            self.ends.append(reason)


def question() -> list[Any]:
    data = BytesIO()
    Image.new("RGB", (96, 64), "red").save(data, "JPEG")
    url = "data:video/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
    video = {"type": "video_url", "video_url": {"url": url}}
    return [{"role": "user", "content": [video, {"type": "text", "text": "Describe this video."}]}]


def says_where_else(error: openai.APIError) -> bool:
    """Whether a refusal says: try again, or elsewhere."""
    if isinstance(error, openai.InternalServerError):
        return (error.status_code, error.code) == (503, "shutting_down")
    return isinstance(error, openai.APIConnectionError)


async def test_what_is_in_flight_ends_and_nothing_stays(stack: Stack) -> None:
    supervisor = psutil.Process(stack.pid)
    family = supervisor.children(recursive=True)
    assert len(family) >= 6  # the reaper, the gateway, the translator, two API servers, their engines
    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as client:
        load = Load(client)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(load.ask(TOKENS + MORE_TOKENS * number))
            for _ in range(4 * CLIENTS):
                await load.begun.acquire()
            supervisor.terminate()
    assert load.cut
    assert load.ends == ["length"] * len(load.ends)
    assert await asyncio.to_thread(supervisor.wait, DEADLINE_S) == 0
    _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
    assert not alive
