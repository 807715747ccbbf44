"""A JPEG that is small, upright and sound is sent as it is; any other is decoded and encoded anew."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from media_files import load_file
from PIL import Image, ImageCms

from client.media.image import load_image
from client.media.picture_parts import parts_of
from client.media.sampling import Sampling
from client.media.strips import Strip
from client.media.unchanged import unchanged_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = (160, 120)


def drawn(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack([across, down, across // 2 + down // 2], axis=-1) % 256
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def jpeg(picture: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (picture or drawn()).save(file, "JPEG", **{"quality": 80, **options})
    return file.getvalue()


def sent(tmp_path: Path, data: bytes) -> bytes:
    (tmp_path / "a.jpg").write_bytes(data)
    (frame,) = load_image(tmp_path / "a.jpg").jpegs
    return frame


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_it_is_sent_byte_by_byte(tmp_path: Path, mode: str) -> None:
    data = jpeg(drawn(mode=mode))
    assert sent(tmp_path, data) == data
    content = load_file(tmp_path / "a.jpg", Sampling())
    assert (content.facts.width, content.facts.height) == SIZE
    assert content.thumbnail
    assert content.thumbnail.strip == Strip(*SIZE, [0.0])
    assert content.thumbnail.jpeg == data
    assert Image.open(io.BytesIO(content.thumbnail.jpeg)).size == SIZE


def test_what_it_says_of_place_and_time_is_not_sent(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif[0x0112] = 1
    plain = jpeg()
    assert sent(tmp_path, jpeg(exif=exif, comment="At home")) == plain


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8))


def srgb() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: jpeg(progressive=True), id="progressive"),
        pytest.param(lambda: jpeg(drawn(mode="CMYK")), id="for print"),
        pytest.param(lambda: jpeg(keep_rgb=True), id="stored as RGB"),
        pytest.param(lambda: jpeg(drawn((3000, 400))), id="larger than the model sees"),
        pytest.param(lambda: jpeg(noise(), quality=100, subsampling=0), id="of many bytes"),
        pytest.param(lambda: jpeg(icc_profile=srgb()), id="with a profile"),
        pytest.param(lambda: jpeg() + jpeg(drawn((40, 30))), id="another one behind it"),
    ],
)
def test_others_are_encoded_anew(tmp_path: Path, make: Callable[[], bytes]) -> None:
    data = make()
    again = sent(tmp_path, data)
    assert again not in data
    assert Image.open(io.BytesIO(again)).mode == "RGB"


def test_a_turned_one_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    again = sent(tmp_path, jpeg(exif=exif))
    assert Image.open(io.BytesIO(again)).size == SIZE[::-1]


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_damaged_one_is_told(tmp_path: Path, share: float) -> None:
    data = jpeg()
    (tmp_path / "a.jpg").write_bytes(data[: int(share * len(data))])
    content = load_image(tmp_path / "a.jpg")
    assert content.warnings
    assert not content.jpegs[0].startswith(data[:200])


def test_what_servers_cannot_open_is_not_sent() -> None:
    """libjpeg does not mind a JFIF segment without content; Pillow does."""
    data = jpeg()
    head = data[2:20]
    assert head[4:9] == b"JFIF\0"
    assert unchanged_jpeg(parts_of(data))
    assert unchanged_jpeg(parts_of(data.replace(head, b"\xff\xe0\0\7JFIF\0"))) is None
