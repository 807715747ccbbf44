"""`python -m server` whose engines are forked from it: vLLM is imported once, however often one is started again."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ENTRY = "server.engines.vllm_entry"
IMPORTED = (
    *(
        "vllm.entrypoints.launchers.api_server.entry",
        "vllm.entrypoints.launchers.cli_args",
        "vllm.v1.worker.cpu_worker",
    ),
    *("vllm.v1.engine.async_llm", "vllm.entrypoints.openai.chat_completion.api_router"),
)

_exec = asyncio.create_subprocess_exec


async def _start(
    *command: str, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = (), **settings: Any
) -> asyncio.subprocess.Process:
    """Start a part; an engine is not another program, but goes on with what is imported."""
    if env and ENTRY in command:
        engine = partial(_be_an_engine, command[command.index(ENTRY) + 1 :], env, {0, 1, 2, *pass_fds})
        settings |= {"preexec_fn": engine, "restore_signals": False}  # a broken pipe is an error to Python
    return await _exec(*command, env=env, pass_fds=pass_fds, **settings)


def _be_an_engine(arguments: Sequence[str], env: Mapping[str, str], kept: Iterable[int]) -> None:
    from server.engines import vllm_entry  # noqa: PLC0415

    for descriptor in {int(file.name) for file in Path("/proc/self/fd").iterdir()}.difference(kept):
        with suppress(OSError):  # that of the folder
            os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        setattr(sys, name, open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False))  # noqa: SIM115
    vllm_entry._run_and_exit(arguments)


def main() -> int:
    """Import what engines do, and run the command."""
    gc.disable()
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    from server.cli import main as run  # noqa: PLC0415

    with mock.patch("asyncio.create_subprocess_exec", _start):
        return run()


if __name__ == "__main__":
    os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # as engines on a CPU have it
    sys.exit(main())
