"""Data sets for training, opened by the libraries that load them. These import torch."""

from __future__ import annotations

import json
import tarfile
from importlib import import_module
from typing import TYPE_CHECKING

from exported import ANSWERS, LONG, make_media, write_answers

from client.export import webdataset
from client.export.captions import Choice
from client.export.formats import export

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_datasets_loads_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = import_module("datasets")
    # The variable that says so is read when they are imported, which another test may have done.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    media = make_media(tmp_path / "media")
    hostile = {"file_name": "../../etc/passwd", "x_file_name": "/etc/passwd", "image": "x", "text": "y"}
    write_answers(tmp_path / "out", media, ANSWERS, **hostile)
    assert export(tmp_path / "out", ["imagefolder"]) == [tmp_path / "out" / "imagefolder"]
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "out" / "imagefolder"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["image"].getpixel((0, 0)) for row in loaded] == [(255, 0, 0), (0, 0, 255)]
    assert loaded[0]["text"] == LONG.strip()
    assert loaded[0]["tags"] == "blue & <sky>, red car"
    assert loaded[0]["describe_spa_Latn"] == f"spa_Latn {LONG}".strip()
    assert loaded[0]["x_file_name_"] == "/etc/passwd"
    assert loaded[0]["width"] == 4
    video = json.loads((tmp_path / "out" / "videofolder" / "metadata.jsonl").read_text())
    assert (tmp_path / "out" / "videofolder" / video["file_name"]).read_bytes() == b"no video"
    media[0].unlink()
    export(tmp_path / "out", ["imagefolder"])
    links = [path for path in (tmp_path / "out" / "imagefolder").rglob("*.png") if path.is_symlink()]
    assert len(links) == 1, "the link to a file that is gone is gone, too"


def test_webdataset_reads_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wds = import_module("webdataset")
    media = make_media(tmp_path / "media")
    odd = media[0].with_name("a.b.c..TXT")
    odd.write_bytes(b"no picture")
    monkeypatch.setattr(webdataset, "SHARD_SAMPLES", 2)
    write_answers(tmp_path / "out", [*media, odd], ANSWERS)
    assert export(tmp_path / "out", ["webdataset"]) == [tmp_path / "out" / "webdataset"]
    shards = sorted((tmp_path / "out" / "webdataset").iterdir())
    assert [path.name for path in shards] == ["00000.tar", "00001.tar"]
    samples = list(wds.WebDataset(list(map(str, shards)), shardshuffle=False, empty_check=False).decode("pilrgb"))
    assert [sample["txt"] for sample in samples] == [LONG.strip()] * 4
    assert [sample["json"]["file"] for sample in samples] == [*map(str, media), str(odd)]
    assert samples[1]["png"].getpixel((0, 0)) == (0, 0, 255)
    assert samples[3]["bin"] == b"no picture"
    before = [path.read_bytes() for path in shards]
    export(tmp_path / "out", ["webdataset"])
    assert [path.read_bytes() for path in shards] == before


def test_shards_are_as_large_as_they_may_be_and_none_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = make_media(tmp_path / "media")
    write_answers(tmp_path / "out", media, ANSWERS)
    folder = tmp_path / "out" / "webdataset"
    monkeypatch.setattr(webdataset, "SHARD_BYTES", 1)
    export(tmp_path / "out", ["webdataset"])
    assert sorted(path.name for path in folder.iterdir()) == ["00000.tar", "00001.tar", "00002.tar"]
    media[2].unlink()
    monkeypatch.undo()
    export(tmp_path / "out", ["webdataset"], choice=Choice("tags"))
    assert [path.name for path in folder.iterdir()] == ["00000.tar"]
    with tarfile.open(folder / "00000.tar") as tar:
        assert tar.getnames() == [
            f"00000000{number}.{suffix}" for number in (0, 1) for suffix in ("png", "txt", "json")
        ]
