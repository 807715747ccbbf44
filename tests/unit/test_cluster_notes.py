"""What actors of a cluster have to say, and who hears it."""

from __future__ import annotations

import threading

from client.cluster.notes import ECHO_S, Notes, showing


def test_what_another_actor_has_just_said_is_not_said_again() -> None:
    now = [100.0]
    notes = Notes(lambda: now[0])
    for actor, line in (("a", "away"), ("b", "away"), ("a", "back"), ("a", "away"), ("b", "full")):
        notes.say(actor, line)
    assert notes.take() == ["away", "back", "away", "full"]
    now[0] += ECHO_S
    notes.say("b", "away")
    assert (notes.take(), notes.take()) == (["away"], [])


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


def test_a_cluster_that_is_gone_has_nothing_to_say() -> None:
    def take() -> list[str]:
        raise RuntimeError("gone")

    with showing(take, print):
        pass
