"""What the gateway costs: an endpoint that answers at once, asked directly and through the gateway, in turns.

    python -m scripts.benchmarks.gateway                  everything: some minutes
    python -m scripts.benchmarks.gateway --quick          fewer requests
    python -m scripts.benchmarks.gateway --json cost.json

The gateway has a core of its own where there are two; who asks and who answers share the other one. Requests per
second of one core are requests per CPU-second of the gateway's process, so that other load on the machine does not
count.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import psutil
from PIL import Image

from scripts.benchmarks.common.cli import new_file, run, start
from scripts.benchmarks.common.report import Report
from server.gateway.config import GatewayConfig, Replica, ServedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
MODEL = "model"
BODY_BYTES = 300_000
SMALL_BYTES = 20_000
FRAMES = 8
CONCURRENCY = 64


@dataclass(frozen=True)
class Effort:
    """How many rounds and requests are measured."""

    alone: int
    """Requests one after the other."""
    together: int
    """Requests at a concurrency of 64."""
    rounds: int
    soak: int
    """Requests over which memory is watched."""
    streams: int


FULL = Effort(alone=400, together=4000, rounds=5, soak=100_000, streams=10)
QUICK = Effort(alone=100, together=600, rounds=3, soak=3000, streams=3)


def video_request(size: int) -> bytes:
    """A chat request of about `size` bytes: frames as clients send them."""
    noise = np.random.default_rng(0)
    frames = []
    for _ in range(FRAMES):
        data = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(data, "JPEG")
        picture = data.getvalue()
        # Bytes after the end of a JPEG are not looked at by anybody here: they make up the size.
        picture += noise.bytes(max(0, size * 3 // 4 // FRAMES - len(picture)))
        frames.append(base64.b64encode(picture).decode())
    video = {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + ",".join(frames)}}
    content = [video, {"type": "text", "text": "Describe this video."}]
    return json.dumps({"model": MODEL, "messages": [{"role": "user", "content": content}]}).encode()


def http_request(path: str, body: bytes) -> bytes:
    """The bytes of a request."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One connection that is kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> None:
        """Send a request and read its answer.

        Raises:
            RuntimeError: the answer is an error.
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        body = await self._reader.readexactly(int(length))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode())

    async def delays(self, request: bytes) -> list[float]:
        """Ask for a stream; milliseconds from the sending of each piece to its coming here."""
        self._writer.write(request)
        await self._reader.readuntil(b"\r\n\r\n")
        delays = []
        while line := (await self._reader.readline()).strip():
            if line.startswith(b"data: "):
                delays.append((time.monotonic_ns() - int(line.removeprefix(b"data: "))) / 1e6)
            elif line == b"0":
                await self._reader.readline()
                break
            if line.startswith(b"data: "):
                await self._reader.readline()
                await self._reader.readline()
        return delays

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def one_after_the_other(port: int, request: bytes, count: int) -> float:
    """The median time of a request, in milliseconds."""
    connection = await Connection.open(port)
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        await connection.ask(request)
        times.append(time.perf_counter() - begin)
    connection.close()
    return median(times) * 1000


async def together(port: int, request: bytes, count: int) -> None:
    """Ask `count` times, at a concurrency of 64."""
    left = iter(range(count))

    async def ask() -> None:
        connection = await Connection.open(port)
        for _ in left:
            await connection.ask(request)
        connection.close()

    await asyncio.gather(*(ask() for _ in range(CONCURRENCY)))


async def stream_delays(port: int, request: bytes, count: int) -> list[float]:
    """Milliseconds that each piece of some streams was on its way."""
    found = []
    for _ in range(count):
        connection = await Connection.open(port)
        found += await connection.delays(request)
        connection.close()
    return found


@contextmanager
def started(command: Sequence[str], log: Path, fds: Sequence[int] = ()) -> Iterator[subprocess.Popen[str]]:
    """A process of ours, ended with the block; `log` gets its standard error."""
    with (
        log.open("w") as errors,
        start(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, pass_fds=fds
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def running(folder: Path) -> Iterator[tuple[int, int, psutil.Process]]:
    """An endpoint and a gateway before it: their ports, and the gateway's process."""
    with ExitStack() as opened:
        endpoint = opened.enter_context(started(["-m", "scripts.benchmarks.fakes.endpoint"], folder / "endpoint.log"))
        assert endpoint.stdout is not None
        direct = int(endpoint.stdout.readline())
        replica = Replica(name="instant", url=f"http://127.0.0.1:{direct}")
        model = ServedModel(name=MODEL, replicas=(replica,), max_model_len=4096, max_frames=FRAMES)
        GatewayConfig(models=(model,)).write(folder / "gateway.json")
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        command = ["-m", "server.gateway", "--config", str(folder / "gateway.json"), "--fd", str(listener.fileno())]
        gateway = opened.enter_context(started(command, folder / "gateway.log", [listener.fileno()]))
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(gateway.pid, cores[:1])
            os.sched_setaffinity(endpoint.pid, cores[1:])
            os.sched_setaffinity(0, cores[1:])
        yield direct, listener.getsockname()[1], psutil.Process(gateway.pid)


def cpu_s(process: psutil.Process) -> float:
    """CPU-seconds that a process has used until now."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(direct: int, through: int, gateway: psutil.Process, effort: Effort) -> Report:
    """Measure everything, the gateway and the direct way in turns."""
    report = Report("the gateway against the endpoint itself", "aiohttp", "orjson")
    request = http_request("/v1/chat/completions", video_request(BODY_BYTES))
    await together(through, request, CONCURRENCY)
    plain, passed, capacity, rate = [], [], [], []
    for _ in range(effort.rounds):
        plain.append(await one_after_the_other(direct, request, effort.alone // effort.rounds))
        passed.append(await one_after_the_other(through, request, effort.alone // effort.rounds))
        used, begin = cpu_s(gateway), time.perf_counter()
        await together(through, request, effort.together // effort.rounds)
        rate.append(effort.together // effort.rounds / (time.perf_counter() - begin))
        capacity.append(effort.together // effort.rounds / (cpu_s(gateway) - used))
    report.add("a request of 300 kB, p50", "ms", passed, plain)
    report.add("added to it", "ms", [p - d for p, d in zip(passed, plain, strict=True)])
    report.add("requests per CPU-second, 64 at a time", "requests/s", capacity, more_is_better=True)
    report.add("requests per second of wall time, who asks included", "requests/s", rate, more_is_better=True)
    stream = http_request("/v1/completions", json.dumps({"model": MODEL, "prompt": "x", "stream": True}).encode())
    near = await stream_delays(direct, stream, effort.streams)
    far = await stream_delays(through, stream, effort.streams)
    report.add("a streamed piece on its way, p50", "ms", far, near)
    report.add(
        "a streamed piece on its way, p95", "ms", *([float(np.quantile(pieces, 0.95))] for pieces in (far, near))
    )
    await watch_memory(through, gateway, effort.soak, report)
    return report


async def watch_memory(port: int, gateway: psutil.Process, count: int, report: Report) -> None:
    """Resident memory after a tenth of the requests, and after all of them."""
    request = http_request("/v1/chat/completions", video_request(SMALL_BYTES))
    memory = []
    for _ in range(10):
        await together(port, request, count // 10)
        memory.append(gateway.memory_info().rss / (1 << 20))
    report.add(f"memory after {count} requests, and after a tenth", "MiB", [memory[-1]], [memory[0]])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as (direct, through, gateway):
        report = asyncio.run(measure(direct, through, gateway, QUICK if args.quick else FULL))
    report.show(args.json)


if __name__ == "__main__":
    run(main)
