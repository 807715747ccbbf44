"""A real Ray cluster: engines that run on it, and a batch with files and results in S3, one of whose machines is lost.

`python -m scripts.benchmarks.cluster` does so with more files, and kills the driver, too; its `engines` has real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import openai
import psutil
import pytest
from batch_runs import pictures
from cluster_engines import empty_model, played_vllm, runs

from scripts.benchmarks.client import ROOT
from scripts.benchmarks.cluster.records import records
from scripts.benchmarks.cluster.rig import Endpoint, Raylets, batch, client, s3_server, upload, wait_until, who_holds
from server.cluster.order import Order
from server.profile import EngineProfile, Profile, Reservation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES, BEFORE, AT_ONCE = 64, 3, 4
"""Pictures; requests to an endpoint that are answered before it holds the others; the bound of each."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Raylets, dict[str, str], Path]]:
    """Two raylets of one CPU each, a bucket with pictures, and a folder with a module of the user's own."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "client.py").write_text("raise ImportError('the user has a client, too')\n")
    before = dict(os.environ)
    with s3_server(folder) as environment:
        upload(environment, pictures(folder / "in", FILES))
        raylets = Raylets(2, 1, environment)
        try:
            yield raylets, environment, folder
        finally:
            raylets.close()
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def endpoints() -> Iterator[list[Endpoint]]:
    """Two, which hold what comes after some requests."""
    both = [Endpoint(), Endpoint()]
    for endpoint in both:
        endpoint.holds_after = BEFORE
    yield both
    for endpoint in both:
        endpoint.close()


def all_held(endpoints: list[Endpoint]) -> bool:
    return all(len(endpoint.held) == AT_ONCE for endpoint in endpoints)


def release(endpoints: list[Endpoint]) -> None:
    for endpoint in endpoints:
        endpoint.holds_after = None


def asked(endpoints: list[Endpoint]) -> Counter[str]:
    return Counter(content for endpoint in endpoints for content in endpoint.contents())


def stored(environment: dict[str, str], output: str) -> int:
    """Answers in the journal of an output."""
    found = client(environment).list_objects_v2(Bucket="ads", Prefix=f"{output}/journal/").get("Contents", ())
    return sum(not entry["Key"].endswith("/media.json") for entry in found)


def arguments(raylets: Raylets, output: str) -> list[str]:
    return [
        "s3://ads/in",
        "--ray",
        raylets.address,
        "--output",
        output,
        "--loaders",
        "1",
        "--concurrency",
        str(AT_ONCE),
    ]


def ended(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.wait(300) == 0, log.read_text()[-4000:]


PROFILE = """
[gateway]
port = 0
[ray]
address = "{address}"
[[engines]]
name = "m"
model = "{model}"
max_model_len = 512
replicas = 2
start_timeout_s = 300
ray = {{}}
env = {env}
"""


@pytest.fixture
def running(rig: tuple[Raylets, dict[str, str], Path], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`babelview up` with two engines that the cluster runs, and its endpoint."""
    profile, ready, log = tmp_path / "ray.toml", tmp_path / "ready.json", tmp_path / "up.log"
    env = "{ " + ", ".join(f'{name} = "{value}"' for name, value in played_vllm(tmp_path / "fake").items()) + " }"
    model = empty_model(tmp_path / "model")
    profile.write_text(PROFILE.format(address=rig[0].address, model=model, env=env))
    # Ray puts the current folder on the path of actors.
    (tmp_path / "server.py").write_text("raise ImportError('a module of the user was imported')")
    command = [sys.executable, "-P", "-m", "server", "up", "--profile", str(profile), "--ready-file", str(ready)]
    with log.open("wb") as file:
        up = subprocess.Popen(
            [*command, "--log-dir", str(tmp_path / "logs")],
            cwd=tmp_path,
            stdout=file,
            stderr=file,
            env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path)},
        )
    try:
        wait_until(lambda: ready.exists() or up.poll() is not None, "engines on the cluster")
        assert ready.exists(), log.read_text()
        yield up, json.loads(ready.read_text())["endpoint"]
    finally:
        up.kill()
        up.wait()


def engines_on(raylets: Raylets) -> set[int]:
    """The processes of actors that run engines, and of these."""
    found = set()
    for pid in raylets.processes(0) | raylets.processes(1):
        with suppress(psutil.Error):
            line = " ".join(psutil.Process(pid).cmdline())
            if "EngineHost" in line or "server.engines.vllm_entry" in line:
                found.add(pid)
    return found


async def one_more_waits(raylets: Raylets, folder: Path) -> None:
    """The agent of a further engine says that it waits for room, and ends when it is told to."""
    order, address, heartbeat = (folder / name for name in ("order", "address", "heartbeat"))
    profile = Profile(engines=(EngineProfile(name="m", model="a/b", max_model_len=512),))
    Order(name="more", cluster=raylets.address, reservation=Reservation(), profile=profile, key="a").write(order)
    command = [sys.executable, "-P", "-m", "server.cluster", str(order), str(address), str(heartbeat)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    agent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        assert agent.stdout is not None
        async with asyncio.timeout(200):
            said = await agent.stdout.readline()
            assert said.decode() == "No machine of the cluster has left 1 CPU: waiting for one\n"
            agent.terminate()
            assert await agent.wait() == 0
    finally:
        if agent.returncode is None:
            agent.kill()


@pytest.mark.timeout(600)
async def test_engines_of_a_profile_run_on_a_cluster(
    rig: tuple[Raylets, dict[str, str], Path], running: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    """One is killed: what had not begun goes to the other, another one takes its place. With `up` all are gone.

    A third one, before that, has no room.
    """
    up, endpoint = running
    numbers = count()
    async with openai.AsyncOpenAI(base_url=endpoint, api_key="none", max_retries=0) as sdk:

        async def ask(**options: Any) -> Any:
            messages = [{"role": "user", "content": f"Number {next(numbers)}"}]
            return await sdk.chat.completions.create(model="m", messages=messages, **options)  # type: ignore[call-overload]

        async def answering() -> set[str]:
            return {str((await ask()).choices[0].message.content) for _ in range(8)}

        async def both_answer() -> set[str]:
            async with asyncio.timeout(300):
                while len(found := await answering()) < 2:  # noqa: ASYNC110  # they are other processes
                    await asyncio.sleep(0.1)
            return found

        await both_answer()  # the gateway learns of each by itself, a moment after the supervisor
        await one_more_waits(rig[0], tmp_path)
        streams, homes = [], list[str]()
        async with asyncio.timeout(300):
            while len(set(homes)) < 2:
                streams.append(await ask(stream=True))
                homes.append((await anext(streams[-1])).choices[0].delta.content)
        killed = homes[0]
        (other,) = set(homes) - {killed}
        os.kill(int(killed), signal.SIGKILL)
        assert killed not in await answering()  # another one may be there already
        for stream, home in zip(streams, homes, strict=True):
            if home == killed:
                with pytest.raises(openai.APIError, match="died"):
                    await anext(stream)
            await stream.close()
        found = await both_answer()
        assert other in found
    assert {int(pid) for pid in found} < engines_on(rig[0])
    up.kill()
    wait_until(lambda: not engines_on(rig[0]) and not any(runs(int(pid)) for pid in found), "their end")


@pytest.mark.timeout(600)
def test_a_machine_is_lost_with_requests_in_flight(
    rig: tuple[Raylets, dict[str, str], Path], endpoints: list[Endpoint]
) -> None:
    """Its requests, and no others, are asked again; the records are those of one machine."""
    raylets, environment, folder = rig
    log = folder / "lost.log"
    running = batch(environment, endpoints, log, *arguments(raylets, "s3://ads/lost"))
    wait_until(lambda: all_held(endpoints) or running.poll() is not None, "requests in flight at both endpoints")
    assert all_held(endpoints), log.read_text()[-4000:]
    # The next requests are sent, but the last answers may yet be on their way to the store.
    wait_until(lambda: stored(environment, "lost") == 2 * BEFORE, "all answers in the store")
    lost = {content for pid in raylets.processes(0) for it in endpoints for content in who_holds(it).get(pid, ())}
    assert len(lost) == AT_ONCE  # half of what is in flight stands on this machine
    raylets.kill(0)
    wait_until(lambda: sum(len(it.held) for it in endpoints) == 2 * AT_ONCE - len(lost), "the end of its requests")
    release(endpoints)
    ended(running, log)
    counts = asked(endpoints)
    assert len(counts) == FILES
    assert {content for content, count in counts.items() if count > 1} == lost
    assert max(counts.values()) == 2
    ended(batch(environment, endpoints, log, "in", "--output", "one"), log)
    assert records("s3://ads/lost") == records(str(folder / "one"))
