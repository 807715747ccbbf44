"""The two ways in which most people ask a model about many pictures: what `benchmarks.client` compares with.

python -m scripts.benchmarks.baselines.naive_client {loop,gather} URL FOLDER FILES CONCURRENCY
"""

from __future__ import annotations

import asyncio
import base64
import signal
import sys
from pathlib import Path
from typing import Any

MODEL, PROMPT = "llama-3.2-11b-vision", "Describe this advertisement in two or three paragraphs."


def request(path: Path) -> dict[str, Any]:
    """A question about a file as it is."""
    url = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 400, "temperature": 0}


def loop(url: str, paths: list[Path]) -> None:
    """Send one request after the other, with the synchronous SDK."""
    from openai import OpenAI  # noqa: PLC0415

    client = OpenAI(base_url=url, api_key="none")
    for path in paths:
        assert client.chat.completions.create(**request(path)).choices[0].message.content


async def gather(url: str, paths: list[Path], concurrency: int) -> None:
    """All at once, held back by a semaphore."""
    from openai import AsyncOpenAI  # noqa: PLC0415

    semaphore = asyncio.Semaphore(concurrency)
    async with AsyncOpenAI(base_url=url, api_key="none") as client:

        async def ask(path: Path) -> None:
            async with semaphore:
                answer = await client.chat.completions.create(**request(path))
                assert answer.choices[0].message.content

        await asyncio.gather(*map(ask, paths))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what measures it says that it was interrupted
    way, url, folder, files, concurrency = sys.argv[1:]
    chosen = sorted(Path(folder).iterdir())[: int(files)]
    if way == "loop":
        loop(url, chosen)
    else:
        asyncio.run(gather(url, chosen, int(concurrency)))
