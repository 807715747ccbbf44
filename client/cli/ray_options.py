"""What goes together with `--ray`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click import UsageError

from client.cli.command import typed
from client.sources.source import public

if TYPE_CHECKING:
    from click import Context

_AFTERWARDS = "babelview export and babelview report write it of the output afterwards"
_NOT_ON_RAY = (
    ("format", "--format", _AFTERWARDS),
    ("only_run", "--only-run", _AFTERWARDS),
    ("report", "--report", _AFTERWARDS),
    ("dry_run", "--dry-run", "it says of files here what would be done"),
    (
        "log_file",
        "--log-file",
        "the cluster's machines have logs of their own, which Ray keeps; with --ray local they go with the run",
    ),
)
"""Options that are for one machine alone: parameter, flag, and what to do instead."""


def check_ray(ctx: Context, given: dict[str, Any]) -> None:
    """Make sure that nothing is asked of one machine that is for a cluster, or the other way round.

    Raises:
        UsageError: something is.
    """
    if not given["ray"]:
        if "://" in given["output"]:
            raise UsageError(f"--output {public(given['output'])}: a URL takes --ray; else it is a folder")
        return
    for name, flag, instead in _NOT_ON_RAY:
        if typed(ctx, name):
            raise UsageError(f"{flag} does not go with --ray: {instead}")
