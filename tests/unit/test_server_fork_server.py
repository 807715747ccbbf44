"""Parts that are forked from a process that has imported what they need: real processes, and how each of them ends."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from server.parts import open_gateway_socket, stack_parts
from server.profile import load_profile
from server.supervision import fork_server
from server.supervision.fork_server import Child, ForkServers
from server.supervision.part import Forked
from server.supervision.process import ROOT, kill_group
from server.supervision.reaper import Reaper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
LATE = frozenset({"LATE"})


class Rig:
    """Fork servers, and a file for what forked parts say."""

    def __init__(self, folder: Path, reaper: Reaper) -> None:
        self.servers = ForkServers(reaper)
        self.said, self.imports = folder / "said", folder / "imports"
        self.said.touch()

    async def fork(self, *arguments: str, **env: str) -> Child | None:
        common = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{HERE}:{ROOT}", "IMPORTS": str(self.imports)}
        with self.said.open("a") as output:
            part = Forked("forked_part", arguments, LATE)
            return await self.servers.fork(part, common | env, output.fileno())

    async def words(self, lines: int) -> list[list[str]]:
        """The words of so many lines, once there are."""
        async with asyncio.timeout(60):
            while len(said := self.said.read_text().splitlines()) < lines:  # noqa: ASYNC110  # by other processes
                await asyncio.sleep(0.01)
        return [line.split() for line in said]

    async def importing(self) -> int:
        """The process that imports, once it does."""
        async with asyncio.timeout(60):
            while not (self.imports.exists() and self.imports.read_text()):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
        return int(self.imports.read_text().split()[-1])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(tmp_path) as rig:
        yield rig


@asynccontextmanager
async def rigged(folder: Path) -> AsyncIterator[Rig]:
    async with Reaper(folder / "runtime") as reaper:
        rig = Rig(folder, reaper)
        yield rig
        await rig.servers.stop()


async def started(rig: Rig, *arguments: str, **env: str) -> Child:
    child = await rig.fork(*arguments, **env)
    assert child is not None
    return child


async def stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(60):
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110  # the kernel does not tell
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        async with asyncio.timeout(60):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110  # the kernel does not tell
                await asyncio.sleep(0.01)


async def test_parts_of_the_same_imports_come_of_one_process(rig: Rig) -> None:
    one, other = await asyncio.gather(started(rig, "a", LATE="1"), started(rig, "b", LATE="2"))
    another = await started(rig, "c", EARLY="3")
    said = {words[2]: words for words in await rig.words(3)}
    imported = rig.imports.read_text().split()
    assert len(imported) == 2
    assert said["a"] == [imported[0], str(one.pid), "a", "1"]  # its parent, its group
    assert said["b"] == [imported[0], str(other.pid), "b", "2"]
    assert said["c"] == [imported[1], str(another.pid), "c", "None"]
    assert psutil.Process(one.pid).cmdline()[0].endswith(" -P -m forked_part a")
    for child in (one, other, another):
        kill_group(child.pid)


async def test_how_they_end_is_told(rig: Rig) -> None:
    failed, raised, ended = [await started(rig, word) for word in ("fail", "raise", "stays")]
    assert await failed.wait() == 3
    assert await raised.wait() == 1
    assert "RuntimeError: not like this" in rig.said.read_text()
    assert ended.returncode is None
    ended.terminate()
    assert await ended.wait() == ended.returncode == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        ended.terminate()


async def test_when_it_dies_its_children_go_too_and_the_next_comes_of_another(rig: Rig) -> None:
    child = await started(rig, "a")
    os.kill(await rig.importing(), signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    await gone(child.pid)
    kill_group((await started(rig, "b")).pid)
    assert len(rig.imports.read_text().split()) == 2


async def test_one_that_is_stuck_is_replaced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    child, other = [await started(rig, word) for word in ("a", "b")]
    monkeypatch.setattr(fork_server, "LONGEST_FORK_S", 0.2)
    monkeypatch.setattr(fork_server, "TOLD_WITHIN_S", 0.2)
    await stopped(await rig.importing())
    kill_group(child.pid)
    assert await child.wait() == -signal.SIGKILL
    assert other.returncode is None
    assert await rig.fork("c") is None
    assert await other.wait() == -signal.SIGKILL  # with what it was forked from
    monkeypatch.undo()
    kill_group((await started(rig, "d")).pid)
    assert len(rig.imports.read_text().split()) == 2


async def test_a_part_just_forked_can_be_told_to_end(rig: Rig) -> None:
    await started(rig, "first")
    for number in range(30):
        child = await started(rig, str(number))
        child.terminate()  # it is hardly there
        async with asyncio.timeout(60):
            assert await child.wait() == -signal.SIGTERM


async def test_where_there_is_no_room_for_one_more_those_that_run_stay(rig: Rig) -> None:
    child = await started(rig, "a", FULL="1")
    assert await rig.fork("b", FULL="1") is None
    assert child.returncode is None
    child.terminate()
    assert await child.wait() == -signal.SIGTERM


async def test_one_whose_socket_somebody_else_holds_is_replaced_and_stopped(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, held = socket.socketpair, list[socket.socket]()

    def pair(*kind: int) -> tuple[socket.socket, socket.socket]:
        ours, theirs = real(*kind)
        held.append(theirs.dup())
        return ours, theirs

    monkeypatch.setattr(socket, "socketpair", pair)
    child = await started(rig, "a")
    await stopped(await rig.importing())
    with monkeypatch.context() as short:
        short.setattr(fork_server, "LONGEST_FORK_S", 0.2)
        assert await rig.fork("b") is None
    await gone(await rig.importing())
    other = await started(rig, "c")
    async with asyncio.timeout(60):
        await rig.servers.stop()
    assert [child.returncode, other.returncode] == [-signal.SIGKILL] * 2
    assert len(held) == len(rig.imports.read_text().split()) == 2
    for each in held:
        each.close()


async def test_one_that_cannot_be_started_leaves_no_socket(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    both = socket.socketpair()
    monkeypatch.setattr(socket, "socketpair", lambda *_: both)

    async def full(*_: Any, **__: Any) -> None:
        raise BlockingIOError

    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)
    with pytest.raises(BlockingIOError):
        await rig.fork("a")
    assert [each.fileno() for each in both] == [-1, -1]


async def test_a_start_that_is_given_up_when_all_is_done_leaves_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await started(rig, "first")
    (server,) = rig.servers._servers.values()
    real = server._started

    def forked(pid: int) -> None:
        real(pid)
        starting.cancel()  # its result is there, and it has not gone on

    monkeypatch.setattr(server, "_started", forked)
    starting = asyncio.create_task(rig.fork("second"))
    with pytest.raises(asyncio.CancelledError):
        await starting
    _, second = server._children.values()
    async with asyncio.timeout(60):
        assert await second.wait() == -signal.SIGKILL


async def test_an_end_that_was_not_told_is_not_that_of_another_with_its_number(rig: Rig) -> None:
    child = await started(rig, "a")
    (server,) = rig.servers._servers.values()
    server._is_not_told(Child(child.pid))
    assert child.returncode is None


async def test_the_end_is_told_too_where_no_descriptor_is_free(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_free(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    wrong: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    await started(rig, "first")
    monkeypatch.setattr(os, "pidfd_open", none_free)
    child = await started(rig, "a")
    child.terminate()
    assert await child.wait() == -signal.SIGTERM
    assert not wrong


async def test_what_cannot_be_imported_is_not_forked(rig: Rig) -> None:
    assert await rig.fork("a", BROKEN="1") is None
    assert await rig.fork("b", BROKEN="1") is None
    assert not rig.said.read_text()


async def test_what_is_forked_for_a_start_that_was_given_up_is_killed(rig: Rig, tmp_path: Path) -> None:
    starting = asyncio.create_task(rig.fork("a", UNTIL=str(tmp_path / "until")))
    importing = await rig.importing()
    starting.cancel()
    await asyncio.wait([starting])
    (tmp_path / "until").touch()
    (server,) = rig.servers._servers.values()
    async with asyncio.timeout(60):
        while server._waiting or psutil.Process(importing).children():  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)


async def test_its_end_is_not_waited_for_while_it_imports(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        starting = asyncio.create_task(rig.fork("a", UNTIL=str(tmp_path / "never")))
        importing = await rig.importing()
        starting.cancel()
    assert not psutil.pid_exists(importing)


async def test_what_it_has_forked_ends_with_it(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        child = await started(rig, "a")
        (server,) = rig.servers._servers.values()
        server._children.clear()  # as if it had not told yet
        server._process.kill()
        await gone(child.pid)


async def test_it_is_gone_with_the_process_that_started_it(tmp_path: Path) -> None:
    async with Reaper(tmp_path / "runtime") as reaper:
        rig = Rig(tmp_path, reaper)
        child = await started(rig, "a")
        server = psutil.Process(await rig.importing())
        (of_it,) = rig.servers._servers.values()
        of_it._orders.close()  # as the kernel does
    await asyncio.to_thread(server.wait, 60)
    kill_group(child.pid)


def test_the_demos_engines_come_of_one(tmp_path: Path) -> None:
    profile = load_profile("demo").with_settings(port=0, translator_port=0)
    with open_gateway_socket(profile.gateway) as listener:
        parts = [part for part in stack_parts(profile, tmp_path, listener) if part.forked]
    assert len(parts) == 3
    for part in parts:
        assert part.forked is not None
        assert part.command[2:] == ("-m", part.forked.module, *part.forked.arguments)
    early = [
        {name: value for name, value in part.env.items() if name not in part.forked.late}
        for part in parts
        if part.forked
    ]
    assert early[0] == early[1] == early[2]
