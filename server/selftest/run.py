"""All checks of a profile, one after the other, within a limit of time."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from server.errors import PartFailedError, PreflightError, UnknownSizesError
from server.selftest.device import measure
from server.selftest.machine import Machine
from server.selftest.outcome import Outcome, State, failed, not_run
from server.selftest.parity import NotHere
from server.selftest.served import Memory, measure_engine
from server.selftest.stack import running_stack, started_stack
from server.sizing.gpus import list_gpus
from server.sizing.machine import GIB
from server.sizing.plan import need, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from server.profile import EngineProfile, Profile
    from server.selftest.outcome import Check
    from server.selftest.stack import RunningStack
    from server.supervision.supervisor import Reporter

MODELS, STACK = "models", "stack"
PARTS = (MODELS, STACK)
START_SHARE = 0.8
"""Of the time that is left: for the stack's start."""


@dataclass(frozen=True)
class Result:
    """A check that was made."""

    group: str
    name: str
    outcome: Outcome


@dataclass
class Selftest:
    """What is checked.

    Attributes:
        profile: Whose stack.
        parts: Of `PARTS`.
        running_port: The gateway's port of a stack that runs already; None: one is started.
        limit_s: All together.
        tell: Is told what goes on.
        reporter: Is told how the parts of a stack start.
    """

    profile: Profile
    parts: Sequence[str]
    running_port: int | None
    limit_s: float
    tell: Callable[[str], None]
    reporter: Reporter

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.limit_s

    @property
    def left_s(self) -> float:
        """Of the limit."""
        return max(self._until - time.monotonic(), 1.0)

    def run(self) -> Iterator[Result]:
        """Check everything; yields each result when it is there."""
        machine = Machine.here()
        with tempfile.TemporaryDirectory(prefix="babelview-selftest-") as folder:
            if MODELS in self.parts:
                yield from self._models(Path(folder), machine)
            if STACK in self.parts:
                for check in self._stack(Path(folder), machine):
                    yield Result(check.group, check.name, check.judge())

    def _models(self, folder: Path, machine: Machine) -> Iterator[Result]:
        from server.selftest.models import model_checks  # noqa: PLC0415 - loads torch

        self.tell("writing toys with random weights")
        made = model_checks(folder, machine)
        self.tell(f"{len(made.comparisons)} engines answer, one after the other")
        made.run(folder, self.left_s)
        self.tell("transformers answers the same")
        for check in made.checks:
            late = time.monotonic() > self._until
            outcome = not_run(f"the limit of {self.limit_s:.0f} s has passed") if late else check.judge()
            yield Result(check.group, check.name, outcome)

    def _stack(self, folder: Path, machine: Machine) -> list[Check]:
        """What was measured of the stack; if it did not start, one check that says so."""
        if time.monotonic() > self._until:
            return [NotHere("stack", "start", f"the limit of {self.limit_s:.0f} s has passed")]
        if self.profile.device.on_gpu and (lacking := machine.lacks(self.profile.device.count)):
            return [NotStarted(lacking)]
        try:
            return asyncio.run(self._measured(folder))
        except (PreflightError, PartFailedError, UnknownSizesError, subprocess.SubprocessError) as error:
            return [NotStarted(str(error))]
        except TimeoutError:
            return [NotStarted(f"its engines had not answered when the limit of {self.limit_s:.0f} s had passed")]

    async def _measured(self, folder: Path) -> list[Check]:
        if self.running_port is not None:
            return await self._measure(running_stack(self.running_port), {})
        self.tell("the stack starts")
        free = {gpu.index: gpu.free_gib for gpu in list_gpus()}
        async with started_stack(
            self.profile, logs=folder / "logs", reporter=self.reporter, timeout_s=START_SHARE * self.left_s
        ) as stack:
            return await self._measure(stack, free)

    async def _measure(self, stack: RunningStack, free_gib: dict[int, float]) -> list[Check]:
        checks: list[Check] = []
        for engine in self.profile.engines:
            self.tell(f"{engine.name} is asked")
            measured = measure_engine(engine, stack, partial(measure, engine.threads), self._computed(engine))
            checks += await asyncio.wait_for(measured, self.left_s)
        if self.profile.device.on_gpu and free_gib:
            checks += self._gpu_memory(free_gib)
        return checks

    def _computed(self, engine: EngineProfile) -> int | None:
        return None if self.profile.device.on_gpu else need(engine, self.profile).total

    def _gpu_memory(self, free_gib: dict[int, float]) -> Iterator[Memory]:
        """What went while the stack started, on each GPU that it uses."""
        computed = {device.name: device.needed for device in plan(self.profile)}
        for gpu in list_gpus():
            if (name := f"GPU {gpu.index}") in computed:
                yield Memory(name, int((free_gib[gpu.index] - gpu.free_gib) * GIB), computed[name])


@dataclass(frozen=True)
class NotStarted:
    """The stack did not start, or something in it could not be measured."""

    why: str
    group: str = "stack"
    name: str = "start"

    def judge(self) -> Outcome:
        """Say why."""
        return failed(self.why)


def all_good(results: Sequence[Result]) -> bool:
    """Whether nothing failed."""
    return all(result.outcome.state is not State.FAIL for result in results)
