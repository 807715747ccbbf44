"""What the tests of the batch client and of the gateway share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from everything import Everything, running_everything
from fake_servers import FakeServers
from gateway_rig import PICTURE, Engine, short_folder
from hearing_servers import hearing_servers
from media_files import numbered, write_video
from PIL import Image
from shared_decoders import SharedForkServer
from web_site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def servers() -> Iterator[FakeServers]:
    fake = FakeServers()
    yield fake
    fake.close()


@pytest.fixture
def hearing() -> Iterator[FakeServers]:
    """The same, with a speech model."""
    fake = hearing_servers()
    yield fake
    fake.close()


@pytest.fixture
def shared_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are decoded by processes that are forked from one for all tests."""
    monkeypatch.setattr("client.api.session.ForkServer", SharedForkServer)


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    """Two videos, a picture, one video in a folder below, and what is not to be taken."""
    folder = tmp_path / "ads"
    (folder / "more").mkdir(parents=True)
    write_video(folder / "a.mp4", 30)
    write_video(folder / "b.mkv", 5)
    write_video(folder / "more" / "c.mp4", 60, options={"g": "10"})
    Image.fromarray(numbered(77)).save(folder / "d.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.mp4").write_bytes(b"no")
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for Unix sockets, whose paths have 107 characters."""
    with short_folder() as path:
        yield path


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[Engine]:
    """The engine of the gateway's picture model, played by the test."""
    async with Engine(folder / f"{PICTURE}.sock").running() as running:
        yield running


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything_and_address() -> AsyncIterator[tuple[Everything, str]]:
    """One gateway for a module, which takes all there is, and its engine."""
    async with running_everything() as both:
        yield both


@pytest.fixture
def everything(everything_and_address: tuple[Everything, str]) -> Everything:
    """The engine, as at its start."""
    engine, _ = everything_and_address
    engine.bodies.clear()
    engine.error = None
    return engine


@pytest.fixture
def gateway_url(everything_and_address: tuple[Everything, str]) -> str:
    """The gateway's address."""
    return everything_and_address[1]
