"""The profile's stack, to be measured: started for that, or the one that runs already."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from server.errors import PartFailedError, PreflightError
from server.key_variables import GATEWAY_KEYS
from server.sizing.machine import tree_memory
from server.stack import stack_of
from server.status import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from server.profile import Profile
    from server.supervision.supervisor import ProcessSupervisor, Reporter


@dataclass(frozen=True)
class Served:
    """An engine that runs.

    Attributes:
        model: The name that it serves.
        pid: Of its process.
        start_s: From its start until it was ready; None where it ran before.
    """

    model: str
    pid: int
    start_s: float | None

    @property
    def memory_bytes(self) -> int:
        """Main memory of all its processes, now."""
        return tree_memory(self.pid)


@dataclass(frozen=True)
class RunningStack:
    """What runs.

    Attributes:
        endpoint: Base URL of the gateway, with /v1.
        engines: Those of this machine.
    """

    endpoint: str
    engines: tuple[Served, ...]

    def engine(self, model: str) -> Served | None:
        """The first engine that serves a model."""
        return next((engine for engine in self.engines if engine.model == model), None)


def running_stack(port: int) -> RunningStack:
    """The stack behind a gateway's port.

    Raises:
        PreflightError: There is none, or not all of it is ready.
    """
    told = ask(port)
    if told is None:
        raise PreflightError(f"nothing runs behind port {port}: start it with `babelview up`, or leave out --running")
    if broken := [part["name"] for part in told["parts"] if part["state"] != "ready"]:
        raise PreflightError(f"not ready behind port {port}: {', '.join(broken)}")
    engines = [part for part in told["parts"] if part["name"].startswith("vllm-")]
    return RunningStack(told["endpoint"], tuple(Served(part["serves"], part["pid"], None) for part in engines))


@asynccontextmanager
async def started_stack(
    profile: Profile, *, logs: Path, reporter: Reporter, timeout_s: float
) -> AsyncIterator[RunningStack]:
    """Start a profile's stack on free ports of loopback, without keys, and stop it behind the block.

    Raises:
        PreflightError: This machine lacks something that it needs.
        PartFailedError: A part did not start, or not in time.
    """
    os.environ.pop(GATEWAY_KEYS, None)
    gateway = replace(profile.gateway, host="127.0.0.1", port=0, keys_file=None)
    translator = profile.translator and replace(profile.translator, port=0)
    private = replace(profile, gateway=gateway, translator=translator)
    async with stack_of(private, logs=logs, reporter=reporter) as stack:
        ready: asyncio.Future[Sequence[ProcessSupervisor]] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(stack.run(ready.set_result))
        began = time.monotonic()
        try:
            both: list[asyncio.Future[Any]] = [running, ready]
            await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            if not ready.done():
                raise PartFailedError(f"not ready after {time.monotonic() - began:.0f} s")
            yield _as_it_runs(ready.result())
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, PartFailedError):
                await running


def _as_it_runs(supervisors: Sequence[ProcessSupervisor]) -> RunningStack:
    engines = tuple(
        Served(supervisor.part.what, supervisor.pid or 0, supervisor.start_s)
        for supervisor in supervisors
        if supervisor.part.name.startswith("vllm-")
    )
    return RunningStack(supervisors[0].part.address, engines)
