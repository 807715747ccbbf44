"""Work for loader processes that goes wrong where a file's name says so, and is the real one elsewhere.

As a program it is the batch client with this work: `python loader_work.py PATH ...`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from client.errors import MediaError
from client.media.load import Identity, load_spans
from client.media.worker import MEMORY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from client.media.content import Content, Span
    from client.media.sampling import Sampling


def work(
    path: Path, identity: Identity, sampling: Sampling, spans: Sequence[Span | None], thumbnail: bool
) -> Iterator[Content]:
    match path.stem:
        case "segfault":
            ctypes.string_at(0)  # a real one
        case "abort":
            os.abort()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "hang":
            hang()
        case "stopped" if not (mark := path.with_suffix(".mark")).exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGTERM)
        case "greedy":
            bytearray(MEMORY_BYTES)
        case "mute":
            return
    yield from load_spans(path, identity, sampling, spans, thumbnail)
    match path.stem:
        case "late-error":
            raise MediaError("too late")
        case "late-greed":
            bytearray(MEMORY_BYTES)
        case "late-crash":
            ctypes.string_at(0)
        case "talkative":
            yield from load_spans(path, identity, sampling, spans, thumbnail)


def hang() -> None:
    """As a decoder does that loops for ever: without a look at any signal that can be ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    import client.pipeline
    from client.batch import main
    from client.media.loaders import Loaders

    timeout = float(os.environ.get("LOADER_TIMEOUT", "120"))
    client.pipeline.Loaders = functools.partial(
        Loaders, timeout_s=timeout, work=importlib.import_module("loader_work").work
    )  # type: ignore[misc,assignment]
    sys.exit(main())
