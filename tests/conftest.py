"""What the tests share: one running demo stack a session, because starting vLLM takes a minute; and their order."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

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

LONG = (
    "test_llama_vision_engine.py",
    "test_server_dummy_engine.py",
    "test_bench_plugin_served.py",
    "test_llama_vision_server.py",
    "test_quantize_fp8_engine.py",
    "test_server_alone_engine.py",
)
"""Modules that take long and do not use the stack: they come first, so that no worker has one left at the end."""

USERS_OWN = """
import pathlib
(pathlib.Path(__file__).parent / "imported").touch()
raise ImportError("the user's own module was imported")
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests, and with pytest-xdist group them: each group is run by one worker.

    All that use the demo stack are one group, the first, for it takes longest; the test that stops the stack is its
    last. Of the others each module is a group.
    """
    ranks = {name: rank for rank, name in enumerate(LONG)}
    in_order = sorted(
        items,
        key=lambda item: (
            not uses_stack(item),
            item.get_closest_marker("stops_the_stack") is not None,
            ranks.get(item.path.name, len(LONG)),
        ),
    )
    items[:] = in_order
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group("stack" if uses_stack(item) else item.path.name))


def uses_stack(item: pytest.Item) -> bool:
    """Whether a test needs the session's demo stack, itself or by a fixture."""
    return "stack" in getattr(item, "fixturenames", ())


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
def stack(users_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo stack: real vLLM, translator and gateway on free ports, started from a user's folder."""
    logs = tmp_path_factory.mktemp("logs")
    ports = ["--port", str(free_port()), "--translator-port", str(free_port())]
    with running_stack(*ports, "--log-dir", str(logs), folder=users_folder) as running:
        yield running


@pytest.fixture(scope="session")
def sample_ads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Clip | Picture]]:
    """A folder of drawn videos and pictures, and what is true of each file."""
    folder = tmp_path_factory.mktemp("ads")
    return folder, write_ads(folder, seed=11, videos=12, pictures=12)
