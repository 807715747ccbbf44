"""`babelview search --like` and `--duplicates`, with pictures and thumbnails as a run leaves them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance
from report_ledgers import Shown, strip_of, write_shown

from client.cli.main import main
from client.ledger.ledger import LEDGER
from client.ledger.results import Results
from client.media.kinds import Kind
from client.media.likeness import bits_apart, look_at, look_of, same_colours
from client.media.strips import Thumbnail
from client.media.thumbnail_folder import FOLDER, Thumbnails
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


def differ(one: Image.Image, other: Image.Image) -> tuple[float, bool]:
    """In how many bits two pictures differ, and whether in their colours."""
    first, second = (look_at(np.asarray(picture)) for picture in (one, other))
    return bits_apart(first.hashes, second.hashes[None])[0], not same_colours(first.colours, second.colours[None])[0]


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    """The same picture with all its hues turned."""
    hue, saturation, value = picture.convert("HSV").split()
    hue = hue.point([round(level + degrees * 256 / 360) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def advertisement(car: str, sky: str = "#87b5e0", ground: str = "#5f6b52") -> Image.Image:
    """A drawn car of some colour in a landscape."""
    picture = Image.new("RGB", (640, 360), sky)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 240, 640, 360), fill=ground)
    draw.rectangle((200, 200, 440, 270), fill=car)
    draw.rectangle((260, 150, 390, 205), fill=car)
    for wheel in (240, 400):
        draw.ellipse((wheel - 28, 245, wheel + 28, 301), fill="#151515")
    return picture


def test_a_hash_stays_while_the_picture_does_and_no_longer() -> None:
    for seed in range(40):
        picture = scene(seed)
        changed = [
            saved(picture, 30),
            picture.resize((160, 100)),
            ImageEnhance.Brightness(picture).enhance(1.2),
            ImageEnhance.Contrast(picture).enhance(0.8),
        ]
        found = [differ(picture, other) for other in changed]
        assert max(bits for bits, _ in found) <= NEAR_BITS
        assert not any(recoloured for _, recoloured in found)
    hashes = np.array([look_at(np.asarray(scene(seed))).hashes for seed in range(200)])
    assert min(bits_apart(hashes[at], hashes[:at]).min() for at in range(1, 200)) > NEAR_BITS
    assert look_at(np.full((20, 20, 3), 200, np.uint8)).hashes == 0


@pytest.mark.parametrize("degrees", [40, 120, 180, 270])
def test_other_hues_are_other_colours(degrees: float) -> None:
    assert all(differ(scene(seed), turned(scene(seed), degrees))[1] for seed in range(20))


@pytest.mark.parametrize("size", [(640, 360), (320, 180)])
def test_a_car_of_another_colour_is_another_picture(size: tuple[int, int]) -> None:
    colours = ["#c0281f", "#1f4fc0", "#1f9a3c", "#e0b81f", "#f4f4f4", "#202020", "#8a1fc0"]
    for at, colour in enumerate(colours):
        car = advertisement(colour)
        assert not differ(car, saved(car.resize(size), 40))[1]
        assert not differ(car, ImageEnhance.Brightness(car).enhance(1.15))[1]
        assert all(differ(car, saved(advertisement(other).resize(size), 40))[1] for other in colours[:at])
    assert differ(car, car.convert("L").convert("RGB"))[1], "black and white are other colours"


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
    advertisement("#c0281f").save(media / "red.png")
    advertisement("#1f4fc0").save(media / "blue.png")
    advertisement("#1f4fc0").save(media / "blue again.jpg", quality=50)
    said |= dict.fromkeys(("red.png", "blue.png", "blue again.jpg"), "")
    shown = [
        Shown(
            str(media / name),
            answers={"describe": (text, {})},
            thumbnail=picture_thumbnail(Image.open(media / name).convert("RGB")),
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
        assert len(without_thumbnail(index, output)) == 8


def names(files: object) -> list[str]:
    return [Path(file.name).name for file in files]  # type: ignore[attr-defined]


def test_duplicates_are_the_same_content_or_near_identical_pictures(output: Path) -> None:
    with Results(output) as results, Index(output, results) as index:
        groups = [sorted(names(group.files)) for group in duplicates(index, output)]
    assert ["car.png", "copy.png", "small.jpg"] in groups
    assert ["blue again.jpg", "blue.png"] in groups
    assert not any({"beach.png", "red car.png", "red.png"} & set(group) for group in groups)


def test_what_is_like_a_file_says_why(output: Path) -> None:
    with Results(output) as results, Index(output, results) as index:
        car = find_file(index, str(output.parent / "media" / "car.png"), None)
        assert car
        found = like(index, output, car, 10)
    assert names(one.file for one in found) == ["copy.png", "small.jpg", "red car.png"]
    assert found[0].distance == 0
    assert found[2].distance is None
    assert set(found[2].words) == {"cabriolet", "pass"}


def test_a_word_of_every_text_tells_nothing(tmp_path: Path) -> None:
    """However many languages the texts are translated into."""
    said = ["The cabriolet stands.", "The cabriolet goes.", *["The lamp shines."] * 4]
    translated = {code: ["Eins."] for code in ("deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn")}
    shown = [
        Shown(f"{number}.png", Kind.IMAGE, answers={"describe": (text, translated)}) for number, text in enumerate(said)
    ]
    write_shown(tmp_path / "out", shown, ["describe"], tuple(translated))
    with Results(tmp_path / "out") as results, Index(tmp_path / "out", results) as index:
        file = find_file(index, "0.png", None)
        assert file
        (other,) = like(index, tmp_path / "out", file, 10)
    assert (Path(other.file.name).name, other.words) == ("1.png", ["cabriolet"])


def test_a_thumbnail_that_cannot_be_read_looks_like_nothing() -> None:
    jpeg, strip = picture_thumbnail(scene(1))
    assert look_of(Thumbnail(jpeg, strip))
    assert look_of(Thumbnail(jpeg[:200], strip)) is None
    assert look_of(Thumbnail(b"no thumbnail", strip)) is None
    assert look_of(picture_thumbnail(Image.new("RGB", (90, 60), "red"))) is None


def test_what_was_computed_is_kept_until_the_thumbnail_changes(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Thumbnail] = []
    monkeypatch.setattr("client.search.looks.look_of", lambda it: seen.append(it) or look_of(it))
    with Results(output) as results, Index(output, results) as index:
        first = duplicates(index, output)
        count = len(seen)
        assert count > 0
        assert duplicates(index, output) == first
        assert len(seen) == count
        other = picture_thumbnail(scene(99))
        with Thumbnails(output) as thumbnails:
            thumbnails.keep({hashlib.sha256((output.parent / "media" / "car.png").read_bytes()).hexdigest(): other})
        duplicates(index, output)
        assert seen[count:] == [other]


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


def test_pictures_side_by_side_have_the_looks_of_each() -> None:
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 255, (3, 6, 5, 3), dtype=np.uint8)
    pictures = [*np.kron(coarse, np.ones((1, 16, 32, 1), np.uint8)), np.full((96, 160, 3), 90, np.uint8)]
    looks = [look_at(picture) for picture in pictures]
    together = look_at(np.concatenate(pictures, axis=1), len(pictures))
    assert together.hashes.tolist() == [look.hashes[0] for look in looks]
    assert (together.colours == np.concatenate([look.colours for look in looks])).all()
    assert len(set(together.hashes.tolist())) == 4
    assert together.hashes[3] == 0
    kept = type(together).from_bytes(together.to_bytes())
    assert all((one == other).all() for one, other in zip(kept, together, strict=True))
