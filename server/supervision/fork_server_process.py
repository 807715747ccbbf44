"""`python -P -m server.supervision.fork_server_process FD MODULE`: imports what parts import, and is forked for each.

At the other end of the socket FD is `ForkServer`. An order is a JSON object, `{"arguments": [...], "env": {...}}`, that
comes with a file descriptor for both outputs. Answers are JSON lists: to each order, in turn, `["started", PID]`, or
`["refused", WHY]` where the system has no room for another process; and `["ended", PID, EXIT_CODE]` later. When the
socket ends, so does the process, and with it all that it has forked.

It has one thread, no event loop, and nothing that a fork would break; MODULE is one that has `prepare()`, which
imports, and `run(arguments)`, which is the part and does not return.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import shlex
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from setproctitle import getproctitle, setproctitle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""
LONGEST_ORDER = 1 << 20
"""In bytes; the kernel takes less than a quarter of it."""
OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal sends to all; it is for the supervisor to say when we end."""


def serve(orders: socket.socket, part: Any) -> None:
    """Take orders until there is nobody who gives any."""
    child_ended, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the byte in the pipe is what tells
    server = os.getpid()
    while True:
        ready, _, _ = select.select([orders.fileno(), child_ended], [], [])
        if child_ended in ready:
            os.read(child_ended, 1 << 12)
            _tell_ended(orders)
        if orders.fileno() in ready:
            message, outputs, _, _ = socket.recv_fds(orders, LONGEST_ORDER, 1)
            if not message:
                return
            try:
                pid = os.fork()
            except OSError as error:  # those that run must not end with us
                os.close(outputs[0])
                _tell(orders, ["refused", error.strerror])
                continue
            if pid == 0:
                for ours in (orders.fileno(), child_ended, written):
                    os.close(ours)
                _end_with(server)
                _be(part, **json.loads(message), output=outputs[0])
            os.close(outputs[0])
            os.setpgid(pid, pid)  # so that its group is there, whoever of the two comes first
            _tell(orders, ["started", pid])


def _be(part: Any, arguments: Sequence[str], env: Mapping[str, str], output: int) -> NoReturn:
    """In the forked process: be the part."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (*OURS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL if number is not signal.SIGINT else signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.environ.clear()
        os.environ.update(env)
        setproctitle(shlex.join([*sys.orig_argv[: sys.orig_argv.index("-m") + 1], part.__name__, *arguments]))
        part.run(arguments)
    except BaseException:  # noqa: BLE001  # whatever it is, it must not become a second server
        traceback.print_exc()
    os._exit(1)


def _end_with(server: int) -> None:
    """Have the kernel kill this process when the server ends: who is told nothing of it must not have it run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # it has ended meanwhile
        os._exit(1)


def _tell_ended(orders: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(orders, ["ended", pid, os.waitstatus_to_exitcode(status)])


def _tell(orders: socket.socket, what: list[Any]) -> None:
    orders.send(json.dumps(what).encode())


def main(number: str, module: str) -> NoReturn:
    """Import, and serve until the socket ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS)  # not ignored: a part just forked gets what is sent to it
    setproctitle(getproctitle())  # it finds where titles go by the environment with which we were started
    part = importlib.import_module(module)
    part.prepare()
    try:
        with socket.socket(fileno=int(number)) as orders:
            serve(orders, part)
    except BrokenPipeError:
        pass
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
