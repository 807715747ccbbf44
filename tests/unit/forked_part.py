"""A part that a test has forked: what is imported is noted in the file IMPORTS, and lasts until UNTIL is there.

With BROKEN it cannot be imported; with FULL there is room for one process and no more.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path


def prepare() -> None:
    with Path(os.environ["IMPORTS"]).open("a") as imports:
        imports.write(f"{os.getpid()}\n")
    if os.environ.get("BROKEN"):
        raise ImportError("nothing to import here")
    if os.environ.get("FULL"):
        forks = iter([os.fork])

        def fork() -> int:
            return next(forks, full)()

        os.fork = fork
    while "UNTIL" in os.environ and not Path(os.environ["UNTIL"]).exists():
        time.sleep(0.01)


def full() -> int:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def run(arguments: list[str]) -> None:
    print(os.getppid(), os.getpgid(0), *arguments, os.environ.get("LATE"), flush=True)
    if arguments == ["fail"]:
        os._exit(3)
    if arguments == ["raise"]:
        raise RuntimeError("not like this")
    time.sleep(3600)
