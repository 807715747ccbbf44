"""What the benchmark of live sessions expects, and how it judges."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from scripts.benchmarks.live import (
    AWAY_S,
    LONGEST_S,
    SHORTEST_S,
    Arguments,
    Run,
    Seen,
    report,
    schedule_of,
    shown,
    wrong_alerts,
)

BEGAN_S = 1_800_000_000.0


def test_a_schedule_changes_at_each_step() -> None:
    schedule = schedule_of(7, BEGAN_S, BEGAN_S + 600)
    assert schedule == schedule_of(7, BEGAN_S, BEGAN_S + 600)
    assert all(before[1] != after[1] for before, after in pairwise(schedule))
    lengths = [after[0] - before[0] for before, after in pairwise(schedule[1:])]
    assert all(SHORTEST_S <= length <= LONGEST_S for length in lengths)
    assert "red" in {name for _, name in schedule}


def test_what_was_shown_while_the_camera_was_away_need_not_be_seen() -> None:
    schedule = [(0.0, "red"), (20.0, "blue"), (40.0, "green"), (60.0, "red")]
    run = Run(away=[(19.0, 29.0)])
    assert [name for _, name in shown(schedule, run, 0.0, 100.0, 6.0)] == ["red", "green", "red"]
    assert [name for _, name in shown(schedule, run, 0.0, 100.0, 40.0 - 29.0 - AWAY_S)] == [
        "red",
        "blue",
        "green",
        "red",
    ]


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ("yes 21, no 42", []),
        ("yes 20.5, no 40.5, yes 59.5", ["yes is not true"]),
        ("yes 21", ["no is missing"]),
        ("yes 21, yes 30, no 42", ["yes twice"]),
        ("yes 37, no 42", ["yes is missing"]),
        ("", ["yes is missing"]),
        ("yes 21, no 42, yes 61, no 66", []),
    ],
)
def test_alerts_are_true_and_each_change_is_told(told: str, wrong: list[str]) -> None:
    schedule = [(0.0, "black"), (20.0, "red"), (40.0, "blue"), (60.0, "red"), (65.0, "green")]
    alerts = [Seen(name, float(at_s), 0.1) for name, at_s in (it.split() for it in told.split(", ") if it)]
    reds = [(20.0, True), (40.0, False)]  # the second one was shown too shortly
    assert wrong_alerts(alerts, reds, schedule)[:1] == wrong


def events(names: list[str], lag_s: float = 3.0) -> list[dict[str, Any]]:
    """Captions every four seconds, and an alert whenever red comes or goes."""
    found: list[dict[str, Any]] = []
    red = False
    for number, name in enumerate(names):
        common = {"at": f"2027-01-15T08:{number * 4 // 60:02}:{number * 4 % 60:02}+00:00", "lag_sec": lag_s}
        if (name == "red") != red:
            red = name == "red"
            found.append({"kind": "alert", "answer": "yes" if red else "no", **common})
        caption = {"tasks": {"captions": {"text": name}}, "skipped": 0, "error": None}
        found.append({"kind": "caption", **caption, **common})
    return found


@pytest.mark.parametrize(
    ("spoil", "right"),
    [
        ("nothing", True),
        ("a colour", False),
        ("an alert", False),
        ("a post", False),
        ("the lag", False),
        ("nothing while the camera was away", True),
        ("the lag of the last one before the camera was away", False),
        ("the exit code", False),
    ],
)
def test_what_is_wrong_is_found(spoil: str, right: bool, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["black"] * 4 + ["red"] * 4 + ["blue"] * 4 + ["yellow"] * 4
    schedule = [(BEGAN_S + 16 * number, names[4 * number]) for number in range(4)]
    run = Run(events=events(names, 5.0 if spoil == "the lag" else 3.0), memory=[(0.0, 50.0, 60.0)])
    run.hooked = [{"id": str(number)} for number, it in enumerate(run.events) if it["kind"] == "alert"]
    if spoil.endswith("the camera was away"):
        run.away = [(BEGAN_S + 28.5, BEGAN_S + 30.0)]
        run.notes = "back after 2 s"
        next(it for it in run.events if it["kind"] == "caption" and "00:28" in it["at"])["lag_sec"] = (
            3.0 if "nothing" in spoil else 4.8
        )
    run.code = 1 if spoil == "the exit code" else 130
    if spoil == "a post":
        run.hooked.append(run.hooked[0])
    if spoil == "an alert":
        run.events = [it for it in run.events if it.get("answer") != "no"]
        run.hooked.pop()
    if spoil == "a colour":
        run.events = [it for it in run.events if it["kind"] == "alert" or it["tasks"]["captions"]["text"] != "blue"]
    arguments = Arguments(minutes=1.0, every=2.0, latency=3.0, seed=7)
    assert report(arguments, schedule, run, []) == (0 if right else 1), capsys.readouterr().out
