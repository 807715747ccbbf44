"""The batch client beside the two ways that most people write: requests/s and CPU of small files.

The same files and the same local endpoint (`scripts/benchmarks/fakes/endpoint.py`, in a process of its own) for

- `python -m client.batch`, which also decodes, recodes and keeps a ledger,
- a loop of `client.chat.completions.create` over the files as they are (`baselines/naive_client.py`),
- `asyncio.gather` of `AsyncOpenAI` with a semaphore, over the files as they are,

each as a fresh process, start-up included, in turn; without latency and with 200 ms. The ideal of N requests at
once and a latency is N / latency; a run of one file tells what of a run is its start and its end. Then what a request
costs that is as large as eight frames are, without the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from openai import AsyncOpenAI, DefaultAioHttpClient
from PIL import Image

from client.endpoints.chat import ModelClient
from client.media.content import Content, Facts, Frame
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks.plan import make_plan
from client.tasks.tasks import choose_tasks
from scripts.benchmarks.baselines.naive_client import MODEL, PROMPT
from scripts.benchmarks.common.cli import new_file, positive, run, start
from scripts.benchmarks.common.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
OURS, LOOP, GATHER = "ours", "loop", "gather"
LATENCIES_MS = (0, 200)
BODY_BYTES, BODIES = 300_000, 600
FILES = {OURS: (2000, 1000), LOOP: (400, 30), GATHER: (2000, 1000)}
"""How many files each way gets, without and with latency: a loop would take minutes for more."""


def draw(folder: Path, count: int) -> None:
    """Small pictures, each one different."""
    random = np.random.default_rng(0)
    for number in range(count):
        tiles = random.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(np.kron(tiles, np.ones((8, 8, 1), np.uint8))).save(folder / f"{number:04}.jpg", quality=90)


@contextmanager
def endpoint(latency_ms: float) -> Iterator[str]:
    """A fake endpoint in a process of its own; its base URL."""
    script = [sys.executable, "-m", "scripts.benchmarks.fakes.endpoint", "--latency-ms", str(latency_ms)]
    with start(script, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


def measure(way: str, url: str, folder: Path, count: int, concurrency: int) -> tuple[float, float]:
    """Wall and CPU seconds of a fresh process, with the processes that it starts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    with tempfile.TemporaryDirectory(prefix="bench-") as output:
        if way == OURS:
            chosen = Path(output) / "files"
            chosen.mkdir()
            for path in sorted(folder.iterdir())[:count]:
                (chosen / path.name).symlink_to(path)
            command = ["-m", "client.batch", str(chosen), "--output", output, "--languages", "", "--quiet"]
            command += ["--base-url", url, "--concurrency", str(concurrency)]
        else:
            command = [
                "-m",
                "scripts.benchmarks.baselines.naive_client",
                way,
                url,
                str(folder),
                str(count),
                str(concurrency),
            ]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def ask_all(url: str, concurrency: int, sdk: type[DefaultAioHttpClient] | None, ours: bool) -> float:
    """CPU seconds of this process for a request of `BODY_BYTES`, of many at once, once connections are open."""
    image = os.urandom(BODY_BYTES * 3 // 4)
    model = ModelClient(url, None, deadline_s=60, wait_s=60, notify=print, stop=asyncio.Event())
    await model.check(set())
    parts = model.parts(Content(Kind.IMAGE, Facts(1, 1), [Frame(0, image)]))
    question = make_plan(choose_tasks(["describe"], []), dict.fromkeys(Kind, MODEL), 0, Sampling(), ())
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(image).decode()}},
        {"type": "text", "text": PROMPT},
    ]
    messages: list[Any] = [{"role": "user", "content": content}]
    http_client = sdk() if sdk else None
    async with AsyncOpenAI(base_url=url, api_key="none", http_client=http_client) as client:

        async def ask(_: int) -> None:
            async with semaphore:
                if ours:
                    await model.ask(question.requests[Kind.IMAGE][0], parts, "a file")
                else:
                    await client.chat.completions.create(model=MODEL, messages=messages, max_tokens=400, temperature=0)

        semaphore = asyncio.Semaphore(concurrency)
        await asyncio.gather(*map(ask, range(concurrency)))
        began = time.process_time()
        await asyncio.gather(*map(ask, range(BODIES)))
        spent = time.process_time() - began
    await model.close()
    return spent / BODIES


def compare_bodies(report: Report, runs: int, concurrency: int) -> None:
    """What it costs to send a request as large as eight frames are."""
    ways: dict[str, tuple[type[DefaultAioHttpClient] | None, bool]] = {
        OURS: (None, True),
        "AsyncOpenAI": (None, False),
        "AsyncOpenAI on aiohttp": (DefaultAioHttpClient, False),
    }
    costs: dict[str, list[float]] = defaultdict(list)
    with endpoint(0) as url:
        for _ in range(runs):
            for way, (sdk, ours) in ways.items():
                costs[way].append(1000 * asyncio.run(ask_all(url, concurrency, sdk, ours)))
    for way in list(ways)[1:]:
        report.add(f"a body of {BODY_BYTES // 1000} kB, beside {way}", "CPU ms a request", costs[OURS], costs[way])


def compare(runs: int, concurrency: int) -> Report:
    """Measure all ways in turn, `runs` times."""
    report = Report(f"Small pictures, {concurrency} requests at once", "aiohttp", "openai", "orjson")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        draw(folder, max(max(counts) for counts in FILES.values()))
        for index, latency in enumerate(LATENCIES_MS):
            rates: dict[str, list[float]] = defaultdict(list)
            costs: dict[str, list[float]] = defaultdict(list)
            running: dict[str, list[float]] = defaultdict(list)
            with endpoint(latency) as url:
                for _ in range(runs):
                    for way, counts in FILES.items():
                        count = counts[index]
                        wall, cpu = measure(way, url, folder, count, concurrency)
                        start_s, _ = measure(way, url, folder, 1, concurrency)
                        rates[way].append(count / wall)
                        running[way].append((count - 1) / (wall - start_s))
                        costs[way].append(1000 * cpu / count)
            for way, what in ((LOOP, "a loop"), (GATHER, "gather and AsyncOpenAI")):
                place = f"{latency} ms, beside {what}"
                report.add(place, "requests/s", rates[OURS], rates[way], more_is_better=True)
                report.add(place, "CPU ms a request", costs[OURS], costs[way])
            if latency:
                ideal = concurrency / (latency / 1000)
                for what, found in (("", rates), (", without start and end", running)):
                    shares = {way: [100 * rate / ideal for rate in found[way]] for way in found}
                    place = f"{latency} ms, share of the ideal{what}"
                    report.add(place, "%", shares[OURS], shares[GATHER], more_is_better=True)
    compare_bodies(report, runs, concurrency)
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=positive, default=3, help="of each way, to take the median of (default: 3)")
    parser.add_argument("--concurrency", type=positive, default=32, help="(default: 32)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    compare(args.runs, args.concurrency).show(args.json)


if __name__ == "__main__":
    run(main)
