"""Programs in the tests' own process, where what they import is loaded once and not for each of them."""

from __future__ import annotations

import runpy
import signal
import sys
import warnings
from unittest.mock import patch

import pytest


def exit_code(module: str, *arguments: str) -> object:
    """Run `python -m MODULE ARGUMENTS` until it exits; what it prints is for `capsys`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with patch.object(sys, "argv", [module, *arguments]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)  # another test's import
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return ended.value.code
