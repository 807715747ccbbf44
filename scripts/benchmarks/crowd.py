"""Many clients at once: what statuses they get, and how long they wait.

    python -m scripts.benchmarks.crowd                                  64 clients for 60 s, at a demo stack of its own
    python -m scripts.benchmarks.crowd --clients 256 --seconds 300
    python -m scripts.benchmarks.crowd --base-url http://127.0.0.1:8000/v1

Each client asks one thing after the other, of all kinds in turn: text, pictures, videos, streams, JSON, completions,
responses, translations. The exit code is 1 if there was a status other than 200 and 429.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import itertools
import sys
import time
from collections import Counter, defaultdict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from scripts.benchmarks.common.cli import positive, run
from scripts.demo.stack import StackError, running_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PICTURES, VIDEOS = "llama-3.2-11b-vision", "llava-next-video-7b"
PORTS = ("--port", "0", "--translator-port", "0")
FINE = frozenset({200, 429})
PAUSE_S = 0.5
"""Before another try after a 429: the gateway's `Retry-After` is for those who ask once in a while."""
SHORT = {"max_tokens": 32}
BROKEN = 0
"""Stands for a connection that broke off."""
Requests = dict[str, tuple[str, dict[str, Any]]]
"""Name of a kind -> path and body."""
Times = dict[tuple[str, int], list[float]]
"""(kind, status) -> seconds of each answer."""


def requests() -> Requests:
    """One request of each kind."""
    data = io.BytesIO()
    Image.effect_noise((320, 240), 60).convert("RGB").save(data, "JPEG")
    jpeg = base64.b64encode(data.getvalue()).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg}"}}
    video = {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + ",".join([jpeg] * 8)}}

    def chat(model: str, *parts: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
        content = [*parts, {"type": "text", "text": "Describe it."}]
        return "chat/completions", {"model": model, "messages": [{"role": "user", "content": content}], **SHORT, **more}

    return {
        "text": chat(VIDEOS),
        "picture": chat(PICTURES, picture),
        "video": chat(VIDEOS, video),
        "stream": chat(PICTURES, picture, stream=True),
        "JSON": chat(PICTURES, response_format={"type": "json_object"}),
        "completion": ("completions", {"model": VIDEOS, "prompt": "Red", **SHORT}),
        "response": ("responses", {"model": PICTURES, "input": "Describe red.", "max_output_tokens": 32}),
        "translation": ("translations", {"texts": ["It opens with red everywhere."], "targets": ["spa_Latn"]}),
    }


async def crowd(base_url: str, clients: int, span_s: float, asked: Requests) -> Times:
    """Let the clients ask for so long; what they got."""
    times: Times = defaultdict(list)
    timeout = aiohttp.ClientTimeout(None)
    end = time.monotonic() + span_s

    async def client(http: aiohttp.ClientSession, number: int) -> None:
        kinds = itertools.islice(itertools.cycle(asked), number % len(asked), None)
        for kind in kinds:
            if time.monotonic() > end:
                return
            path, body = asked[kind]
            begin = time.monotonic()
            try:
                async with http.post(f"{base_url}/{path}", json=body) as answer:
                    status, said = answer.status, await answer.read()
            except aiohttp.ClientError:
                status, said = BROKEN, b""
            if b'data: {"error"' in said:
                status = BROKEN
            times[kind, status].append(time.monotonic() - begin)
            if status != 200:
                await asyncio.sleep(PAUSE_S)

    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(client(http, number) for number in range(clients)))
    return times


def show(times: Mapping[tuple[str, int], Sequence[float]]) -> None:
    """Print a line for each kind."""
    table = Table("kind", "answers", "statuses", "p50 s", "p99 s", title="what the clients got")
    for kind in dict.fromkeys(kind for kind, _ in times):
        statuses = Counter({status: len(some) for (name, status), some in times.items() if name == kind})
        served = times.get((kind, 200)) or [float("nan")]
        told = ", ".join(f"{count} x {status or 'broken off'}" for status, count in statuses.most_common())
        p50, p99 = np.percentile(served, [50, 99])
        table.add_row(kind, str(statuses.total()), told, f"{p50:.2f}", f"{p99:.2f}")
    Console().print(table)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--clients", type=positive, default=64, metavar="N")
    parser.add_argument("--seconds", dest="span_s", type=positive, default=60, metavar="S")
    parser.add_argument("--base-url", metavar="URL", help="a stack that runs; without it the demo stack is started")
    args = parser.parse_args()
    try:
        with nullcontext() if args.base_url else running_stack(*PORTS) as stack:
            base_url = args.base_url.rstrip("/") if stack is None else stack.endpoint
            times = asyncio.run(crowd(base_url, args.clients, args.span_s, requests()))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    show(times)
    return int(not {status for _, status in times} <= FINE)


if __name__ == "__main__":
    run(main)
