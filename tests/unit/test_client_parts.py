"""The client's small parts: what is asked, discovery, files that are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from client.export.atomic import replacing
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.sources.gather import gather
from client.tasks.plan import make_plan
from client.tasks.tasks import choose_tasks

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}


def test_what_is_asked_depends_on_prompt_model_and_parameters() -> None:
    tasks = choose_tasks(["describe"], [])
    (one,) = make_plan(tasks, MODELS, 0, Sampling(8), ()).requests[Kind.VIDEO]
    (frames,) = make_plan(tasks, MODELS, 0, Sampling(16), ()).requests[Kind.VIDEO]
    (warm,) = make_plan(tasks, MODELS, 1, Sampling(8), ()).requests[Kind.VIDEO]
    assert len({one.identity, frames.identity, warm.identity}) == 3
    (picture,) = make_plan(tasks, MODELS, 0, Sampling(8), ()).requests[Kind.IMAGE]
    (same,) = make_plan(tasks, MODELS, 0, Sampling(16), ()).requests[Kind.IMAGE]
    assert picture.identity == same.identity  # frames are nothing to a picture


def test_discovery(tmp_path: Path) -> None:
    for name in (
        "b.MP4",
        "a.jpg",
        "sub/c.webm",
        ".hidden/d.mp4",
        ".e.mp4",
        "out/f.png",
        "notes.txt",
        "sub/g",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"?")
    (tmp_path / "sub" / "h").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = gather([str(tmp_path)], leave_out=tmp_path / "out")
    assert [str(source.path.relative_to(tmp_path)) for source in found] == ["a.jpg", "b.MP4", "sub/c.webm", "sub/h"]
    named = gather([str(tmp_path / name) for name in (".e.mp4", "notes.txt", ".e.mp4")])
    assert [source.path.name for source in named] == [".e.mp4", "notes.txt"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"

    def write(content: bytes) -> None:
        with replacing(path) as file:
            file.write(content)

    write(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            write(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write(b"new")
    assert path.read_bytes() == b"new"
