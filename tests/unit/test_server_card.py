"""Engines that share a card: one starts at a time, and the gateway reaches none before all sleep."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from test_server_supervisor import Notes, make_part, running, until

from server.supervision.sleep_group import Card
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
    return make_part(folder / name, mode, name, card="0", door=folder / f"{name}.sock", socket=folder / f"{name}.inner")


def events(folder: Path) -> list[str]:
    return (folder / "events").read_text().splitlines()


def doors(stack: Stack) -> list[bool]:
    return [bool(keeper.part.door and keeper.part.door.is_symlink()) for keeper in stack.keepers]


def in_turn(said: list[str]) -> bool:
    """Each start is followed by its own falling asleep before anybody else starts."""
    pairs = list(zip(said[::2], said[1::2], strict=True))
    return all(slept == started.replace("started", "slept") for started, slept in pairs)


async def test_each_sleeps_before_the_next_one_starts_and_then_the_doors_open(
    tmp_path: Path, parts: list[Part]
) -> None:
    async with running(parts, tmp_path, Notes()) as (stack, _):
        assert len(events(tmp_path)) == 4
        assert in_turn(events(tmp_path))
        assert doors(stack) == [True, True]
    assert doors(stack) == [False, False]


async def test_when_one_ends_all_are_started_again_behind_shut_doors(tmp_path: Path, parts: list[Part]) -> None:
    async with running(parts, tmp_path, Notes()) as (stack, _):
        killed = stack.keepers[0].pid
        assert killed
        os.kill(killed, signal.SIGKILL)
        await until(lambda: doors(stack) == [False, False])
        await until(lambda: doors(stack) == [True, True])
        assert in_turn(events(tmp_path))
        assert len(events(tmp_path)) == 8
        assert [keeper.restarts for keeper in stack.keepers] == [1, 1]
        assert stack.keepers[1].reason == "a, on the same card, has ended"


async def test_one_that_is_given_up_leaves_the_card_to_the_other(tmp_path: Path) -> None:
    parts = [toy(tmp_path, "bad", "crash-asleep"), toy(tmp_path, "good", "good")]
    async with running(parts, tmp_path, Notes()) as (stack, _):
        await until(lambda: stack.keepers[0].state is State.FAILED)
        await until(lambda: stack.keepers[1].state is State.READY and doors(stack) == [False, True])


async def test_nobody_waits_for_an_empty_card(tmp_path: Path) -> None:
    card = Card()
    async with running([make_part(tmp_path, "good")], tmp_path, Notes()) as (stack, _):
        await card.wait_for_turn(stack.keepers[0])
