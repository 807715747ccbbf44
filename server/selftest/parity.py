"""The checks that compare what an engine wrote with what transformers answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from server.selftest.engines import Done
from server.selftest.outcome import Outcome, failed, not_run, passed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from server.selftest.engines import Batch, Job, Request, Written

TOLERANCE = 1e-3
"""Of log probabilities, where numbers are of 32 bits."""
MOSTLY = 0.4
"""The share of the answers that rounding must leave as they are."""


@dataclass
class Answer:
    """Greedy tokens of the reference.

    Attributes:
        tokens: The likeliest token in each place.
        logprobs: Log probabilities of the tokens that were written.
        margins: How far the runner-up of each of the likeliest lay behind.
    """

    tokens: list[int]
    logprobs: list[float]
    margins: list[float]


class Reference(Protocol):
    """A model in transformers."""

    def answer(self, prompt: list[int], pictures: Sequence[Image.Image], tokens: int) -> Answer:
        """Write so many tokens, each after its own."""

    def follow(self, prompt: list[int], pictures: Sequence[Image.Image], written: list[int]) -> Answer:
        """What it writes in the place of each token of `written`."""


@dataclass
class Comparison:
    """A reference, what an engine is asked, and what became of it."""

    reference: Reference
    job: Job
    done: Done = field(default_factory=lambda: Done([], error="it was not started"))

    def problem(self, batches: Iterable[int]) -> str | None:
        """Why these batches cannot be compared; None: they can."""
        if self.done.error is not None:
            return self.done.error
        for number in batches:
            batch, asked = self.done.batches[number], self.job.batches[number]
            if batch.error is not None:
                return f"refused: {batch.error}"
            if [len(written.tokens) for written in batch.written] != [request.tokens for request in asked]:
                return "answers are shorter or longer than they were asked to be"
        return None

    def pairs(self, batches: Iterable[int]) -> Iterator[tuple[Request, Written]]:
        """Each request, and what was written for it."""
        for number in batches:
            yield from zip(self.job.batches[number], self.done.batches[number].written, strict=True)


@dataclass(frozen=True)
class SameTokens:
    """Every token is the reference's, and every log probability is close to its.

    Attributes:
        batches: Which of the job's are compared.
        preempted: Somebody must have had to give way and have been computed again.
    """

    group: str
    name: str
    comparison: Comparison
    batches: tuple[int, ...]
    preempted: bool = False

    def judge(self) -> Outcome:
        """Compare token by token."""
        if problem := self.comparison.problem(self.batches):
            return failed(problem)
        gaps = sum(self._batch(number).preemptions for number in self.batches)
        if self.preempted and not gaps:
            return failed("nobody had to give way, so that nothing was shown")
        tokens = same = 0
        worst = 0.0
        for request, written in self.comparison.pairs(self.batches):
            expected = self.comparison.reference.follow(request.prompt, _opened(request), written.tokens)
            tokens += len(written.tokens)
            same += sum(one == other for one, other in zip(expected.tokens, written.tokens, strict=True))
            worst = max(worst, *(abs(a - b) for a, b in zip(expected.logprobs, written.logprobs, strict=True)))
        says = f"{same} of {tokens} tokens equal, log probabilities {worst:.1e} apart at most"
        says += f", {gaps} times computed again" if self.preempted else ""
        figures = {"tokens": tokens, "equal_tokens": same, "largest_difference": worst, "preemptions": gaps}
        good = same == tokens and worst <= TOLERANCE
        return (passed if good else failed)(f"{says} ({self.comparison.done.runs})", **figures)

    def _batch(self, number: int) -> Batch:
        return self.comparison.done.batches[number]


@dataclass(frozen=True)
class CloseTokens:
    """Where numbers are rounded, answers part from the reference only where its two likeliest tokens are close.

    Attributes:
        close: How close, in log probability.
    """

    group: str
    name: str
    comparison: Comparison
    batches: tuple[int, ...]
    close: float

    def judge(self) -> Outcome:
        """Find the first token of each answer that differs."""
        if problem := self.comparison.problem(self.batches):
            return failed(problem)
        answers = same = 0
        widest = 0.0
        for request, written in self.comparison.pairs(self.batches):
            answers += 1
            gap = self._gap(request, written)
            same += gap is None
            widest = max(widest, gap or 0.0)
        says = f"{same} of {answers} answers equal, others part where two tokens are {widest:.3f} apart at most"
        figures = {"answers": answers, "equal_answers": same, "widest_gap": widest}
        good = widest <= self.close and same >= MOSTLY * answers
        limit = "" if good else f"; at most {self.close} is rounding, and {MOSTLY:.0%} must be equal"
        return (passed if good else failed)(f"{says} ({self.comparison.done.runs}){limit}", **figures)

    def _gap(self, request: Request, written: Written) -> float | None:
        """By how much the reference preferred its own token to the first one that differs; None: all are the same."""
        reference, pictures = self.comparison.reference, _opened(request)
        if reference.follow(request.prompt, pictures, written.tokens).tokens == written.tokens:
            return None
        expected = reference.answer(request.prompt, pictures, request.tokens)  # rounds as an engine does, step by step
        steps = zip(expected.tokens, written.tokens, expected.margins, strict=True)
        return next((margin for token, other, margin in steps if token != other), None)


@dataclass(frozen=True)
class TowerRunsOnce:
    """Several tasks on one picture run the vision tower once, and once more when its outputs were forgotten.

    Attributes:
        tasks: Batches of one request, about the same picture.
        forgotten: The same again, after vLLM's encoder cache was reset.
    """

    group: str
    name: str
    comparison: Comparison
    tasks: tuple[int, ...]
    forgotten: int

    def judge(self) -> Outcome:
        """Count the tower's runs."""
        if problem := self.comparison.problem([*self.tasks, self.forgotten]):
            return failed(problem)
        batches = self.comparison.done.batches
        runs = [batches[number].tower_runs for number in self.tasks]
        hits = [batches[number].cached for number in self.tasks]
        again = batches[self.forgotten].tower_runs
        says = f"runs {'+'.join(map(str, runs))} for {len(runs)} tasks, {again} after a reset"
        rest = len(runs) - 1
        good = runs == [1] + [0] * rest and hits == [0] + [1] * rest and again == 1
        return (passed if good else failed)(says, tower_runs=sum(runs), tower_runs_after_reset=again)


@dataclass(frozen=True)
class SameAgain:
    """What was written before the engine slept is written again when it is awake."""

    group: str
    name: str
    comparison: Comparison
    before: int
    after: int

    def judge(self) -> Outcome:
        """Compare both."""
        if problem := self.comparison.problem([self.before, self.after]):
            return failed(problem)
        batches = self.comparison.done.batches
        both = list(zip(batches[self.before].written, batches[self.after].written, strict=True))
        same = sum(one.tokens == other.tokens for one, other in both)
        says = f"{same} of {len(both)} answers are the same as before"
        return (passed if same == len(both) else failed)(says, answers=len(both), equal_answers=same)


@dataclass(frozen=True)
class NotHere:
    """A check that this machine cannot run."""

    group: str
    name: str
    why: str

    def judge(self) -> Outcome:
        """Say why."""
        return not_run(self.why)


def _opened(request: Request) -> list[Image.Image]:
    return [Image.open(path) for path in request.pictures]
