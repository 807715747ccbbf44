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
STREAMS = 16
TOKENS = 200
"""A second or more of work for the demo model, and well within the time that the gateway gives it."""
DEADLINE_S = 60


def question() -> list[Any]:
    data = BytesIO()
    Image.new("RGB", (96, 64), "red").save(data, "JPEG")
    url = "data:video/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
    video = {"type": "video_url", "video_url": {"url": url}}
    return [{"role": "user", "content": [video, {"type": "text", "text": "Describe this video."}]}]


async def stream(client: openai.AsyncOpenAI, begun: asyncio.Semaphore) -> str | None:
    """Ask for a long answer; returns why it ended."""
    chunks = await client.chat.completions.create(
        model=MODEL,
        messages=question(),
        max_tokens=TOKENS,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    reason = None
    async for chunk in chunks:
        begun.release()
        if chunk.choices:
            reason = chunk.choices[0].finish_reason
    return reason


async def refused(client: openai.AsyncOpenAI) -> bool:
    """Whether a new request is refused in a way that says: try again, or elsewhere."""
    try:
        await client.chat.completions.create(model=MODEL, messages=question(), max_tokens=1)
    except openai.APIConnectionError:
        return True
    except openai.InternalServerError as error:
        return (error.status_code, error.code) == (503, "shutting_down")
    return False


async def test_what_is_in_flight_ends_and_nothing_stays(stack: Stack) -> None:
    supervisor = psutil.Process(stack.pid)
    family = supervisor.children(recursive=True)
    assert len(family) >= 6  # the reaper, the gateway, the translator, two API servers, their engines
    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as client:
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(stream(client, begun)) for _ in range(STREAMS)]
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(2 * STREAMS):
                await begun.acquire()
        supervisor.terminate()
        async with asyncio.timeout(DEADLINE_S):
            while not await refused(client):
                pass
            assert not all(task.done() for task in streams), "they had ended before anything was stopped"
            assert await asyncio.gather(*streams) == ["length"] * STREAMS
    assert await asyncio.to_thread(supervisor.wait, DEADLINE_S) == 0
    _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
    assert not alive
