"""`babelview search --like` and `--duplicates`, with pictures and thumbnails as a run leaves them."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from report_ledgers import Shown, strip_of, write_shown

from client.cli.main import main
from client.ledger.ledger import LEDGER
from client.ledger.results import Results
from client.media.kinds import Kind
from client.media.likeness import hash_of, hashes_in, hashes_of
from client.media.thumbnail_folder import FOLDER
from client.media.thumbnails import picture_thumbnail
from client.search.alike import NEAR_BITS, duplicates, find_file, like, without_thumbnail
from client.search.index import Index


def scene(seed: int, size: tuple[int, int] = (320, 200)) -> Image.Image:
    """A picture with large and small forms."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (5, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 255, (40, 64, 3), dtype=np.uint8)).resize(size, Image.Resampling.BILINEAR)
    return Image.blend(coarse, fine, 0.25)


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def hash_(picture: Image.Image) -> int:
    found = hash_of(np.asarray(picture))
    assert found is not None
    return found


def test_a_hash_stays_while_the_picture_does_and_no_longer() -> None:
    for seed in range(40):
        picture = scene(seed)
        changed = [
            saved(picture, 30),
            picture.resize((160, 100)),
            ImageEnhance.Brightness(picture).enhance(1.2),
            ImageEnhance.Contrast(picture).enhance(0.8),
            picture.convert("L").convert("RGB"),
        ]
        assert max((hash_(other) ^ hash_(picture)).bit_count() for other in changed) <= NEAR_BITS
    hashes = [hash_(scene(seed)) for seed in range(200)]
    distances = [(a ^ b).bit_count() for at, a in enumerate(hashes) for b in hashes[:at]]
    assert min(distances) > NEAR_BITS
    assert hash_of(np.full((20, 20, 3), 200, np.uint8)) is None


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder with a car, the same smaller and twice, other pictures, and two videos of the same colours."""
    media = tmp_path / "media"
    media.mkdir()
    scene(1).save(media / "car.png")
    scene(1).resize((160, 100)).save(media / "small.jpg", quality=60)
    shutil.copy(media / "car.png", media / "copy.png")
    scene(2).save(media / "beach.png")
    scene(3).save(media / "red car.png")
    said = {
        "car.png": "A shiny red cabriolet on a mountain pass.",
        "small.jpg": "A car.",
        "copy.png": "A shiny red cabriolet on a mountain pass.",
        "beach.png": "People sit in the sand.",
        "red car.png": "An old cabriolet in a garage below the pass.",
    }
    shown = [
        Shown(
            str(media / name),
            answers={"describe": (text, {})},
            thumbnail=picture_thumbnail(np.asarray(Image.open(media / name).convert("RGB"))),
        )
        for name, text in said.items()
    ]
    for name, hues in (("a.mp4", (10, 90, 200)), ("b.mp4", (12, 92, 203)), ("c.mp4", (300, 20))):
        shown.append(Shown(name, Kind.VIDEO, answers={"describe": (name, {})}, thumbnail=strip_of(hues, 9.0)))
    write_shown(tmp_path / "out", shown, ["describe"], ())
    return tmp_path / "out"


def test_of_sound_no_thumbnail_is_missing(output: Path) -> None:
    shutil.rmtree(output / FOLDER)
    with sqlite3.connect(output / LEDGER) as ledger:
        ledger.execute("UPDATE uris SET kind = 'audio' WHERE uri LIKE '%.mp4'")
    ledger.close()
    with Results(output) as results, Index(output, results) as index:
        assert len(without_thumbnail(index, output)) == 5


def names(files: object) -> list[str]:
    return [Path(file.name).name for file in files]  # type: ignore[attr-defined]


def test_duplicates_are_the_same_content_or_near_identical_pictures(output: Path) -> None:
    with Results(output) as results, Index(output, results) as index:
        groups = [sorted(names(group.files)) for group in duplicates(index, output)]
    assert ["car.png", "copy.png", "small.jpg"] in groups
    assert not any("beach.png" in group or "red car.png" in group for group in groups)


def test_what_is_like_a_file_says_why(output: Path) -> None:
    with Results(output) as results, Index(output, results) as index:
        car = find_file(index, str(output.parent / "media" / "car.png"), None)
        assert car
        found = like(index, output, car, 10)
    assert names(one.file for one in found) == ["copy.png", "small.jpg", "red car.png"]
    assert found[0].distance == 0
    assert found[2].distance is None
    assert set(found[2].words) == {"cabriolet", "pass"}


def test_thumbnails_of_older_versions_are_hashed_when_asked(tmp_path: Path) -> None:
    jpeg = picture_thumbnail(np.asarray(scene(1)))
    (tmp_path / "new.jpg").write_bytes(jpeg)
    (tmp_path / "old.jpg").write_bytes(jpeg.replace(b'"hashes"', b'"hushes"'))
    (new,), (old,) = hashes_of(tmp_path / "new.jpg"), hashes_of(tmp_path / "old.jpg")
    assert new
    assert old
    assert (new ^ old).bit_count() <= 4
    (tmp_path / "no.jpg").write_bytes(b"no thumbnail")
    assert hashes_of(tmp_path / "no.jpg") == hashes_of(tmp_path / "none.jpg") == []


def test_the_command_prints_them(output: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    car = str(output.parent / "media" / "car.png")
    assert main(["search", "--like", car, str(output), "--json", "--limit", "1"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["like"] == car
    assert [Path(hit["file"]).name for hit in said["hits"]] == ["copy.png"]
    assert main(["search", "--duplicates", str(output), "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert any(len(group["files"]) == 3 and not group["same"] for group in groups)
    assert main(["search", "--duplicates", str(output)]) == 0
    assert "near-identical:\n" in capsys.readouterr().out
    assert main(["search", "--like", str(tmp_path / "x.png"), str(output)]) == 2
    assert "is none of the files that" in capsys.readouterr().err
    assert main(["search", "--like", car, "--duplicates", str(output)]) == 2
    capsys.readouterr()
    assert main(["search", "red", "car", str(output)]) == 2
    assert "several words need quotes" in capsys.readouterr().err
    assert main(["search", "--duplicates", "red", str(output)]) == 2


def test_pictures_side_by_side_have_the_hashes_of_each() -> None:
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 255, (3, 6, 5, 3), dtype=np.uint8)
    pictures = [*np.kron(coarse, np.ones((1, 17, 23, 1), np.uint8)), np.full((102, 115, 3), 90, np.uint8)]
    hashes = [hash_of(picture) for picture in pictures]
    assert hashes_in(np.concatenate(pictures, axis=1), len(pictures)) == hashes
    assert len(set(hashes)) == 4
    assert hashes[3] is None
