"""What the tests share: one running demo stack a session, because starting vLLM takes a minute; and their order."""

from __future__ import annotations

import os
import socket
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import Stack, running_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.demo.world.pictures import Picture
    from scripts.demo.world.scenes import Clip

# The models here are tiny: threads of one computation would wait for each other for longer than they compute.
os.environ["OMP_NUM_THREADS"] = "1"

WITH_THE_STACK = (
    *("test_demo_captions.py", "test_demo_pictures.py", "test_killed_engine.py", "test_readme.py"),
    *("test_bench_pipeline_served.py", "test_bench_scale_tasks.py", "test_bench_server_served.py"),
    *("test_deploy_dashboard.py", "test_gateway_sdks.py", "test_gateway_sdk_tools.py", "test_gateway_stack.py"),
    *("test_gateway_parameters.py", "test_gateway_hostile_stack.py", "test_server_safe_path.py"),
    *("test_server_stack.py", "test_stop_under_load.py"),
)
"""Modules that use the demo stack, in their order: the last one stops it."""
LONG = (
    *("test_llama_vision_engine.py", "test_server_dummy_engine.py", "test_bench_plugin_served.py"),
    *("test_llama_vision_server.py", "test_quantize_fp8_engine.py", "test_server_alone_engine.py"),
    *("test_translator_service.py", "test_client_video_formats.py", "test_client_kills.py"),
)
"""Modules that take long without it: they come first, so that no worker has one left at the end."""

USERS_OWN = """
import pathlib
(pathlib.Path(__file__).parent / "imported").touch()
raise ImportError("the user's own module was imported")
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests: those that use the demo stack, those that take long, the others."""
    ranks = {name: rank for rank, name in enumerate((*WITH_THE_STACK, *LONG))}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
    for item in items:
        if "users_folder" in getattr(item, "fixturenames", ()) and item.path.name not in WITH_THE_STACK:
            raise pytest.UsageError(f"{item.nodeid} uses the demo stack: name its module in {__file__}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With pytest-xdist a module is run by one worker; those with the demo stack by the same one, which starts it."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not there without it

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return "stack" if PurePosixPath(module).name in WITH_THE_STACK else module

    return ByModule(config, log)


def free_port() -> int:
    """A TCP port that is free on loopback right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def users_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, in which names of ours mean something else; `imported` appears if one of them is imported."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("server.py", "client.py", "translator.py", "prompts/__init__.py", "scripts.py"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(USERS_OWN)
    return folder


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo stack's parts log."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def stack(users_folder: Path, logs: Path) -> Iterator[Stack]:
    """The demo stack: real vLLM, translator and gateway on free ports, started from a user's folder."""
    ports = ["--port", str(free_port()), "--translator-port", str(free_port())]
    with running_stack(*ports, "--log-dir", str(logs), folder=users_folder) as running:
        yield running


@pytest.fixture(scope="session")
def sample_ads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Clip | Picture]]:
    """A folder of drawn videos and pictures, and what is true of each file."""
    folder = tmp_path_factory.mktemp("ads")
    return folder, write_ads(folder, seed=11, videos=12, pictures=12)
