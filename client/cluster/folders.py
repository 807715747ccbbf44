"""Folders for what a process needs for moments only."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil


def own_folder(prefix: str) -> Path:
    """A new folder of this process; those of processes that were killed are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
        pid = left.name.removeprefix(prefix).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
