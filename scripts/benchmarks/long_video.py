"""A video of hours in windows: memory, CPU beside decoding it once, and what a killed run asks again.

    python -m scripts.benchmarks.long_video                        two hours of 1080p: some twenty minutes
    python -m scripts.benchmarks.long_video --quick                five minutes of it
    python -m scripts.benchmarks.long_video --window scenes --json long.json

The video is half a minute of drawn scenes with hard cuts and noise, again and again. It is decoded once by PyAV, in one
thread and without doing anything else with its frames; then `client.batch` goes through it with `captions`, with one
loader, against an endpoint that answers after a moment. CPU-seconds are those of all processes of the client. Memory is
the proportional set size (PSS) of all of them, several times a second. The run that is killed (SIGKILL) is so when half
of the windows are asked about.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import numpy as np

from scripts.benchmarks.client import ROOT
from scripts.benchmarks.common.cli import new_file, positive, run, start
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.fakes.scripted import FakeServers
from scripts.benchmarks.sampler import memory_of_all, repeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

PIECE_S, RATE, SIZE = 30, 25, (1920, 1080)
SCENES_S = (4.0, 7.2, 2.4, 9.0, 3.0, 4.4)
"""Of the piece."""
WINDOWS, SCENES = "10", "scenes"
ANSWER_S = 0.2
SAMPLE_S = 0.3


class Work(NamedTuple):
    """What a run of the client took."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def write_piece(path: Path, size: tuple[int, int] = SIZE) -> None:
    """Half a minute: each scene a gradient with noise, over which a bright patch moves."""
    random = np.random.default_rng(7)
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "32"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, length_s in enumerate(SCENES_S):
            slope = np.linspace(0, 90 if number % 2 else -90, width)[None, :, None]
            ground = np.clip(random.integers(60, 200, 3) + slope, 0, 255) * np.ones((height, 1, 1))
            noises = random.normal(0, 6, (4, height // 2, width // 2, 1)).repeat(2, axis=1).repeat(2, axis=2)
            for at in range(round(length_s * RATE)):
                picture = np.clip(ground + noises[at % 4], 0, 255).astype(np.uint8)
                left = at * 8 % (width - width // 8)
                picture[height // 3 : height // 2, left : left + width // 8] = random.integers(200, 255, 3)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))


def decode_once(path: Path) -> float:
    """CPU-seconds of decoding all of it, in one thread."""
    began = time.process_time()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for _ in container.decode(stream):
            pass
    return time.process_time() - began


def command(video: Path, output: Path, port: int, window: str) -> tuple[list[str], dict[str, str]]:
    """A run of the client about the video, and its environment."""
    options = ["--tasks", "captions", "--window", window, "--languages", "", "--loaders", "1", "--quiet", "--no-hear"]
    options += ["--base-url", f"http://127.0.0.1:{port}/v1"]
    line = [sys.executable, "-m", "client.batch", str(video), "--output", str(output), *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    return line, environment


def go(line: list[str], environment: dict[str, str], until: Callable[[], bool] = bool) -> Work:
    """Run it to its end; or kill it, and all that it started, as soon as `until` says so.

    Raises:
        CalledProcessError: it failed, and was not killed.
    """
    began, peak, killed = time.monotonic(), 0.0, False
    before = os.times()
    with start(line, cwd=ROOT, env=environment) as process:
        while process.poll() is None:
            peak = max(peak, memory_of_all(process.pid))
            if until():
                process.send_signal(signal.SIGKILL)
                killed = True
            time.sleep(SAMPLE_S)
    if process.returncode and not killed:
        raise subprocess.CalledProcessError(process.returncode, line)
    after = os.times()  # of children that have ended, and theirs
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Work(cpu_s, time.monotonic() - began, peak)


def measure(report: Report, folder: Path, length_s: int, window: str, size: tuple[int, int] = SIZE) -> None:
    """Make the video, go through it twice, and report it."""
    piece, video = folder / "piece.mp4", folder / "video.mp4"
    write_piece(piece, size)
    repeat(piece, video, max(1, length_s // PIECE_S))
    once_s = decode_once(video)

    asked = Asked()
    servers = FakeServers(lambda _: f"A patch moves over a gradient, for the {len(asked)}. time.")

    async def answer_late(*_: Any) -> web.StreamResponse | None:
        asked.note()
        servers.asked.clear()
        await asyncio.sleep(ANSWER_S)
        return None

    servers.on_ask = answer_late
    try:
        whole = go(*command(video, folder / "whole", servers.port, window))
        windows = asked.forget()
        killed = go(*command(video, folder / "killed", servers.port, window), until=lambda: len(asked) >= windows // 2)
        in_flight = servers.most_in_flight
        go(*command(video, folder / "killed", servers.port, window))
    finally:
        servers.close()
    name = f"{length_s // 60} min of {size[1]}p, --window {window}"
    report.add(f"{name}: CPU (baseline: decoding it once)", "s", [whole.cpu_s], [once_s])
    report.add(f"{name}: peak memory of all processes", "MB", [whole.peak_mb])
    report.add(f"{name}: wall", "s", [whole.wall_s])
    report.add(f"{name}: requests", "", [windows])
    report.add(f"{name}: requests of a run that was killed and goes on, above that", "", [len(asked) - windows])
    report.notes.append(f"killed after {killed.wall_s:.0f} s; at most {in_flight} requests were in flight at a time")


class Asked:
    """How many requests came."""

    def __init__(self) -> None:
        """Begin with none."""
        self._count = 0

    def __len__(self) -> int:
        """So many."""
        return self._count

    def note(self) -> None:
        """Count one."""
        self._count += 1

    def forget(self) -> int:
        """How many there were; begin again."""
        count, self._count = self._count, 0
        return count


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=positive, default=120, help="of the video (default: 120)")
    parser.add_argument("--window", choices=(WINDOWS, SCENES), default=WINDOWS, help="seconds, or from cut to cut")
    parser.add_argument("--quick", action="store_true", help="five minutes of video")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    report = Report("A long video", "av")
    folder = Path(tempfile.mkdtemp(prefix="long-video-"))
    try:
        measure(report, folder, 300 if args.quick else args.minutes * 60, args.window)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.show(args.json)


if __name__ == "__main__":
    run(main)
