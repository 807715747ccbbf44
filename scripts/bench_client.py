"""The batch client beside the two ways that most people write: requests/s and CPU of small files.

The same files and the same local endpoint (`scripts/instant_endpoint.py`, in a process of its own) for

- `python -m client.batch`, which also decodes, recodes and keeps a ledger,
- a loop of `client.chat.completions.create` over the files as they are,
- `asyncio.gather` of `AsyncOpenAI` with a semaphore, over the files as they are,

each as a fresh process, start-up included, in turn; without latency and with 200 ms. The ideal of N requests at
once and a latency is N / latency.
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
from typing import TYPE_CHECKING

import numpy as np
from bench_report import Report
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
MODEL, PROMPT = "llama-3.2-11b-vision", "Describe this advertisement in two or three paragraphs."
OURS, LOOP, GATHER = "ours", "loop", "gather"
LATENCIES_MS = (0, 200)
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
    """The endpoint's URL while it runs."""
    script = [sys.executable, str(ROOT / "scripts" / "instant_endpoint.py"), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


def request(path: Path) -> dict[str, object]:
    """What most people write."""
    url = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 400, "temperature": 0}


def loop(url: str, paths: list[Path]) -> None:
    """One after the other."""
    from openai import OpenAI  # noqa: PLC0415

    client = OpenAI(base_url=url, api_key="none")
    for path in paths:
        assert client.chat.completions.create(**request(path)).choices[0].message.content  # type: ignore[call-overload]


def gather(url: str, paths: list[Path], concurrency: int) -> None:
    """All at once, held back by a semaphore."""
    from openai import AsyncOpenAI  # noqa: PLC0415

    async def main() -> None:
        semaphore = asyncio.Semaphore(concurrency)
        async with AsyncOpenAI(base_url=url, api_key="none") as client:

            async def ask(path: Path) -> None:
                async with semaphore:
                    answer = await client.chat.completions.create(**request(path))  # type: ignore[call-overload]
                    assert answer.choices[0].message.content

            await asyncio.gather(*map(ask, paths))

    asyncio.run(main())


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
            command = [__file__, "--way", way, "--url", url, "--folder", str(folder), "--files", str(count)]
            command += ["--concurrency", str(concurrency)]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(runs: int, concurrency: int) -> Report:
    """Measure all ways in turn, `runs` times."""
    report = Report(f"Small pictures, {concurrency} requests at once", "aiohttp", "openai", "orjson")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        draw(folder, max(max(counts) for counts in FILES.values()))
        for index, latency in enumerate(LATENCIES_MS):
            rates: dict[str, list[float]] = defaultdict(list)
            costs: dict[str, list[float]] = defaultdict(list)
            with endpoint(latency) as url:
                for _ in range(runs):
                    for way, counts in FILES.items():
                        count = counts[index]
                        wall, cpu = measure(way, url, folder, count, concurrency)
                        rates[way].append(count / wall)
                        costs[way].append(1000 * cpu / count)
            for way, what in ((LOOP, "a loop"), (GATHER, "gather and AsyncOpenAI")):
                place = f"{latency} ms, beside {what}"
                report.add(place, "requests/s", rates[OURS], rates[way], more_is_better=True)
                report.add(place, "CPU ms a request", costs[OURS], costs[way])
            if latency:
                ideal = concurrency / (latency / 1000)
                shares = {way: [100 * rate / ideal for rate in rates[way]] for way in rates}
                report.add(f"{latency} ms, share of the ideal", "%", shares[OURS], shares[GATHER], more_is_better=True)
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each way, to take the median of (default: 3)")
    parser.add_argument("--concurrency", type=int, default=32, help="(default: 32)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    for hidden in ("--way", "--url", "--folder", "--files"):  # how this script starts the other ways
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        paths = sorted(Path(args.folder).iterdir())[: int(args.files)]
        if args.way == LOOP:
            loop(args.url, paths)
        else:
            gather(args.url, paths, args.concurrency)
        return
    compare(args.runs, args.concurrency).show(args.json)


if __name__ == "__main__":
    main()
