"""Runs of the batch client that are interrupted, killed, or meet each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import command, pictures, results, run, seen_in, start, wait_until
from behaviours import answering, slowly
from fake_servers import error, free_port

from client.record import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers


@pytest.fixture(autouse=True)
def hangups_count() -> Iterator[None]:
    """Also where the tests themselves were started with `nohup`, whose disregard all their processes inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_finishes_what_is_in_flight(servers: FakeServers, tmp_path: Path, how: str) -> None:
    servers.on_ask = slowly(0.5)
    pictures(tmp_path / "ads", 60)
    process = start(servers, "ads", "--concurrency", "3", "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) >= 6)
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes of the run
    else:
        process.send_signal(signal.Signals[how])
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 130, output
    assert "interrupted" in output
    # What is to be typed to go on stands at the end, as it was typed.
    url = servers.url
    read = f"BABELVIEW_BASE_URL={url}/v1 BABELVIEW_TRANSLATOR={url}"
    again = f"{read} python -m client.batch ads --concurrency 3 --languages ''"
    assert output.splitlines()[-1] == f"to go on: {again}"
    found = results(tmp_path)
    asked = len(servers.asked)
    assert asked < 60
    assert sum("describe" in record["tasks"] for record in found["files"]) == asked
    assert found["stats"]["interrupted"]
    assert len(found["files"]) == 60
    assert {record["error"] for record in found["files"] if not record["tasks"]} == {UNFINISHED}
    servers.on_ask = None
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert sorted(map(int, seen_in(servers.asked))) == list(range(60))  # each once, nothing twice


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_twice_is_told_how_to_go_on_at_once(
    servers: FakeServers, tmp_path: Path, number: signal.Signals
) -> None:
    """A run that is interrupted once waits for what is in flight, and says how far it has come."""
    servers.on_ask = slowly(100)
    process = start(servers, pictures(tmp_path / "ads", 2), "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) >= 2)
    process.send_signal(number)
    assert process.stderr
    while "interrupted" not in process.stderr.readline():
        pass
    process.send_signal(number)
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert output.startswith("to go on: BABELVIEW_BASE_URL=")
    assert output.endswith(f" python -m client.batch {tmp_path / 'ads'} --languages ''\n")
    assert output.count("\n") == 1


@pytest.mark.parametrize("option", [("--image-model", "nosuch"), ("--translator", "{url}/nothing")])
def test_a_refused_command_is_not_recommended(servers: FakeServers, tmp_path: Path, option: tuple[str, str]) -> None:
    pictures(tmp_path / "ads", 2)
    (tmp_path / "ads" / "0000.jpg").write_bytes(b"no picture")  # is finished before the servers are looked at
    servers.on_ask = answering(lambda: error(404, "The model does not exist."))
    done = run(servers, "ads", *(word.format(url=servers.url) for word in option), cwd=tmp_path)
    assert done.returncode == 2
    assert "go on" not in done.stderr


def test_a_command_whose_key_is_refused_is_not_recommended(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = answering(lambda: error(401, "who are you?"))
    done = run(servers, pictures(tmp_path / "ads", 2), "--languages", "", cwd=tmp_path)
    assert done.returncode == 1
    assert "is BABELVIEW_API_KEY" in done.stderr
    assert "go on" not in done.stderr


def exit_code_without_terminal(servers: FakeServers, cwd: Path, *, heeds_hangup: bool) -> int:
    """Of a run over ./ads whose terminal is closed once six requests were seen."""

    servers.on_ask = slowly(0.5)
    line, environment = command(servers, "ads", "--concurrency", "3", "--languages", "")
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL if heeds_hangup else signal.SIG_IGN)
        os.chdir(cwd)
        os.execve(line[0], line, environment)
    os.set_blocking(terminal, False)

    def under_way() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 1 << 16)  # a terminal that nobody reads holds up who writes to it
        return len(servers.asked) >= 6

    wait_until(under_way)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_that_is_closed_interrupts_too(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 60)
    assert exit_code_without_terminal(servers, tmp_path, heeds_hangup=True) == 130
    found = results(tmp_path)
    assert sum("describe" in record["tasks"] for record in found["files"]) == len(servers.asked) < 60
    assert found["stats"]["interrupted"]


def test_a_run_that_heeds_no_hangup_goes_on_without_its_terminal(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 20)
    assert exit_code_without_terminal(servers, tmp_path, heeds_hangup=False) == 0
    assert all("describe" in record["tasks"] for record in results(tmp_path)["files"])


def test_what_nohup_started_outlives_its_terminal(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = slowly(0.2)
    pictures(tmp_path / "ads", 12)
    line, environment = command(servers, "ads", "--concurrency", "3", "--languages", "")
    process = subprocess.Popen(["nohup", *line], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(servers.asked) >= 3)
    process.send_signal(signal.SIGHUP)
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 0, output
    assert len(servers.asked) == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_before_anything_has_begun_gets_no_traceback(
    servers: FakeServers, tmp_path: Path, number: signal.Signals
) -> None:
    pictures(tmp_path / "ads", 1)
    # Python says so when it has imported the first module of ours, long before the last.
    line, environment = command(servers, "ads")
    process = subprocess.Popen(
        [line[0], "-v", *line[1:]], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    for said in iter(process.stderr.readline, ""):
        if "import 'client.errors'" in said or "import 'client.export'" in said:
            break
    else:
        pytest.fail("it ended before it was interrupted")
    process.send_signal(number)
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in output
    assert not (tmp_path / "captions").exists()


@pytest.mark.parametrize(("option", "again"), [("--quiet", True), ("--dry-run", False)])
def test_who_interrupts_while_files_are_looked_for_is_told_how_to_go_on(
    servers: FakeServers, tmp_path: Path, option: str, again: bool
) -> None:
    os.mkfifo(tmp_path / "list")
    process = start(servers, "--manifest", "list", option, cwd=tmp_path)
    opened: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):  # nobody reads it yet
            opened.append(os.open(tmp_path / "list", os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened) or process.poll() is not None

    wait_until(is_read)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[1]
    os.close(opened[0])
    assert process.returncode == 130
    read = f"BABELVIEW_BASE_URL={servers.url}/v1 BABELVIEW_TRANSLATOR={servers.url}"
    how = f"; to go on: {read} python -m client.batch --manifest list {option}" if again else ""
    assert output == f"interrupted{how}\n"


@pytest.mark.parametrize("away", ["--base-url", "--translator"])
def test_a_run_that_waits_for_a_server_can_be_interrupted(servers: FakeServers, tmp_path: Path, away: str) -> None:
    pictures(tmp_path / "ads", 3)
    nowhere = f"http://127.0.0.1:{free_port()}"
    process = start(servers, "ads", "--languages", "fra_Latn", away, nowhere, cwd=tmp_path)
    assert process.stderr
    assert "waiting up to 10 min for it" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 130, output
    assert "3 not finished" in output
    assert "Traceback" not in output
    assert results(tmp_path)["stats"]["interrupted"]


def test_a_second_run_on_the_same_ledger_says_so(servers: FakeServers, tmp_path: Path) -> None:
    second_is_over = threading.Event()

    async def answer(_: web.Request, __: dict[str, Any], ___: int) -> web.StreamResponse | None:
        await asyncio.to_thread(second_is_over.wait, 100)
        return None

    servers.on_ask = answer
    pictures(tmp_path / "ads", 1)
    process = start(servers, "ads", "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) == 1)
    second = run(servers, "ads", cwd=tmp_path)
    second_is_over.set()
    assert second.returncode == 1
    assert f"another run (process {process.pid})" in second.stderr
    process.communicate(timeout=60)
    assert process.returncode == 0
