"""Supervision of real processes: restart, giving up, stopping, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace as replace_part
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from fake_servers import free_port
from msgspec.structs import replace

from server.errors import PartFailedError
from server.policy import Policy
from server.stack import Stack
from server.supervision.part import Part, Probe
from server.supervision.process import Process, describe_exit
from server.supervision.reaper import Reaper
from server.supervision.supervisor import ProcessSupervisor, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

HERE = Path(__file__).parent
DEADLINE_S = 30.0
BRISK = Policy(probe_every_s=0.1, probe_timeout_s=0.5, failures=2, backoff_s=0.01, crashes=3, memory_every_s=0.1)


def make_part(folder: Path, mode: str, name: str = "toy", socket: Path | None = None, **more: Any) -> Part:
    listens = str(socket or free_port())
    address = "http://toy" if socket else f"http://127.0.0.1:{listens}"
    return Part(
        name=name,
        what=mode,
        command=(sys.executable, str(HERE / "server_part.py"), listens, str(folder), mode, str(folder / "heartbeat")),
        heartbeat=folder / "heartbeat",
        address=address,
        probe=Probe(address, "/health", socket),
        start_timeout_s=DEADLINE_S,
        stop_grace_s=1.0,
        stages=(("stage two", "two"),),
        **more,
    )


def pids(folder: Path) -> list[list[int]]:
    """Process ids per start: the part's and its child's."""
    lines = (folder / "pids").read_text().splitlines() if (folder / "pids").exists() else []
    return [[int(pid) for pid in line.split()] for line in lines]


def alive(folder: Path) -> list[int]:
    def runs(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [pid for start in pids(folder) for pid in start if runs(pid)]


def wait_until_dead(folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while alive(folder):
        assert time.monotonic() < deadline, f"still alive: {alive(folder)}"
        time.sleep(0.05)


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.crashes: asyncio.Queue[str] = asyncio.Queue()
        self.states: list[tuple[State, str]] = []

    def changed(self, supervisor: ProcessSupervisor) -> None:
        self.states.append((supervisor.state, supervisor.stage))

    def crashed(self, supervisor: ProcessSupervisor, reason: str, tail: str) -> None:
        assert "stage two" in tail
        self.crashes.put_nowait(reason)


@asynccontextmanager
async def running(
    parts: list[Part], folder: Path, notes: Notes, policy: Policy = BRISK
) -> AsyncIterator[tuple[Stack, asyncio.Task[None]]]:
    ready = asyncio.Event()
    async with Reaper(folder / "runtime") as reaper:
        stack = Stack(parts, logs=folder, reaper=reaper, reporter=notes, policy=policy)
        task = asyncio.create_task(stack.run(lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([task, waiting], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            yield stack, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def notes() -> Notes:
    return Notes()


async def until(true: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    await asyncio.wait_for(poll(), DEADLINE_S)


async def ready_again(stack: Stack) -> None:
    await until(lambda: stack.supervisors[0].state is State.READY)


async def test_one_that_was_never_ready_is_not_waited_for(tmp_path: Path, notes: Notes) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    (folder / "ill").touch()
    part = replace_part(make_part(folder, "stubborn"), stop_grace_s=3600.0)
    async with Reaper(tmp_path / "runtime") as reaper:
        stack = Stack([part], logs=tmp_path, reaper=reaper, reporter=notes, policy=BRISK)
        task = asyncio.create_task(stack.run(lambda _: None))
        await until(lambda: (tmp_path / "events").exists() and "ignores" in (tmp_path / "events").read_text())
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), DEADLINE_S)


async def test_a_part_that_is_killed_is_reported_and_restarted(tmp_path: Path, notes: Notes) -> None:
    async with running([make_part(tmp_path, "good")], tmp_path, notes) as (stack, _):
        first = stack.supervisors[0].pid
        assert first == pids(tmp_path)[0][0]
        os.kill(first, signal.SIGKILL)
        assert "SIGKILL" in await asyncio.wait_for(notes.crashes.get(), DEADLINE_S)
        await ready_again(stack)
        assert stack.supervisors[0].pid == pids(tmp_path)[1][0] != first
        assert set(alive(tmp_path)) == set(pids(tmp_path)[1])  # the killed part's child is gone as well
    wait_until_dead(tmp_path)


async def test_a_part_that_hangs_is_restarted(tmp_path: Path, notes: Notes) -> None:
    async with running([make_part(tmp_path, "good")], tmp_path, notes) as (stack, _):
        (tmp_path / "ill").touch()
        assert "health checks" in await asyncio.wait_for(notes.crashes.get(), DEADLINE_S)
        (tmp_path / "ill").unlink()
        await ready_again(stack)
        assert len(pids(tmp_path)) == 2


async def test_a_part_in_a_long_step_is_left_alone_and_found_once_it_is_stopped(tmp_path: Path, notes: Notes) -> None:
    async with running([make_part(tmp_path, "stepping")], tmp_path, notes) as (stack, _):
        (tmp_path / "ill").touch()
        await asyncio.sleep(2.0)  # three times as long as a part that hangs is left alone
        assert stack.supervisors[0].state is State.READY
        assert len(pids(tmp_path)) == 1
        os.kill(pids(tmp_path)[0][0], signal.SIGSTOP)
        assert "health checks" in await asyncio.wait_for(notes.crashes.get(), DEADLINE_S)
        (tmp_path / "ill").unlink()
        await ready_again(stack)


async def test_a_step_that_takes_too_long_is_ended(tmp_path: Path, notes: Notes) -> None:
    strict = replace(BRISK, longest_step_s=1.5)
    async with running([make_part(tmp_path, "stepping")], tmp_path, notes, strict) as (stack, _):
        (tmp_path / "ill").touch()
        began = time.monotonic()
        assert "health checks" in await asyncio.wait_for(notes.crashes.get(), DEADLINE_S)
        assert time.monotonic() - began > 1.0
        (tmp_path / "ill").unlink()
        await ready_again(stack)


async def test_a_part_that_answers_again_in_time_is_left_alone(tmp_path: Path, notes: Notes) -> None:
    patient = replace(BRISK, failures=1000)
    async with running([make_part(tmp_path, "good")], tmp_path, notes, patient) as (stack, _):
        (tmp_path / "ill").touch()
        await until(lambda: stack.supervisors[0].state is State.UNHEALTHY)
        (tmp_path / "ill").unlink()
        await until(lambda: stack.supervisors[0].state is State.READY)
        assert len(pids(tmp_path)) == 1


async def test_a_part_that_takes_too_much_memory_is_restarted(tmp_path: Path, notes: Notes) -> None:
    part = make_part(tmp_path, "good", memory_limit_gib=0.001)
    async with running([part], tmp_path, notes):
        reason = await asyncio.wait_for(notes.crashes.get(), DEADLINE_S)
        assert "GiB of memory, its limit is 0.001 GiB" in reason
        await until(lambda: len(pids(tmp_path)) > 1)


async def test_a_part_within_its_memory_is_left_alone(tmp_path: Path, notes: Notes) -> None:
    async with running([make_part(tmp_path, "good", memory_limit_gib=8.0)], tmp_path, notes) as (stack, _):
        await until(lambda: stack.supervisors[0].memory_bytes > 1 << 20)
        assert stack.supervisors[0].state is State.READY
        assert len(pids(tmp_path)) == 1


async def test_one_that_is_given_up_leaves_the_others_running(tmp_path: Path, notes: Notes) -> None:
    other = tmp_path / "other"
    other.mkdir()
    parts = [make_part(tmp_path, "crash"), make_part(other, "good", "other")]
    async with running(parts, tmp_path, notes) as (stack, task):
        await until(lambda: stack.supervisors[0].state is State.FAILED)
        assert len(pids(tmp_path)) == 3
        wait_until_dead(tmp_path)
        assert not task.done()
        assert stack.supervisors[1].state is State.READY
        assert stack.supervisors[0].reason is not None
        assert "SIGSEGV" in stack.supervisors[0].reason


@pytest.mark.parametrize("others", [0, 1])
async def test_without_what_matters_everything_stops(tmp_path: Path, notes: Notes, others: int) -> None:
    other = tmp_path / "other"
    other.mkdir()
    parts = [make_part(tmp_path, "crash", vital=True), make_part(other, "good", "other")][: 1 + others]
    async with running(parts, tmp_path, notes) as (_, task):
        with pytest.raises(PartFailedError, match=r"(?s)toy gave up after 3 crashes.*SIGSEGV.*stage two"):
            await asyncio.wait_for(task, DEADLINE_S)
    assert len(pids(tmp_path)) == 3
    wait_until_dead(tmp_path)
    wait_until_dead(other)


async def test_crashes_that_a_request_is_to_blame_for_do_not_count(tmp_path: Path, notes: Notes) -> None:
    other = tmp_path / "other"
    other.mkdir()
    poison_log = tmp_path / "poison"
    poison_log.write_text("digest\n" * 2)  # as the gateway writes, here of the first crash and one before
    parts = [make_part(tmp_path, "crash", poison_log=poison_log), make_part(other, "good", "other")]
    async with running(parts, tmp_path, notes) as (stack, _):
        await until(lambda: stack.supervisors[0].state is State.FAILED)
        assert len(pids(tmp_path)) == BRISK.crashes + 1


async def test_a_part_that_cannot_start_fails_the_stack_with_its_last_words(tmp_path: Path, notes: Notes) -> None:
    async with running([make_part(tmp_path, "fail")], tmp_path, notes) as (_, task):
        with pytest.raises(PartFailedError, match=r"(?s)toy did not start: .*exit code 1.*no weights in the box"):
            await task
    wait_until_dead(tmp_path)


async def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path, notes: Notes) -> None:
    async with running([make_part(tmp_path, "stubborn")], tmp_path, notes):
        assert alive(tmp_path)
    wait_until_dead(tmp_path)


async def test_stages_come_from_the_log(tmp_path: Path) -> None:
    class Patient(Notes):
        """Lets the part go on once its line was read."""

        def changed(self, supervisor: ProcessSupervisor) -> None:
            super().changed(supervisor)
            if supervisor.stage == "two":
                (tmp_path / "go").touch()

    notes = Patient()
    async with running([make_part(tmp_path, "told")], tmp_path, notes):
        *before, told, ready = notes.states
        assert before in ([], [(State.STARTING, "starting")])  # on a busy machine its line is there at once
        assert (told, ready) == ((State.STARTING, "two"), (State.READY, "two"))


async def test_a_stage_that_is_told_before_the_part_is_held_is_kept(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Process.start

    async def slow(*arguments: Any, log: Any, **more: Any) -> Process:
        process = await start(*arguments, log=log, **more)
        await until(lambda: "stage two" in log.path.read_text())
        return process

    monkeypatch.setattr(Process, "start", slow)
    async with running([make_part(tmp_path, "good")], tmp_path, notes):
        assert notes.states == [(State.STARTING, "two"), (State.READY, "two")]


class Scripted:
    """A probe whose answers are known beforehand."""

    def __init__(self, answers: str) -> None:
        self.answers = iter(answers)
        self.asked = 0

    async def healthy(self, timeout_s: float) -> bool:
        self.asked += 1
        return next(self.answers) == "+"


@pytest.mark.parametrize(
    ("answers", "asked", "states"),
    [
        ("+---", 4, [State.UNHEALTHY]),
        ("--+---", 6, [State.UNHEALTHY, State.READY, State.UNHEALTHY]),
        ("-+-+--+-+---", 12, [State.UNHEALTHY, State.READY] * 4 + [State.UNHEALTHY]),
    ],
)
async def test_a_part_hangs_once_so_many_probes_in_a_row_have_failed(
    tmp_path: Path, notes: Notes, answers: str, asked: int, states: list[State]
) -> None:
    probe = Scripted(answers + "+++")
    part = replace_part(make_part(tmp_path, "good"), probe=probe)
    policy = Policy(failures=3, probe_every_s=0.001)
    supervisor = ProcessSupervisor(part, tmp_path / "log", Reaper(tmp_path), notes, policy=policy)
    supervisor.state = State.READY
    ended = asyncio.get_running_loop().create_future()
    reason = await asyncio.wait_for(supervisor._until_ill(SimpleNamespace(pid=os.getpid()), ended), DEADLINE_S)  # type: ignore[arg-type]
    assert reason == "it hangs: it runs, but failed 3 health checks in a row"
    assert probe.asked == asked
    assert [state for state, _ in notes.states] == states


@pytest.fixture
def stack_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A stack in a process of its own, once it says that it is up."""
    command = [sys.executable, str(HERE / "server_stack_script.py"), str(free_port()), str(tmp_path), "good"]
    root = str(HERE.parents[1])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root})
    assert process.stdout
    for line in process.stdout:
        if "is up" in line:
            break
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_in_order(
    stack_process: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert len(alive(tmp_path)) == 2
    stack_process.send_signal(number)
    assert stack_process.wait(DEADLINE_S) == 0
    wait_until_dead(tmp_path)
    assert not list(tmp_path.glob("run-*"))


def test_nothing_outlives_a_supervisor_that_is_killed(stack_process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert len(alive(tmp_path)) == 2
    stack_process.kill()
    stack_process.wait()
    wait_until_dead(tmp_path)
    deadline = time.monotonic() + DEADLINE_S
    while list(tmp_path.glob("run-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "it ended by itself with exit code 3"),
        (-9, "it was killed by SIGKILL"),
        (-99, "it was killed by signal 99"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
