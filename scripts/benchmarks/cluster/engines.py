"""Engines of the demo that a Ray cluster runs: SDKs against them, and what is lost when one of them is.

    python -m scripts.benchmarks.cluster.engines                   both: ten minutes on two cores
    python -m scripts.benchmarks.cluster.engines --only losses

sdks: three raylets on this machine, an engine of the demo profile on each, and the tests of the SDKs, of tools and of
captions of pictures against the gateway before them.

losses: two engines of one model on two of three raylets, and clients that keep asking, half of them for streams. The
process of one engine is killed, then the raylet of one and all that runs on it, then `babelview up` itself. It exits
with 1 where a request is not answered that had not begun to be, or where something is left running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import psutil

from scripts.benchmarks.client import ROOT
from scripts.benchmarks.cluster.rig import Raylets, wait_until
from scripts.benchmarks.common.cli import positive, run, start
from server.shipped_profiles import PROFILES
from server.status import ask

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "llama-3.2-11b-vision"
ENGINE = "[[engines]]"
TESTS = (
    "tests/integration/test_gateway_sdks.py",
    "tests/integration/test_gateway_sdk_tools.py",
    "tests/e2e/test_demo_pictures.py",
)
BETWEEN = 20
"""Answers between two kills, of each engine."""
STARTS_WITHIN_S = 300.0
OF_ACTORS = "ray::EngineHost"
"""What Ray calls the processes of our actors."""


def write_profile(path: Path, address: str, *, model: str | None = None, replicas: int = 1) -> None:
    """The demo profile with its engines on a cluster, a CPU for each; `model`: this one alone, and no other parts."""
    head, *engines = (PROFILES / "demo.toml").read_text(encoding="utf-8").split(ENGINE)
    if model is not None:
        head, engines = "[gateway]\nport = 0\n", [each for each in engines if f'name = "{model}"' in each]
    ours = f"{ENGINE}\nreplicas = {replicas}\nray = {{ num_cpus = 1 }}\nstart_timeout_s = {STARTS_WITHIN_S}"
    cluster = f'[ray]\naddress = "{address}"\n'
    path.write_text(ours.join([head + cluster, *engines]), encoding="utf-8")


def sdks(folder: Path) -> bool:
    """The tests of the SDKs, against engines of a cluster; whether they pass."""
    raylets = Raylets(3, 1, {})
    try:
        profile = folder / "ray.toml"
        write_profile(profile, raylets.address)
        command = [sys.executable, "-m", "pytest", "-q", "--stack-profile", str(profile), *TESTS]
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    finally:
        raylets.close()


@dataclass
class Load:
    """Clients that keep asking, each request another one, until they are stopped."""

    url: str
    answered: int = 0
    cut: list[str] = field(default_factory=list)
    """Streams that had begun, and ended with an error."""
    lost: list[str] = field(default_factory=list)
    """Requests that were not answered although no answer had begun."""
    stopped: bool = False
    numbers: count[int] = field(default_factory=count)

    async def run(self, clients: int) -> None:
        """Ask until stopped."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(STARTS_WITHIN_S)) as http:
            await asyncio.gather(*(self._ask_on(http, stream=bool(number % 2)) for number in range(clients)))

    async def _ask_on(self, http: aiohttp.ClientSession, *, stream: bool) -> None:
        while not self.stopped:
            content = f"What is the number {next(self.numbers)} good for?"
            body = {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 24}
            try:
                async with http.post(f"{self.url}/chat/completions", json={**body, "stream": stream}) as answer:
                    said = await answer.text()
                    self._count(answer.status, said, stream=stream)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.lost.append(repr(error))

    def _count(self, status: int, said: str, *, stream: bool) -> None:
        if status != 200:
            self.lost.append(f"{status}: {said}")
        elif not stream or "[DONE]" in said:
            self.answered += 1
        else:  # of a stream something has come
            (self.cut if "engine_died" in said else self.lost).append(said[-300:])


class Stack:
    """`babelview up` with two engines on a cluster."""

    def __init__(self, folder: Path, raylets: Raylets) -> None:
        """Start it, and wait until it is ready."""
        profile, ready = folder / "ray.toml", folder / "ready.json"
        write_profile(profile, raylets.address, model=MODEL, replicas=2)
        command = [sys.executable, "-P", "-m", "server", "up", "--profile", str(profile), "--ready-file", str(ready)]
        ours = {"PYTHONPATH": str(ROOT)}
        self.process = start([*command, "--log-dir", str(folder / "logs")], cwd=folder, env=os.environ | ours)
        wait_until(lambda: ready.exists() or self.process.poll() is not None, "babelview up", STARTS_WITHIN_S)
        self.url = str(json.loads(ready.read_bytes())["endpoint"])
        self._port = urlsplit(self.url).port or 0

    def engines(self) -> dict[str, dict[str, Any]]:
        """What `babelview status` says of the engines, by their names."""
        told = ask(self._port) or {"parts": []}
        return {part["name"]: part for part in told["parts"] if part["name"].startswith("vllm-")}

    def pid_of(self, name: str) -> int:
        """The process that listens at the address of an engine."""
        port = urlsplit(self.engines()[name]["address"]).port
        listening = (each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
        return next(each.pid for each in listening if each.laddr and each.laddr.port == port and each.pid)

    def answers_of(self, name: str) -> float | None:
        """How many answers an engine has given; None while the gateway does not reach it."""
        url = f"http://127.0.0.1:{self._port}/metrics/of/{name.removeprefix('vllm-')}"
        try:
            with urllib.request.urlopen(url, timeout=STARTS_WITHIN_S) as page:
                lines = page.read().decode().splitlines()
        except urllib.error.HTTPError:
            return None
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:request_success_total"))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait in a thread, so that clients go on."""
    await asyncio.to_thread(wait_until, condition, what, STARTS_WITHIN_S)


async def answers(stack: Stack, name: str) -> None:
    """Wait until an engine that is ready has given some answers to the clients, beside those of its start."""
    counts: list[float] = []

    def more() -> bool:
        if (count := stack.answers_of(name)) is not None:
            counts.append(count)
        return bool(counts) and counts[-1] >= counts[0] + BETWEEN

    await until(more, f"answers of {name}")


async def kill(what: str, stack: Stack, raylets: Raylets, load: Load) -> None:
    """Kill an engine's process, or its raylet, and wait until another one has taken its place and answers."""
    name, before = min(stack.engines().items())
    pid = stack.pid_of(name)
    raylet = next(number for number in range(len(raylets.nodes)) if pid in raylets.processes(number))
    counts = load.answered, len(load.cut), len(load.lost)
    began = time.monotonic()
    if what == "raylet":
        raylets.kill(raylet)
    else:
        psutil.Process(pid).kill()

    def is_back() -> bool:
        now = stack.engines()[name]
        return bool(now["state"] == "ready" and now["restarts"] > before["restarts"])

    await until(is_back, f"another {name}")
    back_s = time.monotonic() - began
    meanwhile = load.answered - counts[0]
    await answers(stack, name)
    now = stack.pid_of(name)
    other = next((number for number in range(len(raylets.nodes)) if now in raylets.processes(number)), None)
    print(
        f"{what} of {name} killed, raylet {raylet}: ready again after {back_s:.1f} s, on raylet {other}; meanwhile "
        f"{meanwhile} requests answered, {len(load.cut) - counts[1]} streams that had begun ended with an error, "
        f"{len(load.lost) - counts[2]} requests that had not begun were lost",
        flush=True,
    )


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may stay as a zombie, where nobody waits for orphans."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def engines_left(raylets: Raylets) -> set[int]:
    """Processes of engines, and of the actors around them."""
    found = set()
    for number in range(len(raylets.nodes)):
        for pid in raylets.processes(number):
            try:
                line = psutil.Process(pid).cmdline()
            except psutil.Error:
                continue
            if any(OF_ACTORS in word or word == "server.engines.vllm_entry" for word in line):
                found.add(pid)
    return found


async def under_load(stack: Stack, raylets: Raylets, clients: int) -> Load:
    """Kill an engine's process and then a raylet while clients ask; what became of their requests."""
    load = Load(stack.url)
    asking = asyncio.create_task(load.run(clients))
    for name in stack.engines():
        await answers(stack, name)
    for what in ("process", "raylet"):
        await kill(what, stack, raylets, load)
    load.stopped = True
    await asking
    return load


def losses(folder: Path, clients: int) -> bool:
    """Kill what can be; whether all is as it should be."""
    raylets = Raylets(3, 1, {})
    stack = None
    try:
        stack = Stack(folder, raylets)
        load = asyncio.run(under_load(stack, raylets, clients))
        print(f"{load.answered} answered, {len(load.cut)} cut, {len(load.lost)} lost {load.lost[:3]}", flush=True)
        pids = engines_left(raylets)
        began = time.monotonic()
        stack.process.kill()
        wait_until(lambda: not engines_left(raylets) and not any(map(runs, pids)), "the engines' end")
        print(f"up killed: {len(pids)} processes of engines and actors gone after {time.monotonic() - began:.1f} s")
        return not load.lost
    finally:
        if stack is not None:
            stack.process.kill()
            stack.process.wait()
        raylets.close()


def main() -> int:
    """Show what the command line names; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmarks.cluster.engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=("sdks", "losses"), help="leave out the other")
    parser.add_argument("--clients", type=positive, default=8, metavar="N", help="of losses")
    arguments = parser.parse_args()
    right = True
    with tempfile.TemporaryDirectory(prefix="bench-engines-") as name:
        folder = Path(name)
        if arguments.only != "sdks":
            right = losses(folder, arguments.clients)
        if arguments.only != "losses":
            right = sdks(folder) and right
    return 0 if right else 1


if __name__ == "__main__":
    run(main)
