"""Lets vLLM's engine core tell the supervisor when it begins a step (`server/supervision/heartbeat.py`).

On a slow CPU a step takes longer than anybody waits for an answer, and the core answers nothing meanwhile.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from server.supervision.heartbeat import Heartbeat

VARIABLE = "BABELVIEW_HEARTBEAT"
"""Names the file; without it nobody is told anything."""
_CORE = "vllm.v1.engine.core"


def register() -> None:
    """Watch the steps of this process, if it is an engine core or will be forked into one, and somebody wants it."""
    prefix = os.environ.get(VARIABLE)
    core = sys.modules.get(_CORE)  # imported before plugins are, where there is a core
    if not prefix or core is None:
        return
    original = core.EngineCoreProc._process_engine_step  # noqa: SLF001  # what each of its loops calls for a step
    if getattr(original, "is_watched", False):
        return
    heartbeat: Heartbeat | None = None

    def watched(engine: Any) -> Any:
        nonlocal heartbeat
        if heartbeat is None:  # not before: its thread would not survive a fork
            heartbeat = Heartbeat(prefix)
        heartbeat.step_begins()
        try:
            return original(engine)
        finally:
            heartbeat.step_ends()

    watched.is_watched = True  # type: ignore[attr-defined]
    core.EngineCoreProc._process_engine_step = watched  # noqa: SLF001
