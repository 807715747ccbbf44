"""What the supervisor tells about its parts, and to whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.errors import PreflightError
from server.status import ask, serve_status, status_socket
from server.supervision.part import Part, Probe
from server.supervision.reaper import Reaper
from server.supervision.supervisor import ProcessSupervisor

if TYPE_CHECKING:
    from pathlib import Path


class Silent:
    def changed(self, supervisor: ProcessSupervisor) -> None:
        """Nothing."""

    def crashed(self, supervisor: ProcessSupervisor, reason: str, tail: str) -> None:
        """Nothing."""


def supervisor(folder: Path) -> ProcessSupervisor:
    part = Part(
        name="toy", what="a toy", command=("true",), address="http://127.0.0.1:1", probe=Probe("http://x", "/health")
    )
    return ProcessSupervisor(part, folder / "toy.log", Reaper(folder), Silent())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return status_socket(1).parent


async def test_everybody_who_asks_is_told(home: Path, tmp_path: Path) -> None:
    async with serve_status(status_socket(81), [supervisor(tmp_path)]):
        assert mode(home) == 0o700
        for _ in range(2):
            told = await asyncio.to_thread(ask, 81)
            assert told is not None
            (part,) = told["parts"]
            assert (part["name"], part["state"], part["pid"], part["restarts"]) == ("toy", "stopped", None, 0)
    assert ask(81) is None


@pytest.fixture
def stale(home: Path) -> Path:
    home.mkdir(mode=0o700)
    status_socket(81).touch()
    return home


@pytest.mark.usefixtures("stale")
async def test_a_socket_that_a_killed_supervisor_left_is_replaced(tmp_path: Path) -> None:
    assert ask(81) is None
    async with serve_status(status_socket(81), [supervisor(tmp_path)]):
        assert await asyncio.to_thread(ask, 81)


@pytest.mark.usefixtures("home")
def test_nobody_runs() -> None:
    assert ask(81) is None


@pytest.fixture
def open_to_others(home: Path) -> Path:
    home.mkdir(mode=0o755)
    return home


async def test_a_folder_that_others_may_enter_is_refused(open_to_others: Path, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=str(open_to_others)):
        async with serve_status(status_socket(81), [supervisor(tmp_path)]):
            pass
