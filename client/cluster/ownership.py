"""Whose an output is: one machine's, which has a ledger, or a cluster's, which has runs and tables."""

from __future__ import annotations

from pathlib import Path

from client.cluster.objects import is_url
from client.errors import UsageError
from client.ledger.ledger import LEDGER

RUNS = "runs"
"""The folder of a cluster's runs."""


def is_of_cluster(text: str) -> bool:
    """Whether a folder or URL is the output of a cluster."""
    return is_url(text) or (Path(text, RUNS).is_dir() and not Path(text, LEDGER).exists())


def check_not_of_cluster(folder: Path) -> None:
    """Make sure that a run of this machine may write to a folder.

    Raises:
        UsageError: it is a cluster's, whose answers nothing would show any more.
    """
    if is_of_cluster(str(folder)):
        raise UsageError(f"{folder} has the results of a cluster: go on with --ray, or choose another --output")


def check_not_of_machine(text: str) -> None:
    """Make sure that a run of a cluster may write to a folder or URL.

    Raises:
        UsageError: it is one machine's, whose answers would hide those of the run.
    """
    if not is_url(text) and Path(text, LEDGER).exists():
        raise UsageError(f"{text} has the results of one machine ({LEDGER}): choose another --output")
