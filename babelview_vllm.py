"""What vLLM loads: the entry point of the Llama 3.2 Vision plugin, in a module whose name no folder of a user has.

vLLM loads its plugins in each of its processes, some of which have the current folder on their path. There a user's own
`server.py` must not be taken for our package `server`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

SERVER = Path(__file__).resolve().parent / "server"
"""Our package `server`, beside this file."""


def plugin() -> ModuleType:
    """Our `server.llama_vision`, whatever else is called `server` on the path.

    Raises:
        ImportError: another `server` has been imported before.
    """
    loaded = sys.modules.get("server")
    if loaded is None:
        _import_by_place()
    elif not _is_ours(loaded):
        where = getattr(loaded, "__file__", None) or "another place"
        raise ImportError(
            f"Babelview's plugin needs its own package `server`, of {SERVER}, but this process has imported `server` "
            f"from {where}: give that module another name"
        )
    return import_module("server.llama_vision")


def register() -> None:
    """Make the model known to vLLM."""
    plugin().register()


def _import_by_place() -> None:
    """Import our `server` without the path: nothing that lies beside it may be found before the standard library."""
    spec = spec_from_file_location("server", SERVER / "__init__.py", submodule_search_locations=[str(SERVER)])
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["server"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["server"]
        raise


def _is_ours(module: ModuleType) -> bool:
    return SERVER in (Path(place).resolve() for place in getattr(module, "__path__", ()))
