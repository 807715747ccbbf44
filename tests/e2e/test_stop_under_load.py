"""SIGTERM under load: streams in flight end whole, new requests are refused, no process stays."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import openai
import psutil
import pytest
from PIL import Image

from scripts.demo.stack import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "llava-next-video-7b"
STREAMS = 8
TOKENS = 200
"""A second or more of work for the demo model, and well within the time that the gateway gives it."""
PATIENCE = 60


def question() -> list[Any]:
    data = BytesIO()
    Image.new("RGB", (96, 64), "red").save(data, "JPEG")
    url = "data:video/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
    video = {"type": "video_url", "video_url": {"url": url}}
    return [{"role": "user", "content": [video, {"type": "text", "text": "Describe this video."}]}]


@pytest.fixture
def ready(tmp_path: Path) -> Any:
    """A stack of its own, for it ends; and what it says of itself."""
    file = tmp_path / "ready.json"
    command = [sys.executable, "-m", "server", "up", "--profile", "demo", "--ready-file", str(file)]
    options = ["--port", "0", "--translator-port", "0", "--log-dir", str(tmp_path / "logs")]
    with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            while not file.exists():
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
            yield process, json.loads(file.read_text())
        finally:
            if process.poll() is None:
                process.kill()


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
        return error.status_code == 503
    return False


async def test_what_is_in_flight_ends_and_nothing_stays(ready: Any) -> None:
    process, said = ready
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 6  # the lifeline, the gateway, the translator, two API servers, their engines
    async with openai.AsyncOpenAI(base_url=said["endpoint"], api_key="none", max_retries=0) as client:
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(stream(client, begun)) for _ in range(STREAMS)]
        async with asyncio.timeout(PATIENCE):
            for _ in range(2 * STREAMS):
                await begun.acquire()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while not await refused(client):
                pass
            assert not all(task.done() for task in streams), "they had ended before anything was stopped"
            assert await asyncio.gather(*streams) == ["length"] * STREAMS
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert not alive
