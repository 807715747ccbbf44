"""What goes to a process that decodes and back, and how it is started."""

from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from PIL import Image

from client.media.content import Content, Facts, Frame
from client.media.fork_server import ForkServer
from client.media.kinds import Kind
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.media.strips import Strip, Thumbnail

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(160, 120, 2.5, 25.0, 62)
CONTENT = Content(
    Kind.VIDEO, FACTS, [Frame(0, b"one"), Frame(9, b"two")], ["cut off"], Thumbnail(b"x", Strip(1, 2, [0.5]))
)


@pytest.mark.parametrize("sent", [FACTS, CONTENT], ids=["facts", "content"])
def test_what_is_loaded_comes_through_the_pipe_as_it_was(sent: Facts | Content) -> None:
    for field in dataclasses.fields(sent):  # or it might be its default that comes
        assert getattr(sent, field.name) not in (field.default, [])
    assert pickle.loads(pickle.dumps(sent)) == sent


def test_decoders_get_files_of_any_name_and_their_libraries_no_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    others = set(psutil.Process().children())
    names = ["a b.jpg", "q\udcff.jpg"]
    for name in names:
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / name)
    loaders = Loaders(1, ForkServer())
    try:
        files = [(path, identify(path)) for path in (tmp_path / name for name in names)]
        contents = loaders.together([*files, (tmp_path / "gone.jpg", files[0][1])], Sampling())
        assert [isinstance(content, Content) for content in contents] == [True, True, False]
        (server,) = set(psutil.Process().children()) - others
        assert server.environ()["OPENBLAS_NUM_THREADS"] == "1"
    finally:
        loaders.close()
