"""A JPEG that is small, upright and sound is sent as it is; any other is decoded and encoded anew."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from media_files import load_file
from PIL import Image, ImageCms

from client.media import unchanged
from client.media.image import load_image
from client.media.plain_jpeg import plain_jpeg
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
    assert sent(tmp_path, jpeg(exif=exif, comment="At home, " * 400)) == plain


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8))


def srgb() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def named_rgb() -> bytes:
    """RGB that nothing tells but the numbers of its components, which are letters."""
    frame, scan = (b"\3%b\x11\0%b\x11\0%b\x11\0", b"\3%b\0%b\0%b\0")
    start, jfif, *segments = segments_of(jpeg(keep_rgb=True, subsampling=0))
    assert jfif[4:9] == b"Adobe"
    data = start + b"".join(segments)
    assert (frame % (b"R", b"G", b"B") in data, scan % (b"R", b"G", b"B") in data) == (True, True)
    return data


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(named_rgb, id="RGB by the names of its components"),
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
    assert unchanged_jpeg(data)
    assert unchanged_jpeg(data.replace(head, b"\xff\xe0\0\7JFIF\0")) is None


def segments_of(data: bytes) -> list[bytes]:
    """The start of a JPEG, the segments of its head, and all that is behind them."""
    found, place = [data[:2]], 2
    while found[-1][:2] != b"\xff\xda":
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        found.append(data[place:end])
        place = end
    return [*found, data[place:]]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A JPEG of which a segment is doubled, left out, moved or put in, or a byte or two are changed, mostly early."""
    segments = segments_of(data)
    at = chance.randrange(1, len(segments) - 1)
    match chance.randrange(8):
        case 0:
            segments.insert(chance.randrange(1, len(segments)), segments[at])
        case 1:
            segments.insert(chance.randrange(1, len(segments) - 1), segments.pop(at))
        case 2:
            content = chance.choice(INSERTED)
            marker = bytes((0xFF, chance.choice((0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDD))))
            segments.insert(at, marker + (len(content) + 2).to_bytes(2, "big") + content)
        case 3:
            segments.insert(at, chance.choice((b"\xff", b"\0", b"\xff\xd0", b"\xff\xd9")))
        case _:
            for at in chance.sample(range(1, len(segments)), 2):
                changed = bytearray(segments[at])
                place = chance.randrange(min(len(changed), chance.choice((4, 12, 1000))))
                changed[place] = chance.choice((0, 1, 3, 0xFF, changed[place] ^ 1 << chance.randrange(8)))
                segments[at] = bytes(changed)
    return b"".join(segments)


INSERTED = (
    b"",
    b"JFIF\0",
    b"JFIF\0\1\1\0\0\1\0\1\0\0",
    b"Exif\0\0MM",
    b"Adobe\0d\0\0\0\0\0",
    b"ICC_PROFILE\0\1\1a",
    b"\0\7",
)


def test_a_plain_head_is_one_that_servers_open_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent as it is is the same where every head is taken for an unusual one, of which Pillow is asked."""
    chance = random.Random(5)
    exif = Image.Exif()
    exif[0x0112] = 3
    kinds: list[dict[str, object]] = [
        {}, {"subsampling": 0}, {"progressive": True}, {"optimize": True}, {"exif": exif}, {"restart_marker_blocks": 2}
    ]  # fmt: skip
    sources = [jpeg(drawn((40, 30), mode), **options) for mode in ("RGB", "L") for options in kinds]
    plain, same = 0, 0
    for _ in range(1500):
        data = mutated(chance.choice(sources), chance)
        found = unchanged_jpeg(data)
        if head := plain_jpeg(data):
            plain += 1
            with Image.open(io.BytesIO(head.essential)) as image:
                assert (image.size, image.mode in ("RGB", "L")) == ((head.width, head.height), True)
        with monkeypatch.context() as changed:
            changed.setattr(unchanged, "plain_jpeg", lambda _: None)
            again = unchanged_jpeg(data)
        assert (found and found[:3]) == (again and again[:3])
        same += found is not None
    assert plain > 500
    assert same > 200
