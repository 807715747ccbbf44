"""Two replicas and the gateway, each a process of its own, under load: killed, stopped, terminated."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from server.gateway.config import GatewayConfig, Health, Replica, ServedModel, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ENGINE = Path(__file__).with_name("engine_script.py")
CONCURRENCY = 32
HEALTH = Health(probe_every_s=0.2, probe_timeout_s=0.5)
FINISH_S = 4.0
HELLO = [{"role": "user", "content": "hello"}]


@dataclass
class Rig:
    """The processes."""

    folder: Path
    engines: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    gateway: subprocess.Popen[bytes] | None = None
    url: str = ""

    def start_engine(self, name: str) -> None:
        path = self.folder / f"{name}.sock"
        path.unlink(missing_ok=True)
        self.engines[name] = subprocess.Popen([sys.executable, str(ENGINE), str(path), name])

    def start_gateway(self) -> None:
        replicas = tuple(Replica(name=name, socket=str(self.folder / f"{name}.sock")) for name in self.engines)
        model = ServedModel(name="model", replicas=replicas, max_model_len=99)
        config = self.folder / "gateway.json"
        GatewayConfig(models=(model,), health=HEALTH, timeouts=Timeouts(finish_s=FINISH_S)).write(config)
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            command = [sys.executable, "-m", "server.gateway", "--config", str(config), "--fd", str(listener.fileno())]
            self.gateway = subprocess.Popen(command, pass_fds=[listener.fileno()])

    async def health_is(self, wanted: dict[str, str]) -> None:
        """Wait until the gateway's own view is `wanted`; it is asked now and then."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/health") as response:
                        if (await response.json())["parts"] == wanted:
                            return
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        for process in filter(None, [*self.engines.values(), self.gateway]):
            process.kill()
            process.wait()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="gw-") as folder, _stopped(Rig(Path(folder))) as made:
        for name in ("a", "b"):
            made.start_engine(name)
        made.start_gateway()
        await made.health_is({"a": "ok", "b": "ok"})
        yield made


@contextlib.contextmanager
def _stopped(rig: Rig) -> Iterator[Rig]:
    try:
        yield rig
    finally:
        rig.stop()


@dataclass
class Load:
    """32 requests at a time, half of them streams, until it is stopped."""

    url: str
    answers: Counter[str] = field(default_factory=Counter)
    """By engine, of plain requests."""
    failures: list[str] = field(default_factory=list)
    """Of requests whose answer had not begun."""
    cut: int = 0
    """Streams that broke off."""
    times_s: list[tuple[float, float]] = field(default_factory=list)
    """(when it ended, how long it took)."""
    stopped: bool = False

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as http:
            await asyncio.gather(*(self._ask_on(http, stream=bool(n % 2)) for n in range(CONCURRENCY)))

    async def _ask_on(self, http: aiohttp.ClientSession, *, stream: bool) -> None:
        while not self.stopped:
            begin = time.monotonic()
            try:
                await self._ask(http, stream)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failures.append(repr(error))
            self.times_s.append((time.monotonic(), time.monotonic() - begin))

    async def _ask(self, http: aiohttp.ClientSession, stream: bool) -> None:
        body = {"model": "model", "messages": HELLO, "stream": stream}
        async with http.post(f"{self.url}/v1/chat/completions", json=body) as response:
            if response.status != 200:
                self.failures.append(await response.text())
            elif stream:
                said = await response.text()
                self.cut += "[DONE]" not in said
                if '"0"' not in said:
                    self.failures.append(said)
            else:
                name = (await response.json())["choices"][0]["message"]["content"]
                self.answers[name.split()[0]] += 1


@contextlib.asynccontextmanager
async def under_load(rig: Rig) -> AsyncIterator[Load]:
    load = Load(rig.url)
    running = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        load.stopped = True
        await running


async def more(load: Load, count: int, of: Callable[[], int]) -> None:
    """Wait until `of` has grown by `count`."""
    goal = of() + count
    async with asyncio.timeout(60):
        while of() < goal:  # noqa: ASYNC110  # whatever it counts
            await asyncio.sleep(0.02)


def p95(load: Load, begin: float, end: float) -> float:
    times = sorted(took for at, took in load.times_s if begin <= at <= end)
    return times[int(len(times) * 0.95)]


async def test_a_replica_that_is_killed_costs_no_request_and_returns(rig: Rig) -> None:
    async with under_load(rig) as load:
        await more(load, 200, load.answers.total)
        rig.engines["a"].kill()
        rig.engines["a"].wait()
        await more(load, 200, lambda: load.answers["b"])
        rig.start_engine("a")
        await more(load, 100, lambda: load.answers["a"])
    assert load.failures == []
    assert load.cut <= CONCURRENCY  # streams that it was in the middle of


async def test_a_replica_that_hangs_is_left_out_and_what_waits_there_moves(rig: Rig) -> None:
    async with under_load(rig) as load:
        begin = time.monotonic()
        await more(load, 300, load.answers.total)
        stopped_at = time.monotonic()
        rig.engines["a"].send_signal(signal.SIGSTOP)
        await rig_without_a(rig)
        out_at = time.monotonic()
        await more(load, 300, lambda: load.answers["b"])
        end = time.monotonic()
        rig.engines["a"].send_signal(signal.SIGCONT)
        await more(load, 100, lambda: load.answers["a"])
    assert load.failures == []
    before, after = p95(load, begin, stopped_at), p95(load, out_at + 1, end)
    print(f"left out after {out_at - stopped_at:.2f} s; p95 {before:.3f} s, then {after:.3f} s")


async def rig_without_a(rig: Rig) -> None:
    """Wait until the gateway asks the other one only."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(60):
        while True:
            async with http.get(f"{rig.url}/metrics") as response:
                if 'replica_up{model="model",replica="a"} 1.0' not in await response.text():
                    return
            await asyncio.sleep(0.05)


async def test_sigterm_refuses_what_comes_and_lets_what_is_there_end(rig: Rig) -> None:
    assert rig.gateway
    body = {
        "model": "model",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "metadata": {"pause": 0.3},
    }
    async with aiohttp.ClientSession() as http:
        url = f"{rig.url}/v1/chat/completions"
        streams = await asyncio.gather(*(http.post(url, json=body) for _ in range(CONCURRENCY)))
        rig.gateway.terminate()
        refused = 0
        async with asyncio.timeout(30):
            while rig.gateway.poll() is None:
                try:
                    async with aiohttp.ClientSession() as other, other.post(url, json=body) as response:
                        said = await response.json()
                        refused += (response.status, said["error"]["code"]) == (503, "shutting_down")
                        assert response.headers["Retry-After"]
                except aiohttp.ClientConnectionError:
                    refused += 1
                await asyncio.sleep(0.02)
        texts = await asyncio.gather(*(stream.text() for stream in streams))
    assert rig.gateway.wait() == 0
    assert refused > 0
    assert all(text.rstrip().endswith("[DONE]") for text in texts)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(rig.url.rpartition(":")[2])), 5)


async def test_sigterm_ends_in_bounded_time_whatever_is_in_flight(rig: Rig) -> None:
    assert rig.gateway
    body = {"model": "model", "messages": HELLO, "metadata": {"pause": 1000}}
    async with aiohttp.ClientSession() as http:
        asking = [asyncio.create_task(http.post(f"{rig.url}/v1/chat/completions", json=body)) for _ in range(4)]
        await asyncio.sleep(0.5)
        rig.gateway.terminate()
        assert await asyncio.to_thread(rig.gateway.wait, FINISH_S + 20) == 0
        results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(result, aiohttp.ClientError) for result in results)
