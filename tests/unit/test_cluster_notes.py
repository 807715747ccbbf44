"""What actors of a cluster have to say, and who hears it."""

from __future__ import annotations

import threading

import pytest

from client.cluster.notes import ECHO_S, Notes, Taken, showing

AWAY, BACK = (f"endpoint http://one:8000/v1: {state}" for state in ("cannot be reached; others are asked", "is back"))


def test_what_another_actor_has_just_said_is_not_said_again() -> None:
    now = [100.0]
    notes = Notes(lambda: now[0])
    for actor, line in (("a", "away"), ("b", "away"), ("a", "back"), ("a", "away"), ("b", "full")):
        notes.say(actor, line)
    first = notes.take("")
    assert first.lines == ["away", "back", "away", "full"]
    now[0] += ECHO_S
    notes.say("b", "away")
    second = notes.take(first.name)
    assert (second.lines, notes.take(second.name).lines) == (["away"], [])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ([("a", AWAY), ("b", AWAY), ("a", BACK), ("b", BACK)], [AWAY, BACK]),
        ([("a", AWAY), ("a", BACK), ("b", AWAY)], [AWAY, BACK, AWAY]),
        ([("a", AWAY), ("a", BACK), ("b", AWAY), ("a", AWAY), ("b", BACK)], [AWAY, BACK, AWAY, BACK]),
        ([("a", AWAY), ("a", "full"), ("b", AWAY), ("b", "full")], [AWAY, "full"]),
        ([("a", AWAY), ("a", BACK.replace("one", "two")), ("b", AWAY)], [AWAY, BACK.replace("one", "two")]),
    ],
)
def test_what_an_endpoint_does_now_is_shown(said: list[tuple[str, str]], shown: list[str]) -> None:
    notes = Notes(lambda: 100.0)
    for actor, line in said:
        notes.say(actor, line)
    assert notes.take("").lines == shown


def test_what_was_taken_and_did_not_arrive_is_taken_again() -> None:
    notes = Notes()
    notes.say("a", "first")
    first = notes.take("")
    notes.say("a", "second")
    late = notes.take(first.name)  # it does not arrive
    notes.say("a", "third")
    again = notes.take(first.name)
    assert (first.lines, late.lines, again.lines) == (["first"], ["second"], ["second", "third"])
    assert notes.take(again.name).lines == []


def test_lines_are_shown_as_they_come_and_the_last_ones_in_the_end() -> None:
    notes, shown, came = Notes(), [], threading.Event()

    def show(line: str) -> None:
        shown.append(line)
        came.set()

    with showing(notes.take, show):
        notes.say("a", "first")
        assert came.wait(60)
        notes.say("a", "last")
    assert shown == ["first", "last"]


def test_what_is_away_for_a_moment_is_asked_again() -> None:
    notes, shown, asked = Notes(), [], []

    def take(acknowledged: str) -> Taken:
        asked.append(acknowledged)
        taken = notes.take(acknowledged)
        if len(asked) == 1:
            raise RuntimeError("too late")
        return taken

    notes.say("a", "first")
    came = threading.Event()

    def show(line: str) -> None:
        shown.append(line)
        came.set()

    with showing(take, show):
        assert came.wait(60)
    assert shown == ["first"]
