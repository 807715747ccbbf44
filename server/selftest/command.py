"""What `babelview selftest` does with its arguments."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console

from server.display import Display
from server.errors import PreflightError
from server.exit_codes import FAILED
from server.selftest.report import as_json, summary, table
from server.selftest.run import Selftest, all_good
from server.sizing.preflight import check_packages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.profile import Profile


def run_selftest(
    profile: Profile,
    name: str,
    *,
    parts: Sequence[str],
    running_port: int | None,
    limit_s: float,
    console: Console | None,
) -> int:
    """Run all checks and print what was found.

    Args:
        profile: Whose stack is measured.
        name: Of the profile.
        parts: `models`, `stack`, or both.
        running_port: The gateway's port of a stack that runs; None: one is started.
        limit_s: For everything.
        console: Gets the table; None: standard output gets JSON instead.

    Returns:
        The exit code: 0 nothing failed, 1 something did.

    Raises:
        PreflightError: A package is not installed, or engines run on other machines.
    """
    check_packages(profile)
    if names := [engine.name for engine in profile.engines if engine.ray is not None]:
        raise PreflightError(f"what is measured is this machine, but Ray runs {', '.join(names)}")
    began = time.monotonic()
    progress = Console(file=sys.stderr)

    def tell(what: str) -> None:
        progress.print(f"{time.monotonic() - began:7.1f} s  {what}", style="dim", highlight=False, markup=False)

    test = Selftest(profile, parts, running_port, limit_s, tell, Display(progress))
    results = []
    for result in test.run():
        results.append(result)
        tell(f"{result.group}, {result.name}: {result.outcome.state.value}")
    took_s = time.monotonic() - began
    if console is None:
        print(as_json(name, results, took_s))
    else:
        console.print(table(results))
        console.print(summary(results, took_s), highlight=False)
    return 0 if all_good(results) else FAILED
