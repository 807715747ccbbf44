"""What vLLM loads: the entry point of the Llama 3.2 Vision plugin, in a module whose name no folder of a user has.

vLLM loads its plugins in each of its processes, some of which have the current folder on their path. There a user's own
`server.py` must not be taken for our package `server`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = str(Path(__file__).resolve().parent)


def plugin() -> ModuleType:
    """Our `server.llama_vision`, whatever else is called `server` on the path."""
    sys.path.insert(0, ROOT)
    try:
        return import_module("server.llama_vision")
    finally:
        sys.path.remove(ROOT)


def register() -> None:
    """Make the model known to vLLM."""
    plugin().register()
