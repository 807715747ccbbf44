"""Pictures of every kind come out upright, in sRGB, at the size the model sees."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import load_file
from PIL import Image, ImageCms
from transformers.models.mllama.image_processing_mllama import get_optimal_tiled_canvas

from client.errors import MediaError
from client.media import image as image_module
from client.media.image import load_image, picture_size
from client.media.kinds import Kind
from client.media.load import identify
from client.media.sampling import Sampling
from client.media.tiles import model_size, tiles

if TYPE_CHECKING:
    from pathlib import Path

RED = (220, 30, 40)


def shown(path: Path) -> Image.Image:
    content = load_image(path)
    assert content.kind is Kind.IMAGE
    (jpeg,) = content.jpegs
    return Image.open(io.BytesIO(jpeg))


def colour(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = picture.convert("RGB").getpixel((x, y))
    assert isinstance(value, tuple)
    return tuple(int(v) for v in value)


def near(actual: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 12) -> bool:
    return max(abs(a - b) for a, b in zip(actual, expected, strict=True)) <= tolerance


def corner(size: tuple[int, int] = (80, 40)) -> Image.Image:
    """White, with the left upper quarter red."""
    picture = Image.new("RGB", size, "white")
    picture.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return picture


@pytest.mark.parametrize(
    ("orientation", "place"),
    [
        (1, (5, 5)),
        (2, (75, 5)),
        (3, (75, 35)),
        (4, (5, 35)),
        (5, (5, 5)),
        (6, (35, 5)),
        (7, (35, 75)),
        (8, (5, 75)),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, place: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner().save(tmp_path / "a.jpg", quality=95, exif=exif)
    picture = shown(tmp_path / "a.jpg")
    assert picture.size == ((40, 80) if orientation >= 5 else (80, 40))
    assert near(colour(picture, *place), RED)
    opposite = (picture.width - 1 - place[0], picture.height - 1 - place[1])
    assert near(colour(picture, *opposite), (255, 255, 255))
    facts = load_image(tmp_path / "a.jpg").facts
    assert (facts.width, facts.height) == picture.size


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((*RED, 255), (0, 0, 20, 40))
    picture.save(tmp_path / "a.png")
    assert near(colour(shown(tmp_path / "a.png"), 30, 20), (255, 255, 255))
    assert near(colour(shown(tmp_path / "a.png"), 10, 20), RED)
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(1, (0, 0, 20, 40))
    palette.save(tmp_path / "b.png", transparency=0)
    assert near(colour(shown(tmp_path / "b.png"), 30, 20), (255, 255, 255))
    assert near(colour(shown(tmp_path / "b.png"), 10, 20), RED)


def test_sixteen_bit_greys_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (16, 1))).save(tmp_path / "a.png")
    picture = shown(tmp_path / "a.png")
    assert near(colour(picture, 32, 8), (129, 129, 129))
    assert near(colour(picture, 0, 8), (0, 0, 0))
    assert near(colour(picture, 63, 8), (255, 255, 255))


def test_floating_point_pictures_are_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.tile(np.linspace(0, 1, 64, dtype=np.float32), (16, 1))).save(tmp_path / "a.tiff")
    assert near(colour(shown(tmp_path / "a.tiff"), 32, 8), (129, 129, 129))


def test_cmyk_and_grey_and_palettes(tmp_path: Path) -> None:
    corner().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert near(colour(shown(tmp_path / "a.jpg"), 10, 10), RED)
    corner().convert("L").save(tmp_path / "b.png")
    assert near(colour(shown(tmp_path / "b.png"), 70, 30), (255, 255, 255))
    corner().convert("P").save(tmp_path / "c.gif")
    assert near(colour(shown(tmp_path / "c.gif"), 10, 10), RED, 40)
    corner().convert("1").save(tmp_path / "d.png")
    assert near(colour(shown(tmp_path / "d.png"), 70, 30), (255, 255, 255))


def test_an_embedded_profile_is_applied_and_a_broken_one_ignored(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    corner().save(tmp_path / "a.png", icc_profile=lab)
    assert near(colour(shown(tmp_path / "a.png"), 10, 10), RED)
    corner().save(tmp_path / "b.png", icc_profile=b"no profile")
    assert near(colour(shown(tmp_path / "b.png"), 10, 10), RED)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_the_first_picture_of_an_animation_is_taken(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    corner().save(path, save_all=True, append_images=[Image.new("RGB", (80, 40), "blue")] * 3, duration=50)
    assert near(colour(shown(path), 10, 10), RED, 40)
    assert "animation" in load_image(path).warnings[0]


@pytest.mark.parametrize("suffix", [".avif", ".webp", ".bmp", ".tiff"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    corner().save(tmp_path / f"a{suffix}")
    assert near(colour(shown(tmp_path / f"a{suffix}"), 10, 10), RED, 25)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 300), (500, 300)),
        ((1120, 1120), (1120, 1120)),
        ((4000, 3000), (1120, 840)),
        ((8000, 2000), (2240, 560)),
        ((500, 5000), (224, 2240)),
        ((2000, 1000), (1120, 560)),
        ((100_000, 1), (2240, 1)),
    ],
)
def test_pictures_shrink_to_what_the_model_sees(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert model_size(*size) == expected


@settings(max_examples=300)
@given(st.integers(1, 6000), st.integers(1, 6000))
def test_tiles_are_those_of_the_models_own_processor(width: int, height: int) -> None:
    sent = model_size(width, height)
    down, across = get_optimal_tiled_canvas(sent[1], sent[0], 4, 560)
    assert tiles(*sent) == across * down // 560**2
    assert tiles(width, height) == tiles(height, width) == tiles(*sent)  # whichever way it is turned


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tiff", ".avif", ".heic"])
def test_the_size_is_known_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".heic":
        pillow_heif.from_pillow(corner()).save(path)
    else:
        corner().save(path)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    assert picture_size(path) == (80, 40)


def test_a_size_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    with pytest.raises(MediaError, match="size cannot be read"):
        picture_size(tmp_path / "a.jpg")


def test_a_large_photograph_is_decoded_small(tmp_path: Path) -> None:
    corner((4000, 3000)).save(tmp_path / "a.jpg")
    picture = shown(tmp_path / "a.jpg")
    assert picture.size == (1120, 840)
    facts = load_image(tmp_path / "a.jpg").facts
    assert (facts.width, facts.height) == (4000, 3000)


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "MAX_PIXELS", 1000)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    corner_file = tmp_path / "a.bmp"
    header = b"BM" + bytes(12) + (40).to_bytes(4, "little") + (80).to_bytes(4, "little")
    corner_file.write_bytes(header + (40).to_bytes(4, "little") + b"\x01\0\x18\0" + bytes(24) + bytes(80 * 40 * 3))
    with pytest.raises(MediaError, match="80x40 are 3,200 pixels: more than 1,000"):
        load_image(corner_file)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jpg", b"", "empty"),
        ("a.png", b"<html>no</html>", "HTML"),
        ("b.png", b"<!-- no --><html></html>", "HTML"),
        ("a.jpg", b"\xff\xd8\xff\xe0 nothing more", "not a picture|cannot be decoded"),
        ("a.xyz", b"\x01\x02\x03", "known format"),
    ],
)
def test_broken_pictures_say_why(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError, match=reason):
        load_file(path, Sampling())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif"])
def test_what_is_left_of_a_cut_picture_is_seen_and_next_to_nothing_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    left = np.asarray(shown(path).convert("L"), dtype=int)
    path.write_bytes(whole[: len(whole) * 6 // 10])
    content = load_image(path)
    assert (content.facts.width, content.facts.height) == (300, 200)
    assert re.fullmatch(r"cut off or damaged: about (5|6)\d % of the picture can be seen", content.warnings[0])
    rows = slice(0, 80, 8 if suffix == ".gif" else 1)  # a GIF's come in four turns
    assert np.abs(np.asarray(shown(path).convert("L"), dtype=int)[rows] - left[rows]).mean() < 9
    path.write_bytes(whole[: len(whole) // 20])
    if suffix != ".gif":  # of which an eighth of all rows comes first
        with pytest.raises(MediaError, match="cut off"):
            load_image(path)


def test_content_counts_more_than_the_name(tmp_path: Path) -> None:
    corner().save(tmp_path / "a.png")
    path = (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert identify(path).kind is Kind.IMAGE
