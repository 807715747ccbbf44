"""`babelview up`: a profile's stack, from its start until a signal ends it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from server.display import Display
from server.exit_codes import FAILED, SIGNALLED
from server.sizing.arithmetic import arithmetic_note
from server.sizing.preflight import check_ready_file
from server.stack import run_until_signal, stack_of, write_ready_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from server.profile import Profile
    from server.supervision.supervisor import ProcessSupervisor


async def up(profile: Profile, *, logs: Path, ready_file: Path | None, console: Console) -> int:
    """Run the stack of a profile until SIGINT, SIGTERM or SIGHUP.

    Args:
        profile: What is started.
        logs: A folder, which gets a log for each part.
        ready_file: Gets JSON with addresses and process ids once all is healthy.
        console: Where progress is printed.

    Returns:
        The exit code: 0 stopped while it ran, 1 a part had been given up, 128 + signal stopped before it was ready.

    Raises:
        PreflightError: something is missing; nothing was started.
        PartFailedError: a part did not start, or what is left is of no use.
    """
    display = Display(console)
    if note := arithmetic_note(profile):
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    was_healthy = False
    async with stack_of(profile, logs=logs, reporter=display) as stack:
        if ready_file:
            check_ready_file(ready_file)  # nothing has started yet; its folder may be that of the logs

        def when_healthy(supervisors: Sequence[ProcessSupervisor]) -> None:
            nonlocal was_healthy
            was_healthy = True
            display.running(supervisors)
            if ready_file:
                write_ready_file(ready_file, _ready(supervisors))

        number = await run_until_signal(stack, when_healthy, display.stopping)
    if not was_healthy:
        return SIGNALLED + number
    return FAILED if any(supervisor.given_up for supervisor in stack.supervisors) else 0


def _ready(supervisors: Sequence[ProcessSupervisor]) -> dict[str, object]:
    """What a script that started the stack wants to know; `start_seconds` is the published name of `start_s`."""
    addresses = {supervisor.part.name: supervisor.part.address for supervisor in supervisors}
    return {
        "endpoint": addresses["gateway"],
        "translator": addresses.get("translator"),
        "pid": os.getpid(),
        "parts": {one.part.name: {"pid": one.pid, "start_seconds": one.start_s} for one in supervisors},
    }
