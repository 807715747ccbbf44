"""Engines on a cluster, without one: what is ordered, and what an actor does with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from cluster_engines import empty_model, played_vllm, runs

from server.cluster import agent as agents
from server.cluster.agent import Agent, join, needs_of, waits_for_room, why_it_waits
from server.cluster.host import Ended, EngineHost, Said, Seen, Started, ago
from server.cluster.order import Order
from server.engines.dummy import with_dummy_weights
from server.errors import PreflightError, ProfileError
from server.key_variables import CLUSTER_KEY
from server.parts import open_gateway_socket, stack_parts
from server.profile import DeviceProfile, EngineProfile, GatewayProfile, Profile, Reservation, load_profile
from server.sizing import preflight
from server.supervision.heartbeat import Beat, read_beats
from server.supervision.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.supervision.part import Part


def engine(**options: Any) -> EngineProfile:
    return EngineProfile(**{"name": "m", "model": "a/b", "max_model_len": 512, "ray": Reservation()} | options)


def parts_of(folder: Path, *engines: EngineProfile, **options: Any) -> list[Part]:
    profile = Profile(engines=engines, gateway=GatewayProfile(port=0), **options)
    with open_gateway_socket(profile.gateway) as listener:
        return stack_parts(profile, folder, listener)


def order_of(part: Part, folder: Path) -> Order:
    return Order.decode((folder / f"{part.name.removeprefix('vllm-')}.order").read_bytes())


def needs(part: Part, folder: Path) -> dict[str, float]:
    order = order_of(part, folder)
    return needs_of(order.profile.engines[0], order.reservation, on_gpu=order.profile.device.on_gpu)


def test_a_replica_is_ordered_and_the_gateway_told_where_its_address_will_stand(tmp_path: Path) -> None:
    gateway, *agents = parts_of(tmp_path, engine(replicas=2, ray=Reservation(num_cpus=3)))
    assert [part.name for part in agents] == ["vllm-m-0", "vllm-m-1"]
    for part in agents:
        order = order_of(part, tmp_path)
        assert order.key == gateway.env[CLUSTER_KEY]
        assert len(order.key) >= 32
        assert (order.profile.engines[0].replicas, order.profile.engines[0].ray) == (1, None)
        assert part.probe.address_file is not None
        assert str(part.probe.address_file) in (tmp_path / "gateway.json").read_text()
        assert str(part.probe.address_file) in part.command
        assert order.key not in " ".join(part.command)
        path = tmp_path / f"{part.name.removeprefix('vllm-')}.order"
        assert path.stat().st_mode & 0o077 == 0


def test_another_stack_has_another_key(tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        keys.add(parts_of(folder, engine())[0].env[CLUSTER_KEY])
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("model", "there"), [("demo:m", "demo:m"), ("a/b", "a/b"), ("./m", "{here}/m"), ("/data/m", "/data/m")]
)
def test_other_machines_find_a_model_by_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, there: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _, agent = parts_of(tmp_path, engine(model=model))
    assert order_of(agent, tmp_path).profile.engines[0].model == there.format(here=tmp_path)


@pytest.mark.parametrize(
    ("options", "on_gpu", "wanted"),
    [
        ({}, False, {"CPU": 1, "GPU": 0, "memory": 0}),
        ({"tensor_parallel": 2, "memory_gib": 2.0}, True, {"CPU": 1, "GPU": 2, "memory": 2 << 30}),
        ({"ray": Reservation(num_gpus=0.5, num_cpus=4)}, True, {"CPU": 4, "GPU": 0.5, "memory": 0}),
        ({"ray": Reservation(resources={"L4": 0.01})}, True, {"CPU": 1, "GPU": 1, "memory": 0, "L4": 0.01}),
    ],
)
def test_what_ray_keeps_free(tmp_path: Path, options: dict[str, Any], on_gpu: bool, wanted: dict[str, float]) -> None:
    device = DeviceProfile(kind="gpu", memory_gib=80) if on_gpu else DeviceProfile()
    _, agent = parts_of(tmp_path, engine(**options), device=device)
    assert needs(agent, tmp_path) == wanted


def test_nothing_is_looked_for_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "has_vllm", lambda: False)
    profile = Profile(engines=(engine(model="/not/here", memory_gib=1e6),))
    preflight.check_packages(profile)
    preflight.check_models(profile)
    preflight.check_memory(profile)
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda _: None)  # type: ignore[attr-defined]
    with pytest.raises(PreflightError, match=r"\.\[ray\]"):
        preflight.check_packages(profile)


def test_dummy_weights_are_for_engines_of_this_machine() -> None:
    with pytest.raises(ProfileError, match="Ray runs m"):
        with_dummy_weights(Profile(engines=(engine(),)))


def order_for(folder: Path, **options: Any) -> Order:
    """An order of an engine that a test plays."""
    env = played_vllm(folder / "fake") | options.pop("env", {})
    model = options.pop("model", None) or empty_model(folder / "m")
    profile = Profile(engines=(EngineProfile(name="m", model=model, max_model_len=9, env=env, **options),))
    return Order(name="m", cluster="auto", reservation=Reservation(), profile=profile, key="secret")


class Hosted:
    """An actor's work in this process."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.host = EngineHost(lambda: "127.0.0.1")
        self.events = self.host.run(order_for(folder, **options).encode())

    def until(self, kind: type) -> Any:
        return next(event for event in self.events if isinstance(event, kind))

    def said(self) -> tuple[str, Ended]:
        """All that it says until its end."""
        words = b""
        for event in self.events:
            if isinstance(event, Ended):
                return words.decode(), event
            words += event.output if isinstance(event, Said) else b""
        raise AssertionError("it has not ended")


@pytest.fixture(autouse=True)
def in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What an actor leaves in the temporary folder is found; all of it is gone in the end."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield
    eventually(lambda: not any(temporary.iterdir()))


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do, which on a busy machine takes its time."""
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_engine_listens_on_its_machine_and_wants_the_key(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path)
    started = hosted.until(Started)
    body = b'{"messages": []}'

    def ask(key: str) -> bytes:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{started.url}/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content

    def listens() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{started.url}/health", timeout=60):
            return True
        return False

    eventually(listens)
    assert str(started.pid).encode() in ask("secret")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask("another")
    hosted.host.stop()
    words, _ = hosted.said()
    assert words == "Starting to load model\n"
    assert not runs(started.pid)


def test_an_engine_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    said, ended = Hosted(tmp_path, env={"FAILS": "1"}).said()
    assert said.splitlines()[-1] == "no weights in the box"
    assert ended.reason == "it ended by itself with exit code 1"


def test_of_an_engine_that_is_killed_nothing_is_left(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path, env={"HAS_A_CHILD": "1"})
    engine = hosted.until(Started).pid
    words = b""
    while not (found := re.search(rb"child (\d+)\n", words)):
        words += hosted.until(Said).output
    os.kill(engine, signal.SIGKILL)
    assert hosted.until(Ended).reason == "it was killed by SIGKILL"
    child = int(found[1])
    eventually(lambda: not runs(child))


ACTOR = """
import sys
from server.cluster.host import EngineHost, Said

events = EngineHost(lambda: "127.0.0.1").run(sys.stdin.buffer.read())
started = next(events)
next(event for event in events if isinstance(event, Said))  # it says no more, which would end it with our pipe
print(started.pid, flush=True)
for _ in events:
    pass
"""


def test_an_engine_ends_with_its_actor(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ACTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as actor:
        assert actor.stdin is not None
        assert actor.stdout is not None
        actor.stdin.write(order_for(tmp_path).encode())
        actor.stdin.close()
        engine = int(actor.stdout.readline())
        assert runs(engine)
        actor.kill()
    eventually(lambda: not runs(engine))


def test_an_engine_that_takes_too_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.cluster.host.MEMORY_EVERY_S", 0.0)
    _, ended = Hosted(tmp_path, memory_limit_gib=0.001).said()
    assert ended.reason.endswith("its limit is 0.001 GiB")


def test_a_model_that_is_not_on_the_machine_is_named(tmp_path: Path) -> None:
    (ended,) = Hosted(tmp_path, model="/not/here").events
    assert isinstance(ended, Ended)
    assert ended.reason.startswith(
        "it cannot start on 127.0.0.1: the model of m is missing: no config.json in /not/here"
    )


def test_an_agent_tells_the_supervisor_and_the_gateway_what_the_actor_tells(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, part = parts_of(tmp_path, engine())
    assert part.probe.address_file is not None
    assert part.heartbeat is not None
    agent = Agent(order_of(part, tmp_path), part.probe.address_file, part.heartbeat)
    assert part.place == "on the cluster"
    agent.note(Started("http://10.0.0.7:1234", 77))
    assert part.place == "http://10.0.0.7:1234"
    agent.note(Said(b"half a li"))
    agent.note(Said(b"ne\n"))
    assert capfdbinary.readouterr().out.endswith(b"half a line\n")
    before = time.monotonic()
    agent.note(Seen((Beat(77, 2.0, 5, 30.0), Beat(78, 1.0, 3, 0.0))))
    first, second = sorted(read_beats(part.heartbeat), key=lambda beat: -beat.steps)
    assert (first.pid, first.steps, second.pid, second.steps) == (os.getpid(), 5, os.getpid(), 3)
    assert before - 2.0 <= first.at <= time.monotonic() - 2.0
    assert before - 30.0 <= first.step_began <= time.monotonic() - 30.0
    assert second.step_began == 0.0


def test_times_of_a_heartbeat_are_told_as_seconds_ago() -> None:
    assert ago(Beat(1, 90.0, 2, 70.0), 100.0) == Beat(1, 10.0, 2, 30.0)
    assert ago(Beat(1, 90.0, 2, 0.0), 100.0).step_began == 0.0  # there is none


def test_a_cluster_that_was_there_is_waited_for_and_another_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def not_yet(address: str) -> None:
        asked.append(address)
        if len(asked) < 4:
            raise PreflightError("no Ray cluster at auto")

    monkeypatch.setattr(agents, "_join", not_yet)
    monkeypatch.setattr(agents, "JOIN_EVERY_S", 0.0)
    joined = tmp_path / "joined"
    with pytest.raises(PreflightError, match="no Ray cluster"):
        join("auto", joined)
    joined.touch()
    join("auto", joined)
    assert asked == ["auto"] * 4
    joined.unlink()
    join("auto", joined)
    assert joined.exists()


@pytest.mark.parametrize(
    ("machines", "stage"),
    [
        ([{"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0, "memory": 1 << 30}], "no machine of the cluster is large enough"),
        ([{"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0, "memory": 4 << 30}], "waiting for room"),
        ([], "no machine of the cluster is large enough"),
    ],
)
def test_the_stage_says_what_is_waited_for(tmp_path: Path, machines: list[dict[str, float]], stage: str) -> None:
    options = {"memory_gib": 2.0, "ray": Reservation(num_cpus=4)}
    _, part = parts_of(tmp_path, engine(**options), device=DeviceProfile(kind="gpu", memory_gib=80))
    said = why_it_waits(machines, needs(part, tmp_path))
    assert said.endswith(" 4 CPU, 1 GPU, 2.0 GiB of memory: waiting for one")
    assert part.stage(said) == stage


@pytest.mark.parametrize(
    ("wanted", "waits"),
    [
        ([], False),
        ([{"CPU": 1.0}], False),
        ([{"CPU": 4.0, "memory": float(2 << 30)}], True),
        ([{"CPU": 4.0, "memory": float(1 << 30)}], False),
        ([{"GPU": 1.0}, {"memory": 2 * 1024.0**3, "CPU": 4.0}], True),
    ],
)
def test_room_is_waited_for_by_who_has_no_machine(wanted: list[dict[str, float]], waits: bool) -> None:
    assert waits_for_room(wanted, {"CPU": 4, "GPU": 0.0, "memory": 2 << 30}) is waits


def test_a_process_that_starts_slowly_does_not_wait_for_room(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Said is only what is so, and once."""
    wanted, machines = {"CPU": 1.0}, [{"CPU": 1.0}]
    seen: list[Any] = [([], machines), RuntimeError("the head is away"), ([], machines), ([wanted], machines)]

    def look() -> Any:
        if isinstance(found := seen.pop(0), Exception):
            raise found
        return found

    monkeypatch.setattr(agents, "ROOM_WITHIN_S", 0.0)
    monkeypatch.setattr(agents, "_look_round", look)
    agents._tell_of_room(wanted, threading.Event())
    assert (seen, capfd.readouterr().out) == ([], "No machine of the cluster has left 1 CPU: waiting for one\n")


def test_who_begins_while_one_looks_does_not_wait_for_room(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = threading.Event()

    def look() -> Any:
        begun.set()
        return [{"CPU": 1.0}], [{"CPU": 1.0}]

    monkeypatch.setattr(agents, "ROOM_WITHIN_S", 0.0)
    monkeypatch.setattr(agents, "_look_round", look)
    agents._tell_of_room({"CPU": 1.0}, begun)
    assert capfd.readouterr().out == ""


def test_the_profile_of_the_document_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(\[ray\].*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL)
    path = tmp_path / "ray.toml"
    path.write_text(text)
    (found,) = load_profile(str(path)).engines
    assert (found.replicas, found.replicas_here, found.ray) == (4, 0, Reservation(num_cpus=4))
