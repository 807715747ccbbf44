"""Engines that share a GPU: one starts at a time, and the gateway reaches none before all sleep."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from test_server_supervisor import Notes, make_part, running, until

from server.supervision.sleep_group import SleepGroup
from server.supervision.supervisor import State

if TYPE_CHECKING:
    from pathlib import Path

    from server.stack import Stack
    from server.supervision.part import Part


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    return [toy(tmp_path, name, "good") for name in ("a", "b")]


def toy(folder: Path, name: str, mode: str) -> Part:
    (folder / name).mkdir()
    return make_part(
        folder / name,
        mode,
        name,
        sleep_group="0",
        public_socket=folder / f"{name}.sock",
        socket=folder / f"{name}.inner",
    )


def events(folder: Path) -> list[str]:
    return (folder / "events").read_text().splitlines()


def published(stack: Stack) -> list[bool]:
    return [
        bool(supervisor.part.public_socket and supervisor.part.public_socket.is_symlink())
        for supervisor in stack.supervisors
    ]


def in_turn(said: list[str]) -> bool:
    """Each start is followed by its own falling asleep before anybody else starts."""
    pairs = list(zip(said[::2], said[1::2], strict=True))
    return all(slept == started.replace("started", "slept") for started, slept in pairs)


async def test_each_sleeps_before_the_next_one_starts_and_then_all_are_published(
    tmp_path: Path, parts: list[Part]
) -> None:
    async with running(parts, tmp_path, Notes()) as (stack, _):
        assert len(events(tmp_path)) == 4
        assert in_turn(events(tmp_path))
        assert published(stack) == [True, True]
    assert published(stack) == [False, False]


async def test_when_one_ends_all_are_started_again_and_none_is_published_before(
    tmp_path: Path, parts: list[Part]
) -> None:
    async with running(parts, tmp_path, Notes()) as (stack, _):
        killed = stack.supervisors[0].pid
        assert killed
        os.kill(killed, signal.SIGKILL)
        await until(lambda: published(stack) == [False, False])
        await until(lambda: published(stack) == [True, True])
        assert in_turn(events(tmp_path))
        assert len(events(tmp_path)) == 8
        assert [supervisor.restarts for supervisor in stack.supervisors] == [1, 1]
        assert stack.supervisors[1].reason == "a, on the same GPU, has ended"


async def test_one_that_is_given_up_leaves_the_gpu_to_the_other(tmp_path: Path) -> None:
    parts = [toy(tmp_path, "bad", "crash-asleep"), toy(tmp_path, "good", "good")]
    async with running(parts, tmp_path, Notes()) as (stack, _):
        await until(lambda: stack.supervisors[0].state is State.FAILED)
        await until(lambda: stack.supervisors[1].state is State.READY and published(stack) == [False, True])


async def test_nobody_waits_for_an_empty_gpu(tmp_path: Path) -> None:
    group = SleepGroup()
    async with running([make_part(tmp_path, "good")], tmp_path, Notes()) as (stack, _):
        await group.wait_for_turn(stack.supervisors[0])
