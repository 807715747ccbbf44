"""`python -m client...` in processes that are forked from one that has imported all: that is most of a short run.

That such commands start by themselves too is for `test_client_command.py` and the like to show.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, Self

from client.media import fork_server, loader_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMPORTED = (
    *("client.cli.run", "client.cli.chat", "client.cli.talk", "client.cli.live_screen", "client.cli.export"),
    *("client.api.babelview", "client.api.live", "client.media.loader_process", "jsonschema"),
)
STREAMS = ("stdin", "stdout", "stderr")


class Popen:
    """What `subprocess.Popen` starts as `[sys.executable, "-m", MODULE, ...]`."""

    def __init__(
        self,
        line: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        text: bool = False,
        start_new_session: bool = False,
        **streams: int,
    ) -> None:
        """`streams`: `stdin`, `stdout`, `stderr`, each a file descriptor; the latter two may be `subprocess.PIPE`."""
        _, dash_m, module, *arguments = line
        assert dash_m == "-m"
        self.stdout: IO[Any] | None = None
        self.stderr: IO[Any] | None = None
        given: dict[str, Connection] = {}
        for name, descriptor in streams.items():
            if descriptor != subprocess.PIPE:
                given[name] = Connection(os.dup(descriptor))
                continue
            reading, writing = os.pipe()
            given[name] = Connection(writing)
            setattr(self, name, os.fdopen(reading, "r" if text else "rb"))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        what = module, arguments, dict(env), str(cwd), given, start_new_session
        self._process = context.Process(target=_run, args=what, name=" ".join(line))
        self._process.start()
        for stream in given.values():
            stream.close()
        assert self._process.pid
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in filter(None, (self.stdout, self.stderr)):
            stream.close()
        self.wait()

    @property
    def returncode(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, in the end."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        """What it writes to its pipes until it ends."""
        with ThreadPoolExecutor(2) as pool:
            reading = [stream and pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                said, errors = (each and each.result(timeout) for each in reading)
            except TimeoutError:
                self.kill()
                raise
        self.wait(timeout)
        return said, errors


def run(
    line: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(line, env=env, cwd=cwd, text=True, **pipes) as process:
        said, errors = process.communicate(timeout)
        return subprocess.CompletedProcess(list(line), process.wait(), said, errors)


def _run(
    module: str, arguments: list[str], env: dict[str, str], cwd: str, streams: dict[str, Connection], new_session: bool
) -> None:
    if new_session:
        os.setsid()
    for descriptor, name in enumerate(STREAMS):
        if name in streams:
            os.dup2(streams[name].fileno(), descriptor)
            streams[name].close()
        # As Python itself makes them: what is written to a pipe is kept until it is flushed.
        mode = "r" if name == "stdin" else "w"
        errors, buffering = ("backslashreplace", 1) if name == "stderr" else ("strict", -1)
        setattr(sys, name, open(descriptor, mode, buffering=buffering, errors=errors, closefd=False))  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fork_server.subprocess = SimpleNamespace(Popen=_Decoders, DEVNULL=subprocess.DEVNULL)  # type: ignore[assignment]
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class _Decoders(subprocess.Popen[bytes]):
    """`python -m client.media.loader_process`, forked too while there are no threads yet."""

    def __init__(self, line: Sequence[str], *, pass_fds: Sequence[int], **settings: Any) -> None:
        def main() -> None:
            for descriptor in {int(file.name) for file in Path("/proc/self/fd").iterdir()} - {0, 1, 2, *pass_fds}:
                with suppress(OSError):
                    os.close(descriptor)
            control, memory_bytes = map(int, line[-2:])
            loader_process.main(socket.socket(fileno=control), memory_bytes)
            os._exit(0)

        if threading.active_count() == 1:
            settings |= {"preexec_fn": main, "restore_signals": False}  # a broken pipe is an error to Python
        super().__init__(line, pass_fds=pass_fds, **settings)
