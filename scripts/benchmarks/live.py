"""A live session over minutes: lag, changes that were seen, alerts, reconnections, memory.

    python -m scripts.benchmarks.live --minutes 10

A camera (`live_source`) shows colours that change at known times, over RTSP. `babelview live` asks an endpoint that
tells the colour of the newest frame, and is slower than the period on purpose. The camera is killed twice, and started
again. Exit code 1 if a change was not seen, an alert missed or told twice, or a lag was more than two periods.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from aiohttp import web
from PIL import Image

from scripts.benchmarks.fakes.scripted import FakeServers, completion, free_port

COLOURS = {
    "red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200), "yellow": (220, 200, 40),
    "white": (235, 235, 235), "black": (20, 20, 20), "purple": (130, 40, 150), "orange": (230, 130, 30),
}  # fmt: skip
SHORTEST_S, LONGEST_S = 8.0, 16.0
"""Of a colour."""
_INTERRUPTED = 130
AWAY_S = 8.0
"""How long the camera is away, each time."""
_ON_ITS_WAY_S = 1.0
"""How much later than it was shown a frame may count as the newest."""
QUESTION = "Is there red in it?"


def colour_in(body: dict[str, Any]) -> str:
    """The colour of the newest frame of a request."""
    part = body["messages"][0]["content"][0]
    frame = part[part["type"]]["url"].split("base64,")[1].split(",")[-1]
    mean = np.asarray(Image.open(io.BytesIO(base64.b64decode(frame))).convert("RGB")).mean(axis=(0, 1))
    return min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))


def schedule_of(seed: int, from_s: float, until_s: float) -> list[tuple[float, str]]:
    """When which colour begins; none follows itself, and every third or so is red."""
    rng, found = random.Random(seed), [(from_s - 60, "black")]
    at_s = from_s
    while at_s < until_s:
        before = found[-1][1]
        wants_red = before != "red" and rng.random() < 0.4
        found.append(
            (at_s, "red" if wants_red else rng.choice([name for name in COLOURS if name not in (before, "red")]))
        )
        at_s += rng.uniform(SHORTEST_S, LONGEST_S)
    return found


class Arguments(argparse.Namespace):
    """What is measured."""

    minutes: float
    every: float
    """Seconds from one caption to the next."""
    latency: float
    """Seconds that an answer takes."""
    seed: int


@dataclass
class Run:
    """What was found out."""

    events: list[dict[str, Any]] = field(default_factory=list)
    hooked: list[dict[str, Any]] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    """When the camera was killed, and when it was started again."""
    memory: list[tuple[float, float, float]] = field(default_factory=list)
    """(seconds since the start, MB of the command, MB of the process that reads)."""
    cpu_s: float = 0.0
    notes: str = ""
    code: int = 0


def watch(minutes: float, period_s: float, latency_s: float, schedule: list[tuple[float, str]], folder: Path) -> Run:
    """Run it."""
    run = Run()
    servers = FakeServers(colour_in)

    async def slow(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        if "structured_outputs" in body:  # the question of yes or no
            return completion("Yes" if colour_in(body) == "red" else "No")
        await asyncio.sleep(latency_s)
        return None

    servers.on_ask = slow
    hook = _hook(run)
    url = f"rtsp://127.0.0.1:{free_port()}/camera"
    (folder / "schedule.json").write_text(json.dumps([(when_s, COLOURS[name]) for when_s, name in schedule]))
    camera = [sys.executable, "-m", "scripts.benchmarks.live_source", url, str(folder / "schedule.json")]
    command = [
        *(sys.executable, "-m", "client.cli.main", "live", url, "--every", f"{period_s:g}", "--frames", "4", "--json"),
        *("--input-option", "rtsp_flags=listen", "--input-option", "listen_timeout=30"),
        *("--base-url", servers.url, "--alert", QUESTION, "--webhook", hook, "--output", str(folder / "kept")),
        *("--subtitles", "--rotate", "120", "--keep", "3", "--tasks", "captions"),
    ]
    session = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(folder / "notes").open("wb"), text=True)
    reading = threading.Thread(target=_read, args=(session, run), daemon=True)
    reading.start()
    began_s = time.time()
    sending = subprocess.Popen(camera)
    kills = [began_s + minutes * 60 * share for share in (1 / 3, 2 / 3)]
    try:
        while time.time() < began_s + minutes * 60 and session.poll() is None:
            if kills and time.time() >= kills[0]:
                kills.pop(0)
                sending.kill()
                sending.wait()
                gone_s = time.time()
                time.sleep(AWAY_S)
                sending = subprocess.Popen(camera)
                run.away.append((gone_s, time.time()))
            _sample(session.pid, run, began_s)
            time.sleep(2)
        session.send_signal(2)
        run.code = session.wait(30)
    finally:
        for process in (sending, session):
            process.kill()
            process.wait()
    reading.join(10)
    servers.close()
    run.notes = (folder / "notes").read_text()
    return run


def _read(session: subprocess.Popen[str], run: Run) -> None:
    assert session.stdout
    for line in session.stdout:
        run.events.append(json.loads(line))


def _hook(run: Run) -> str:
    """A server that alerts are posted to; its URL."""
    loop, port = asyncio.new_event_loop(), free_port()

    async def take(request: web.Request) -> web.Response:
        run.hooked.append(await request.json() | {"id": request.headers["webhook-id"]})
        return web.Response(status=204)

    async def start() -> None:
        app = web.Application()
        app.router.add_post("/", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()

    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    return f"http://127.0.0.1:{port}/"


def _sample(pid: int, run: Run, began_s: float) -> None:
    try:
        process = psutil.Process(pid)
        children = [child.memory_info().rss / 1e6 for child in process.children()]
        run.memory.append((time.time() - began_s, process.memory_info().rss / 1e6, max(children, default=0.0)))
        run.cpu_s = max(run.cpu_s, process.cpu_times().user + process.cpu_times().system)
    except psutil.Error:
        pass


def shown(
    schedule: list[tuple[float, str]], run: Run, from_s: float, until_s: float, least_s: float
) -> list[tuple[float, str]]:
    """The colours that the camera showed for long enough to be seen, with when; the same after an outage once."""
    found: list[tuple[float, str]] = []
    for (start_s, name), (end_s, _) in pairwise([*schedule, (until_s, "")]):
        parts = [(max(start_s, from_s), min(end_s, until_s))]
        for gone_s, back_s in run.away:
            parts = [
                cut for low, high in parts for cut in ((low, min(high, gone_s)), (max(low, back_s + AWAY_S), high))
            ]
        longest = max(parts, key=lambda part: part[1] - part[0])
        if longest[1] - longest[0] >= least_s and (not found or found[-1][1] != name):
            found.append((longest[0], name))
    return found


def main() -> int:
    """Measure; the exit code says whether all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=2.0, help="seconds from one caption to the next (default: 2)")
    parser.add_argument("--latency", type=float, default=3.0, help="seconds that an answer takes (default: 3)")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(namespace=Arguments())
    began_s = time.time()
    schedule = schedule_of(args.seed, began_s, began_s + args.minutes * 60 + 60)
    with tempfile.TemporaryDirectory() as folder:
        run = watch(args.minutes, args.every, args.latency, schedule, Path(folder))
        files = [path.name for path in (Path(folder) / "kept").rglob("*") if path.is_file()]
    return report(args, schedule, run, files)


@dataclass(frozen=True)
class Seen:
    """A caption: what it says, and when."""

    name: str
    at_s: float
    """When the newest frame was shown, seconds since 1970."""
    lag_s: float


def report(args: Arguments, schedule: list[tuple[float, str]], run: Run, files: list[str]) -> int:
    """Say what was found; whether it is as it should be."""
    captions = [event for event in run.events if event["kind"] == "caption" and event["tasks"]]
    seen = [
        Seen(
            event["tasks"]["captions"]["text"], datetime.fromisoformat(event["at"]).timestamp(), float(event["lag_sec"])
        )
        for event in captions
    ]
    lags = [it.lag_s for it in seen]
    given_up = sum("given up" in (event["error"] or "") for event in run.events if event["kind"] == "caption")
    expected = shown(schedule, run, seen[0].at_s, seen[-1].at_s, 2 * max(args.every, args.latency))
    delays: list[float] = []
    missed: list[str] = []
    for when_s, name in expected[1:]:
        told_s = [it.at_s + it.lag_s - when_s for it in seen if it.name == name and it.at_s >= when_s]
        if told_s and min(told_s) < LONGEST_S:
            delays.append(min(told_s))
        else:
            missed.append(name)
    alerts = [
        Seen(event["answer"], datetime.fromisoformat(event["at"]).timestamp(), float(event["lag_sec"]))
        for event in run.events
        if event["kind"] == "alert"
    ]
    reds = [(when_s, name == "red") for when_s, name in expected]
    reds = [it for before, it in pairwise([(0.0, False), *reds]) if before[1] != it[1]]
    wrong = wrong_alerts(alerts, reds, schedule)
    posted = len({alert["id"] for alert in run.hooked})
    back = run.notes.count("back after")
    settled = [sample for sample in run.memory if sample[0] >= 60] or run.memory
    quarter = max(1, len(settled) // 4)
    first, final = settled[:quarter], settled[-quarter:]
    of_command, of_reader = (
        [statistics.median(sample[column] for sample in part) for part in (first, final)] for column in (1, 2)
    )
    took = f"median {statistics.median(delays or [0]):.2f} s, at most {max(delays or [0]):.2f} s"
    rows = {
        "captions": f"{len(seen)}, one every {args.every:g} s asked for, {captions[-1]['skipped']} steps left out",
        "an answer takes": f"{args.latency:g} s",
        "lag": f"mean {statistics.mean(lags):.2f} s, at most {max(lags):.2f} s",
        "given up, as too old": f"{given_up} answers",
        "changes of colour": f"{len(expected) - 1}, missed {len(missed)} {missed or ''}".strip(),
        "from a change to its caption": took,
        "alerts": f"{len(alerts)}, {len(run.hooked)} posts with {posted} ids; red came or went {len(reds)} times",
        "alerts that are wrong, missing or told twice": "; ".join(wrong) or "none",
        "camera killed": f"{len(run.away)} times, {AWAY_S:g} s each; found again {back} times",
        "memory of the command": "{:.0f} MB in the first quarter, {:.0f} MB in the last".format(*of_command),
        "memory of the reader": "{:.0f} MB in the first quarter, {:.0f} MB in the last".format(*of_reader),
        "CPU of the command": f"{run.cpu_s:.1f} s; {len(files)} files kept at the end",
    }
    for name, value in rows.items():
        print(f"{name:52}{value}")
    for it in sorted(seen, key=lambda it: -it.lag_s)[:3]:
        print(f"a lag of {it.lag_s:.2f} s, {it.at_s - seen[0].at_s:.0f} s after the first caption")
    print(run.notes.strip())
    right = (
        not missed
        and max(lags) <= 2 * args.every
        and not wrong
        and posted == len(run.hooked) == len(alerts)
        and back == len(run.away)
        and run.code == _INTERRUPTED
    )
    print("all as it should be" if right else "NOT as it should be")
    return 0 if right else 1


def wrong_alerts(alerts: list[Seen], reds: list[tuple[float, bool]], schedule: list[tuple[float, str]]) -> list[str]:
    """What is wrong with alerts: each must be true, and a change; and of each of `reds` one must have told.

    `reds`: when red came (True) or went, of what was shown for long enough to be seen. Alerts may be about other times.
    """
    wrong: list[str] = []
    ends_s = [*(when_s for when_s, _ in schedule[1:]), math.inf]
    for before, it in pairwise([Seen("no", 0.0, 0.0), *alerts]):
        if it.name == before.name:
            wrong.append(f"{it.name} twice")
        about = {
            name == "red"
            for (from_s, name), end_s in zip(schedule, ends_s, strict=True)
            if from_s <= it.at_s and end_s >= it.at_s - _ON_ITS_WAY_S
        }
        if (it.name == "yes") not in about:
            wrong.append(f"{it.name} is not true")
    for number, (when_s, came) in enumerate(reds):
        until_s = min([when_s + LONGEST_S, *(it for it, _ in reds[number + 1 : number + 2])])
        known = [it.name == "yes" for it in alerts if it.at_s < when_s][-1:] or [False]
        known += [it.name == "yes" for it in alerts if when_s <= it.at_s < until_s]
        if came not in known:
            wrong.append(f"{'yes' if came else 'no'} is missing")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
