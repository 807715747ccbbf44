"""What the tests share: one running demo stack a session, because starting vLLM takes a minute."""

from __future__ import annotations

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


def free_port() -> int:
    """A TCP port that is free on loopback right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo stack: real vLLM, translator and gateway on free ports."""
    logs = tmp_path_factory.mktemp("logs")
    ports = ["--port", str(free_port()), "--translator-port", str(free_port())]
    with running_stack(*ports, "--log-dir", str(logs)) as running:
        yield running


@pytest.fixture(scope="session")
def sample_ads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Clip | Picture]]:
    """A folder of drawn videos and pictures, and what is true of each file."""
    folder = tmp_path_factory.mktemp("ads")
    return folder, write_ads(folder, seed=11, videos=12, pictures=12)
