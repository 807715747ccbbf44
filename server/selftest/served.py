"""The checks of a stack as it serves: start, memory, tokens, pictures and videos a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.selftest.limits import media_per_s, tokens_per_s
from server.selftest.load import FRAMES, Loaded, Requests, ask_many
from server.selftest.outcome import Outcome, failed, not_run, passed
from server.sizing.machine import GIB
from server.sizing.memory import Model
from server.sizing.models import model_sizes, picture_width

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from server.profile import EngineProfile
    from server.selftest.device import Speeds
    from server.selftest.stack import RunningStack

AT_ONCE = 16
"""Requests, or as many as the engine computes at once."""
ROUNDS = 2
"""How often each place asks."""
TOKENS = 64
"""Of an answer, where tokens are counted; where media are, answers have one."""
ABOVE = 1.1
"""More than this times the limit means that the limit, or the clock, is wrong."""


@dataclass(frozen=True)
class Started:
    """The engine became ready."""

    group: str
    start_s: float | None
    name: str = "start"

    def judge(self) -> Outcome:
        """Say how long it took."""
        if self.start_s is None:
            return not_run("it ran before")
        return passed(f"ready after {self.start_s:.1f} s", start_s=self.start_s)


@dataclass(frozen=True)
class Memory:
    """What is taken is no more than `babelview check` computes."""

    group: str
    taken: int
    computed: int
    name: str = "memory"

    def judge(self) -> Outcome:
        """Compare."""
        says = f"{self.taken / GIB:.2f} GiB, computed {self.computed / GIB:.2f} GiB"
        figures = {"taken_bytes": self.taken, "computed_bytes": self.computed}
        if self.taken <= 0:
            return failed("nothing could be measured")
        return (passed if self.taken <= self.computed else failed)(says, **figures)


@dataclass(frozen=True)
class Rate:
    """All answers are whole, and no more come in a second than is possible.

    Attributes:
        unit: What is counted.
        count: How much of it came.
        limit: What could come in a second at most; None: it is not known.
        of: What sets the limit.
    """

    group: str
    unit: str
    loaded: Loaded
    count: int
    limit: float | None
    of: str

    @property
    def name(self) -> str:
        """What is measured."""
        return f"{self.unit} a second"

    def judge(self) -> Outcome:
        """Say how many, and what share of the limit they are."""
        if self.loaded.problems:
            return failed(f"{len(self.loaded.problems)} requests failed, the first: {self.loaded.problems[0]}")
        rate = self.count / self.loaded.wall_s
        if self.limit is None:
            return passed(
                f"{rate:.1f}; how many are possible is not known of this model", **{f"{self.unit}_per_s": rate}
            )
        share = rate / self.limit
        says = f"{rate:.1f}, {share * 100:.2g} % of {self.limit:.1f} ({self.of})"
        figures = {f"{self.unit}_per_s": rate, "limit_per_s": self.limit, "share": share}
        return (passed if share <= ABOVE else failed)(says, **figures)


@dataclass
class Measured:
    """What was measured of a stack.

    Attributes:
        checks: What to judge, engine by engine.
    """

    checks: list[Started | Memory | Rate] = field(default_factory=list)


async def measure_engine(
    engine: EngineProfile, stack: RunningStack, speeds: Callable[[int], Speeds], computed: int | None
) -> list[Started | Memory | Rate]:
    """Ask an engine for text and for what it looks at.

    Args:
        engine: Of the profile.
        stack: Where it is served.
        speeds: Of the device, where so many bytes are read again and again.
        computed: Bytes of main memory that it may take; None: it computes on a GPU.
    """
    checks: list[Started | Memory | Rate] = []
    served = stack.engine(engine.name)
    if served is not None:
        checks.append(Started(engine.name, served.start_s))
    if engine.task == "generate":
        checks += await _rates(engine, stack.endpoint, speeds)
    if served is not None and computed is not None:
        checks.append(Memory(engine.name, served.memory_bytes, computed))
    return checks


async def _rates(engine: EngineProfile, endpoint: str, speeds: Callable[[int], Speeds]) -> list[Rate]:
    sizes = model_sizes(engine.model, engine.local_model, engine.number_bytes)
    model = sizes if isinstance(sizes, Model) else None
    device = speeds(model.linear_bytes) if model else None
    at_once = min(AT_ONCE, engine.max_requests or AT_ONCE)
    requests = Requests(picture_width(engine.model, engine.local_model) * (2 if engine.max_images else 1))

    async def ask(content: Callable[[], list[dict[str, Any]]], tokens: int) -> Loaded:
        count = at_once * ROUNDS
        await ask_many(endpoint, engine.name, content, count=1, at_once=1, tokens=tokens)  # what is new takes longer
        return await ask_many(endpoint, engine.name, content, count=count, at_once=at_once, tokens=tokens)

    written = await ask(requests.text, TOKENS)
    of = device.described if device else ""
    limit = tokens_per_s(model, device, at_once, TOKENS // 2) if model and device else None
    rates = [Rate(engine.name, "tokens", written, written.tokens, limit, of)]
    if engine.max_images:
        looked = await ask(requests.picture, 1)
        most = media_per_s(model, device) if model and device else None
        rates.append(Rate(engine.name, "pictures", looked, looked.answers, most, of))
    if engine.max_frames >= FRAMES:
        looked = await ask(requests.video, 1)
        most = media_per_s(model, device, FRAMES) if model and device else None
        rates.append(Rate(engine.name, f"videos of {FRAMES} frames", looked, looked.answers, most, of))
    return rates
