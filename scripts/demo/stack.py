"""Run the demo stack and the batch client from a script, as a user would: over the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 60


class StackError(Exception):
    """The stack did not start; it has said why on its standard error."""


@dataclass(frozen=True)
class Stack:
    """A running stack: where it listens, and the process id of its supervisor."""

    endpoint: str
    """Base URL of the OpenAI API, with /v1."""
    translator: str
    """Base URL of the translator."""
    pid: int


@contextmanager
def running_stack(*arguments: str, folder: Path = ROOT) -> Iterator[Stack]:
    """`python -m server up --profile demo ARGUMENTS`, healthy inside the block and stopped after it.

    Args:
        arguments: Further options.
        folder: Where it is started. What lies there is not imported, wherever it is (`python -P`).

    Raises:
        StackError: it ended before it was healthy.
    """
    with tempfile.TemporaryDirectory(prefix="babelview-") as temporary:
        ready = Path(temporary) / "ready.json"
        command = [sys.executable, "-P", "-m", "server", "up", "--profile", "demo", "--ready-file", str(ready)]
        ours = {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
        process = subprocess.Popen([*command, *arguments], cwd=folder, env=os.environ | ours)
        try:
            while not ready.exists():
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
                raise StackError(f"the stack did not start (exit code {process.returncode})")
            said = json.loads(ready.read_text())
            yield Stack(said["endpoint"], said["translator"], process.pid)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_S)


def run_batch(stack: Stack, *arguments: str | Path) -> int:
    """`python -m client.batch ARGUMENTS` against a stack; returns its exit code."""
    where = ["--base-url", stack.endpoint, "--translator", stack.translator]
    command = [sys.executable, "-m", "client.batch", *map(str, arguments), *where]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def read_results(output: Path) -> list[dict[str, Any]]:
    """The records of a run's `results.json`."""
    records: list[dict[str, Any]] = json.loads((output / "results.json").read_text())["files"]
    return records
