"""Pictures as people have them: with broken notes, cut off, in strange colours, of rare formats."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
import pytest
from corners import RED, check, colour, corner, photoshop
from ffmpeg_files import ffmpeg
from PIL import Image, ImageCms

from client.errors import MediaError
from client.media.image import load_image
from client.media.picture_parts import PNG_START, png_chunk

if TYPE_CHECKING:
    from pathlib import Path


# -- optional data --------------------------------------------------------------------------------------------------


def negative_exif(orientation: int = 6) -> bytes:
    """A resolution of minus one, which the type of that field knows no way to write; and an orientation."""
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack("<HHII", 0x011A, 10, 1, 38)
    return b"II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0) + struct.pack("<ii", -1, 1)


def png_with(path: Path, *chunks: bytes) -> Path:
    """The corner as a PNG with these chunks before its pixels."""
    picture = io.BytesIO()
    corner().save(picture, "PNG")
    data = picture.getvalue()
    path.write_bytes(data[:33] + b"".join(chunks) + data[33:])
    return path


WRONG_TEXT = png_chunk(b"tEXt", b"Comment\0hello")[:-4] + b"\0\0\0\0"
MEGABYTES = zlib.compress(bytes(3 << 20))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OPTIONAL = {
    "text": png_chunk(b"zTXt", b"Comment\0\0" + MEGABYTES),
    "xmp": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + MEGABYTES),
    "profile": png_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB + bytes(2 << 20))),
    "checksum": WRONG_TEXT,
    "exif": png_chunk(b"eXIf", b"nothing of the kind"),
    "unreadable": png_chunk(b"zTXt", b"Comment\0\0" + b"not compressed"),
    "many": png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 19))) * 200,
}


@pytest.mark.parametrize("what", OPTIONAL)
def test_optional_data_of_a_png_do_not_refuse_it(tmp_path: Path, what: str) -> None:
    check(png_with(tmp_path / "a.png", OPTIONAL[what]))


@pytest.mark.parametrize("what", ["negative", "behind broken text"])
def test_a_png_is_turned_whatever_else_is_broken(tmp_path: Path, what: str) -> None:
    chunks = [png_chunk(b"eXIf", negative_exif()), *([WRONG_TEXT] if what != "negative" else [])]
    check(png_with(tmp_path / "a.png", *chunks), turned=True)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".heic", ".avif"])
@pytest.mark.parametrize("exif", ["none", "negative"])
def test_a_strange_exif_block_does_not_refuse_a_picture(tmp_path: Path, suffix: str, exif: str) -> None:
    path, block = tmp_path / f"a{suffix}", b"Exif\0\0" + (negative_exif(1) if exif == "negative" else b"none at all")
    picture = corner((80, 40))
    if suffix == ".heic":
        pillow_heif.from_pillow(picture).save(path, quality=90, exif=block)
    elif suffix == ".avif":  # which Pillow would write again
        sound = Image.Exif()
        sound[0x011A] = 1.0
        picture.save(path, exif=sound)
        data = bytearray(path.read_bytes())
        place = data.index(b"\x01\x1a\0\5") if b"\x01\x1a\0\5" in data else data.index(b"\x1a\1\5\0")
        if exif == "negative":
            data[place + 2 : place + 4] = data[place + 2 : place + 4].replace(b"\5", b"\x0a")
            data[place + 14 :] = data[place + 14 :].replace(b"\0\0\0\1", b"\xff\xff\xff\xff", 1)
        else:
            data[place - 10 : place - 6] = b"none"
        path.write_bytes(data)
    else:
        picture.save(path, exif=block)
    check(path)


def test_a_jpeg_with_a_negative_rational_is_turned(tmp_path: Path) -> None:
    corner().save(tmp_path / "a.jpg", quality=95, exif=b"Exif\0\0" + negative_exif())
    check(tmp_path / "a.jpg", turned=True)


# -- cut and damaged ------------------------------------------------------------------------------------------------


def textured() -> Image.Image:
    y, x = np.mgrid[0:120, 0:200]
    pixels = np.stack([x % 256, y * 2, (x + y) % 256], -1)
    return Image.fromarray((pixels // 2 + np.random.default_rng(1).integers(0, 60, pixels.shape)).astype(np.uint8))


def test_a_jpeg_without_its_last_bytes_is_whole_or_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    textured().save(path, quality=90)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])  # the mark of the end, which is no pixel
    assert load_image(path).warnings == []
    for short in (3, 40, len(whole) // 3):
        path.write_bytes(whole[:-short])
        assert "cut off or damaged" in load_image(path).warnings[0]


@pytest.mark.parametrize("junk", [b"junk of a kind", b"\xff\0" * 9, b"\xff\xe7\0\2", b"\xff\xe1\0\x09Exif\0\0X"])
def test_what_is_amiss_before_the_pixels_is_no_loss(tmp_path: Path, junk: bytes) -> None:
    corner().save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    place = data.index(b"\xff\xdb")
    (tmp_path / "a.jpg").write_bytes(data[:place] + junk + data[place:])
    check(tmp_path / "a.jpg")


def test_a_picture_that_is_text_is_no_text_file(tmp_path: Path) -> None:
    pixels = "\n".join(" ".join(map(str, line.ravel())) for line in np.asarray(corner()))
    (tmp_path / "a.ppm").write_text(f"P3\n80 40\n255\n{pixels}\n")
    check(tmp_path / "a.ppm")


def test_layers_are_no_other_pictures(tmp_path: Path) -> None:
    photoshop(tmp_path / "a.psd", layers=2)
    check(tmp_path / "a.psd")


def test_a_progressive_jpeg_is_blurred_rather_than_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    textured().save(path, quality=90, progressive=True)
    expected = np.asarray(Image.open(path).convert("L"), dtype=int)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    content = load_image(path)
    assert "cut off or damaged" in content.warnings[0]
    assert np.abs(np.asarray(Image.open(io.BytesIO(content.jpegs[0])).convert("L"), dtype=int) - expected).mean() < 20


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif"])
def test_bit_rot_of_a_picture_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    textured().save(path, **({"lossless": True} if suffix == ".webp" else {}))
    clean, whole, rng = load_image(path), path.read_bytes(), np.random.default_rng(3)
    spoilt = told = 0
    for _ in range(30):
        place, data = int(rng.integers(len(whole) // 4, len(whole) - 60)), bytearray(whole)
        data[place : place + 30] = rng.bytes(30)
        path.write_bytes(data)
        try:
            content = load_image(path)
        except MediaError:
            continue
        spoilt += content.jpegs != clean.jpegs
        told += content.jpegs != clean.jpegs and bool(content.warnings)
    # A checksum tells all of a PNG; neither GIF nor WebP have one.
    assert told >= {".png": 1.0, ".jpg": 0.4}.get(suffix, 0.0) * spoilt, (told, spoilt)


def test_a_webp_whose_parts_do_not_fit_together_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    textured().save(path, xmp=b"<x/>" * 9)
    data = path.read_bytes()
    path.write_bytes(data + b"what others have put behind it")
    assert load_image(path).warnings == []
    path.write_bytes(data[:-20] + data[-10:])
    assert load_image(path).warnings == ["cut off or damaged: parts of the picture may be missing or spoilt"]


# -- colours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("transfer", "code"), [("smpte2084", 0.5807), ("arib-std-b67", 0.75)])
@pytest.mark.parametrize("suffix", [".avif", ".heic", ".png"])
def test_hdr_pictures_look_as_hdr_videos_do(tmp_path: Path, suffix: str, transfer: str, code: float) -> None:
    """Reference white, 203 nits, is 237, as of a video's frame."""
    path, number = tmp_path / f"a{suffix}", {"smpte2084": 16, "arib-std-b67": 18}[transfer]
    grey = Image.new("RGB", (64, 48), (round(code * 255),) * 3)
    if suffix == ".heic":
        pillow_heif.from_pillow(grey).save(
            path,
            quality=100,
            color_primaries=9,
            transfer_characteristics=number,
            matrix_coefficients=9,
            full_range_flag=1,
        )
    elif suffix == ".avif":
        grey.save(tmp_path / "grey.png")
        tags = f"setparams=range=tv:color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"
        still = "-frames:v 1 -c:v libaom-av1 -cpu-used 8 -crf 5 -still-picture 1"
        scaled = f"scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le,{tags}"
        ffmpeg("-i", tmp_path / "grey.png", "-vf", scaled, *still.split(), path)
    else:
        grey.save(path)
        data = path.read_bytes()
        path.write_bytes(data[:33] + png_chunk(b"cICP", bytes([9, number, 0, 1])) + data[33:])
    content = load_image(path)
    assert colour(content, 30, 20) == pytest.approx((237,) * 3, abs=7)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("declared", ["gAMA", "sRGB wins", "2.2"])
def test_the_gamma_of_a_png_is_heeded(tmp_path: Path, mode: str, declared: str) -> None:
    Image.new(mode, (40, 40), 55 if mode == "L" else (55, 55, 55)).save(tmp_path / "a.png")
    data, gamma = (tmp_path / "a.png").read_bytes(), 45455 if declared == "2.2" else 100_000
    chunks = png_chunk(b"gAMA", struct.pack(">I", gamma)) + (
        png_chunk(b"sRGB", b"\0") if declared == "sRGB wins" else b""
    )
    (tmp_path / "a.png").write_bytes(data[:33] + chunks + data[33:])
    expected = 128 if declared == "gAMA" else 55  # a fifth of the light
    assert colour(load_image(tmp_path / "a.png"), 20, 20) == pytest.approx((expected,) * 3, abs=3)


def test_the_chromaticities_of_a_png_are_heeded(tmp_path: Path) -> None:
    """A red of Display P3 is a stronger one in sRGB."""
    p3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
    chunk = png_chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in p3)))
    Image.new("RGB", (40, 40), (200, 60, 60)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    red, green, _ = colour(load_image(tmp_path / "a.png"), 20, 20)
    assert red > 210
    assert green < 55


def grey_profile() -> bytes:
    """A profile of greys (ICC.1) in which light is code, as of a linear scan."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(79)
    tags, place, body = b"", 128 + 4 + 3 * 12, b""
    for name, content in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        tags += name + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = b"lcms" + struct.pack(">I", 0x02400000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">iii", 63190, 65536, 54061) + bytes(48)
    return struct.pack(">I", place + len(body)) + head + struct.pack(">I", 3) + tags + body


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_a_grey_profile_is_applied(tmp_path: Path, suffix: str) -> None:
    Image.new("L", (40, 40), 55).save(tmp_path / f"a{suffix}", icc_profile=grey_profile())
    assert colour(load_image(tmp_path / f"a{suffix}"), 20, 20) == pytest.approx((128,) * 3, abs=4)


@pytest.mark.parametrize("transparency", [None, 0])
def test_a_first_frame_of_a_gif_that_does_not_cover_the_canvas(tmp_path: Path, transparency: int | None) -> None:
    small = Image.new("P", (40, 20), 1)
    small.putpalette([0, 0, 0, *RED])
    small.save(tmp_path / "a.gif", **({} if transparency is None else {"transparency": transparency}))
    data = bytearray((tmp_path / "a.gif").read_bytes())
    data[6:10] = struct.pack("<HH", 80, 40)
    (tmp_path / "a.gif").write_bytes(data)
    check(tmp_path / "a.gif")


@pytest.mark.parametrize("kind", ["gain map", "preview", "stereo"])
def test_a_picture_with_a_gain_map_is_one_picture(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    corner().save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 20), "blue")], quality=95)
    data = bytearray(path.read_bytes())
    entries = data.index(b"\0\0\x03\0", data.index(b"MPF\0") + 20)
    data[entries + 16 : entries + 20] = {"gain map": b"\0\0\0\0", "preview": b"\1\0\1\0", "stereo": b"\2\0\2\0"}[kind]
    path.write_bytes(data)
    assert Image.open(path).format == "MPO"
    if kind == "stereo":
        assert "several pictures" in load_image(path).warnings[0]
    else:
        check(path)


@pytest.mark.parametrize("colour", [0, 2, 3])
def test_a_png_whose_stream_ends_early_but_well_is_told(tmp_path: Path, colour: int) -> None:
    """Decoders take what is missing for black."""
    head = struct.pack(">IIBBBBB", 40, 40, 8, colour, 0, 0, 0)
    palette = png_chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    dark = bytes(121 if colour == 2 else 41)
    row = bytes([0, *range(1, len(dark))])
    for name, rows, warnings in (("whole", row * 40, 0), ("short", row * 20, 1), ("black", dark * 40, 0)):
        written = [PNG_START, png_chunk(b"IHDR", head), palette, png_chunk(b"IDAT", zlib.compress(rows))]
        (tmp_path / name).write_bytes(b"".join([*written, png_chunk(b"IEND", b"")]))
        assert len(load_image(tmp_path / name).warnings) == warnings, name
