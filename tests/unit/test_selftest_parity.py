"""Each comparison of the selftest fails when what it compares is not the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from server.selftest.engines import Batch, Done, Job, Request, Written, read_results, run_engines
from server.selftest.machine import Machine
from server.selftest.outcome import State
from server.selftest.parity import Answer, CloseTokens, Comparison, NotHere, SameAgain, SameTokens, TowerRunsOnce

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

TOKENS = [5, 6, 7, 8]


@dataclass
class Always:
    """A reference that writes the same, whatever it is asked; each runner-up is `margin` behind."""

    margin: float = 1.0

    def answer(self, prompt: list[int], pictures: Sequence[Image], tokens: int) -> Answer:
        return Answer(TOKENS[:tokens], [-0.5] * tokens, [self.margin] * tokens)

    def follow(self, prompt: list[int], pictures: Sequence[Image], written: list[int]) -> Answer:
        return self.answer(prompt, pictures, len(written))


def batch(*answers: list[int], logprob: float = -0.5, **facts: int) -> Batch:
    counts = {"preemptions": 0, "tower_runs": 0, "cached": 0} | facts
    return Batch([Written(tokens, [logprob] * len(tokens)) for tokens in answers], None, **counts)


def compared(*batches: Batch, margin: float = 1.0) -> Comparison:
    asked = [[Request([1], tokens=len(TOKENS)) for _ in each.written] for each in batches]
    return Comparison(Always(margin), Job("toy", asked), Done(list(batches), "model runner V1"))


def same(comparison: Comparison, *, preempted: bool = False) -> State:
    return SameTokens("toy", "fp32", comparison, (0,), preempted).judge().state


def test_what_is_the_same_passes() -> None:
    outcome = SameTokens("toy", "fp32", compared(batch(TOKENS, TOKENS)), (0,)).judge()
    assert outcome.state is State.PASS
    assert outcome.figures["equal_tokens"] == outcome.figures["tokens"] == 8
    assert "8 of 8 tokens equal" in outcome.says
    assert "model runner V1" in outcome.says


def test_another_token_a_probability_or_a_short_answer_fails() -> None:
    assert same(compared(batch(TOKENS, [5, 6, 7, 9]))) is State.FAIL
    assert same(compared(batch(TOKENS, logprob=-0.502))) is State.FAIL
    assert same(compared(batch(TOKENS[:3]))) is State.FAIL


def test_an_engine_that_failed_or_refused_fails_with_its_words() -> None:
    done = compared(batch(TOKENS))
    done.done = Done([], error="it ran out of memory")
    assert SameTokens("toy", "fp32", done, (0,)).judge().says == "it ran out of memory"
    refused = compared(replace(batch(TOKENS), error="too long"))
    assert SameTokens("toy", "fp32", refused, (0,)).judge().says == "refused: too long"
    assert same(Comparison(Always(), Job("toy", [[Request([1])]]))) is State.FAIL  # it was never started


def test_a_cache_in_which_nobody_gave_way_shows_nothing() -> None:
    assert same(compared(batch(TOKENS, preemptions=3)), preempted=True) is State.PASS
    assert same(compared(batch(TOKENS)), preempted=True) is State.FAIL
    assert same(compared(batch([5, 6, 7, 9], preemptions=3)), preempted=True) is State.FAIL


@pytest.mark.parametrize(
    ("others", "margin", "state"),
    [
        (0, 9.0, State.PASS),
        (1, 0.05, State.PASS),
        (1, 0.3, State.FAIL),  # the reference was sure of another token
        (3, 0.05, State.FAIL),  # that many are no chance
    ],
)
def test_rounding_may_change_few_answers_and_only_close_ones(others: int, margin: float, state: State) -> None:
    answers = [[5, 9, 7, 8]] * others + [TOKENS] * (4 - others)
    check = CloseTokens("toy", "bf16", compared(batch(*answers), margin=margin), (0,), close=0.25)
    assert check.judge().state is state


@pytest.mark.parametrize(
    ("runs", "again", "state"),
    [
        ([1, 0, 0], 1, State.PASS),
        ([1, 1, 0], 1, State.FAIL),
        ([0, 0, 0], 1, State.FAIL),
        ([1, 0, 0], 0, State.FAIL),  # what was put out by other weights is still there
    ],
)
def test_the_tower_runs_once_and_again_after_a_reset(runs: list[int], again: int, state: State) -> None:
    batches = [batch(TOKENS, tower_runs=count, cached=1 - count) for count in [*runs, again]]
    check = TowerRunsOnce("toy", "tasks", compared(*batches), (0, 1, 2), 3)
    assert check.judge().state is state


def test_what_is_said_after_sleep_is_compared() -> None:
    assert SameAgain("toy", "sleep", compared(batch(TOKENS), batch(TOKENS)), 0, 1).judge().state is State.PASS
    assert SameAgain("toy", "sleep", compared(batch(TOKENS), batch([1, 1, 1, 1])), 0, 1).judge().state is State.FAIL


def test_what_a_machine_lacks_is_said() -> None:
    assert Machine(()).lacks(0) is None
    assert Machine(("H100",)).lacks(1) is None
    assert Machine(("H100",)).lacks(2) == "needs 2 GPUs; this machine has 1"
    outcome = NotHere("toy", "graphs", Machine(()).lacks(1) or "").judge()
    assert (outcome.state, outcome.says) == (State.NOT_RUN, "needs a GPU; this machine has none")


def test_a_process_that_ends_without_a_word_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.selftest.engines.MODULE", "no_such_module")
    done = run_engines({"one": Job("toy", []), "two": Job("toy", [], environment={"A": "1"})}, tmp_path)
    assert list(done) == ["one", "two"]
    assert all("No module named no_such_module" in str(each.error) for each in done.values())
    assert read_results(tmp_path / "results.jsonl-0") == {}


def test_a_process_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.selftest.engines.PYTHON", ("sh", "-c", "sleep 60"))
    done = run_engines({"one": Job("toy", [])}, tmp_path, timeout_s=0.2)
    assert done["one"].error == "it was not done within 0 s"
