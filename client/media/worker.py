"""How a process that decodes begins: it dies with its parent, takes no more memory than it may, and says nothing."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import warnings

MEMORY_BYTES = 3 << 30
"""The most that a worker may take, if nothing else is said."""

_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def prepare_worker(parent: int, most_bytes: int = MEMORY_BYTES) -> None:
    """Make this worker die with its parent, also within a decoder that hangs, and bound its memory."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes(hard, most_bytes), hard))
    # What decoders remark on damaged files would break the live line; the record has our own words.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.dup2(nowhere, sys.stdout.fileno())


def memory_bytes(hard: int, most_bytes: int = MEMORY_BYTES) -> int:
    """The most that a worker may take where the machine lets nobody take more than `hard` bytes."""
    return most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
