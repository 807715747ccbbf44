"""What the tests of the batch client share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_servers import FakeServers
from media_files import numbered, write_video
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def servers() -> Iterator[FakeServers]:
    fake = FakeServers()
    yield fake
    fake.close()


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
