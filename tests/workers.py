"""Which worker of pytest-xdist runs which module, and in which order.

A module's tests stay on one worker. The modules of a group stay on one, too: what they start or import is started or
imported once. A module is collected, and so imported, by the worker that runs it; only those that wait and those that
take long are collected by each worker, and go to the one that has time.
"""

from __future__ import annotations

import sys
import zlib
from fnmatch import fnmatch
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

WITH_THE_STACK = (
    *("test_demo_captions.py", "test_demo_films.py", "test_demo_pictures.py"),
    *("test_killed_engine.py", "test_readme.py"),
    *("test_bench_pipeline_served.py", "test_gateway_parameters.py", "test_gateway_sounds.py"),
    *("test_captions.py", "test_live_stack.py"),
    *("test_selftest_stack.py", "test_studio_stack.py", "test_gateway_stack.py"),
)
"""Modules that use all of the demo stack, in their order."""
WITHOUT_SOUND = (
    *("test_gateway_sdk_tools.py", "test_gateway_hostile_stack.py", "test_gateway_sdks.py"),
    *("test_bench_scale_tasks.py", "test_bench_server_served.py"),
    *("test_deploy_dashboard.py", "test_server_safe_path.py"),
    *("test_server_stack.py", "test_stop_under_load.py"),
)
"""Modules that use the demo stack, but not its model for sound; on another worker they have a stack without it. In
their order: the last one stops it."""
WITH_HEAVY_IMPORTS = (
    *("test_llama_vision_engine.py", "test_llama_vision_server.py", "test_quantize_memory.py"),
    *("test_translator_convert.py", "test_translator_madlad.py"),
    *("test_server_profile_arguments.py", "test_server_tool_parser.py"),
    *("test_llama_vision_config.py", "test_llama_vision_model.py", "test_llama_vision_geometry.py"),
    *("test_llama_vision_encoder_cache.py", "test_llama_vision_nf4.py", "test_llama_vision_template.py"),
    *("test_quantize.py", "test_server_cpu_fp8.py", "test_server_dummy.py", "test_client_image.py"),
    *(
        "test_bench_models.py",
        "test_bench_pipeline.py",
        "test_gateway_fuzz.py",
        "test_bench_all.py",
        "test_bench_cli.py",
        "test_bench_gpu.py",
    ),
    *("test_demo_training.py", "test_demo_quoting.py", "test_demo_speech.py", "test_client_export_datasets.py"),
    *("test_published_files.py", "test_server_counted.py"),
    *("test_bench_plugin.py", "test_bench_page.py", "test_bench_plots.py"),
)
"""Modules that import, or run what imports, what takes seconds: torch, transformers, vLLM, Schemathesis, Matplotlib."""
HEAVY = {"torch", "transformers", "vllm", "schemathesis", "matplotlib"}
GROUPS = {"stack": WITH_THE_STACK, "imports": WITH_HEAVY_IMPORTS, "stack without sound": WITHOUT_SOUND}
WAITING = (
    *("test_client_live_reader.py", "test_gateway_replicas.py"),
    *("test_client_endpoint.py", "test_client_interrupted.py"),
    *("test_ray.py", "test_client_live.py", "test_client_loaders.py", "test_server_supervisor.py"),
    *("test_client_models.py", "test_translator_load.py"),
)
"""Modules that wait for most of their time: they come while another worker computes with the stack."""
LONG = (
    *("test_server_dummy_engine.py", "test_client_video_formats.py", "test_report_browser.py", "test_studio_page.py"),
    *("test_translator_service.py", "test_translator_properties.py", "test_translator_rough.py", "test_bench_scale.py"),
    *("test_client_kills.py", "test_client_fuzz.py", "test_server_gateway_hostile.py"),
)
"""Modules that take long, the longest first: they come last, each on the worker that is the first to have time."""

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
_FOR_ANY_WORKER = {*WAITING, *LONG}
_RANKS = {name: rank for rank, name in enumerate(chain(*GROUPS.values(), WAITING, [None], LONG))}


def imported_alone(module: str, before: set[str]) -> set[str]:
    """What heavy packages a module of no group has imported; `before`: the names in `sys.modules` until then."""
    return set() if module in _GROUP_OF else HEAVY.intersection(sys.modules) - before


def has_a_stack(name: str) -> bool:
    """Whether a module may use the demo stack."""
    return name in WITH_THE_STACK or name in WITHOUT_SOUND


def rank(name: str) -> int:
    """Where a module comes among all: groups, those that wait, the others, the long ones."""
    return _RANKS.get(name, _RANKS[None])


def is_for_another(config: pytest.Config, name: str) -> bool:
    """Whether another worker alone collects and runs a module."""
    us: dict[str, Any] | None = getattr(config, "workerinput", None)
    if us is None or name in _FOR_ANY_WORKER or not fnmatch(name, "test_*.py"):
        return False
    number = list(GROUPS).index(_GROUP_OF[name]) if name in _GROUP_OF else zlib.crc32(name.encode())
    return number % us["workercount"] != int(us["workerid"].removeprefix("gw"))


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker that has nothing left the next group or module of those that it has collected."""

    def schedule(self) -> None:
        if self.collection is None:
            found = chain.from_iterable(self.registered_collections.values())
            self.collection = sorted(dict.fromkeys(found), key=lambda nodeid: rank(_name(nodeid)))
            for nodeid in self.collection:
                self.workqueue.setdefault(self._split_scope(nodeid), {})[nodeid] = False
            # Else each worker's count would be taken for that of all, of which what has run is a share.
            self.config.pluginmanager.get_plugin("session").testscollected = len(self.collection)
        for node in [*self.nodes, *self.nodes]:  # a worker begins a test once it knows the next one
            self._reschedule(node)

    def _split_scope(self, nodeid: str) -> str:
        return _GROUP_OF.get(_name(nodeid), nodeid.partition("::")[0])

    def _assign_work_unit(self, node: Any) -> None:
        collected = set(self.registered_collections[node])
        its_own = (scope for scope, unit in self.workqueue.items() if collected.issuperset(unit))
        if (scope := next(its_own, None)) is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


def _name(nodeid: str) -> str:
    return PurePosixPath(nodeid.partition("::")[0]).name
