"""Pictures of rarer formats and modes: what FFmpeg, phones and print shops write."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pillow_heif
import pytest
from ffmpeg_files import ffmpeg
from media_files import load_file
from PIL import Image, ImageCms

from client.errors import MediaError
from client.media.image import MAX_PIXELS, load_image
from client.media.kinds import Kind, by_suffix
from client.media.load import identify
from client.media.sampling import Sampling

if TYPE_CHECKING:
    from pathlib import Path

RED, GREY, WHITE = (220, 30, 40), (88, 88, 88), (255, 255, 255)


def corner(size: tuple[int, int] = (80, 40)) -> Image.Image:
    """White, with the left upper quarter red."""
    picture = Image.new("RGB", size, "white")
    picture.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return picture


def check(path: Path, first: tuple[int, ...] = RED, size: tuple[int, int] = (80, 40), tolerance: int = 12) -> None:
    """The left upper quarter has one colour, the rest is white."""
    content = load_file(path, Sampling())
    shown = Image.open(io.BytesIO(content.jpegs[0])).convert("RGB")
    assert shown.size == (content.facts.width, content.facts.height) == size
    assert content.warnings == []
    places = {(size[0] // 8, size[1] // 8): first, (size[0] * 7 // 8, size[1] * 7 // 8): WHITE}
    for place, expected in places.items():
        assert np.abs(np.subtract(shown.getpixel(place), expected)).max() <= tolerance, (place, shown.getpixel(place))


@pytest.mark.parametrize(
    ("name", "pixels", "expected"),
    [
        ("a.png", "rgb48be", RED),
        ("b.png", "rgba64be", RED),
        ("c.png", "gray16be", GREY),
        ("d.png", "ya16be", GREY),
        ("e.png", "ya8", GREY),
        ("f.png", "monob", (0, 0, 0)),
        ("a.tiff", "rgb48le", RED),
        ("b.tiff", "rgba64le", RED),
        ("c.tiff", "gray16le", GREY),
        ("d.tiff", "yuv420p", RED),
        ("a.pgm", "gray16be", GREY),
        ("a.ppm", "rgb48be", RED),
        ("a.jp2", "rgb24", RED),
        ("b.jp2", "rgb48le", RED),
        ("a.j2k", "rgb24", RED),
        ("a.webp", "yuva420p", RED),
        ("a.bmp", "rgb565le", RED),
        ("a.avif", "yuv420p10le", RED),
        ("a.jpg", "yuvj444p", RED),
    ],
)
def test_depths_and_layouts(tmp_path: Path, name: str, pixels: str, expected: tuple[int, ...]) -> None:
    corner().save(tmp_path / "source.png")
    one = ["-pix_fmt", pixels, "-frames:v", "1", "-update", "1"]
    ffmpeg("-i", tmp_path / "source.png", *one, tmp_path / name)
    check(tmp_path / name, expected)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg", ".webp", ".gif", ".jp2"])
@pytest.mark.parametrize("mode", ["LA", "PA", "RGBX", "LAB", "YCbCr", "CMYK", "I", "F", "P", "I;16"])
def test_modes_of_pillow(tmp_path: Path, mode: str, suffix: str) -> None:
    try:
        picture = corner().convert("RGBA").convert(mode)
        if (mode, suffix) == ("I;16", ".png"):
            picture = Image.fromarray(np.asarray(picture) * 257)  # a PNG of small values is a dark one
        picture.save(tmp_path / f"a{suffix}")
    except (OSError, ValueError):
        with pytest.raises(MediaError):  # not a thing: what is left of it is refused
            load_image(tmp_path / f"a{suffix}")
        return
    check(tmp_path / f"a{suffix}", GREY if mode in ("LA", "I", "F", "I;16") else RED)


@pytest.mark.parametrize("bits", [8, 16, 24, 31])
def test_greys_of_any_depth_keep_their_shades(tmp_path: Path, bits: int) -> None:
    ramp = np.linspace(0, 2**bits - 1, 64).astype(np.int32)
    Image.fromarray(np.tile(ramp, (16, 1))).save(tmp_path / "a.tiff")
    shown = Image.open(io.BytesIO(load_image(tmp_path / "a.tiff").jpegs[0])).convert("L")
    assert [shown.getpixel((x, 8)) for x in (0, 32, 63)] == pytest.approx([0, 129, 255], abs=4)


def test_an_inverted_adobe_cmyk_is_what_print_shops_send(tmp_path: Path) -> None:
    """Pillow writes the marker of Adobe, and inverts, as Photoshop does; without the marker nothing is inverted."""
    corner().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    assert b"Adobe" in data
    check(tmp_path / "a.jpg")
    ink = Image.fromarray(255 - np.asarray(corner().convert("CMYK")), "CMYK")  # so that it is stored as it is
    ink.save(tmp_path / "b.jpg", quality=95)
    data = (tmp_path / "b.jpg").read_bytes()
    start = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    (tmp_path / "b.jpg").write_bytes(data[:start] + data[start + 2 + length :])
    check(tmp_path / "b.jpg")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".avif"])
@pytest.mark.parametrize(("orientation", "place"), [*enumerate(["TL", "TR", "BR", "BL"] * 2, 1)])
def test_orientation_of_other_formats(tmp_path: Path, suffix: str, orientation: int, place: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner().save(tmp_path / f"a{suffix}", exif=exif)
    content = load_image(tmp_path / f"a{suffix}")
    shown = Image.open(io.BytesIO(content.jpegs[0])).convert("RGB")
    assert shown.size == ((40, 80) if orientation >= 5 else (80, 40)) == (content.facts.width, content.facts.height)
    right, bottom = shown.width - 6, shown.height - 6
    corners = {"TL": (5, 5), "TR": (right, 5), "BL": (5, bottom), "BR": (right, bottom)}
    assert [name for name, at in corners.items() if shown.getpixel(at)[1] < 128] == [place]  # type: ignore[index]


@pytest.mark.parametrize("suffix", [".heic", ".heif", ".jpg"])
def test_pictures_of_phones(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    pillow_heif.from_pillow(corner((640, 480))).save(path, quality=95)  # also where a name hides it
    check(path, size=(640, 480))


def test_a_turned_picture_of_a_phone_is_turned_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pillow_heif.from_pillow(corner((640, 480))).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    turned = load_image(tmp_path / "a.heic")
    pillow_heif.register_heif_opener()
    expected = Image.open(tmp_path / "a.heic").convert("RGB")
    shown = Image.open(io.BytesIO(turned.jpegs[0])).convert("RGB")
    assert shown.size == expected.size == (turned.facts.width, turned.facts.height)
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(expected)).mean() < 3


def test_a_truncated_picture_of_a_phone_says_so(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8))
    pillow_heif.from_pillow(noise).save(tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"decoded|not a picture"):
        load_image(tmp_path / "a.heic")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_wide_or_strange_colour_space_becomes_srgb(tmp_path: Path, mode: str) -> None:
    """A profile in which the first channel is blue and the third is red."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    assert swapped != profile
    corner().convert(mode).save(tmp_path / "a.png", icc_profile=swapped)
    check(tmp_path / "a.png", (RED[2], RED[1], RED[0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (20_000, 10), (3, 60_000)])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_absurd_shapes(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    Image.new("RGB", size, RED).save(tmp_path / f"a{suffix}")
    content = load_image(tmp_path / f"a{suffix}")
    assert (content.facts.width, content.facts.height) == size
    shown = Image.open(io.BytesIO(content.jpegs[0]))
    assert min(shown.size) >= 1
    assert max(shown.size) <= 2240


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and holds nothing."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + b"\0\0\0\0IDAT\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_bomb_is_refused_by_its_header_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(100_000, 80_000))
    with pytest.raises(MediaError, match="100000x80000 are 8,000,000,000 pixels: more than 128,000,000"):
        load_image(tmp_path / "a.png")
    assert MAX_PIXELS == 128_000_000


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        ("a.png", b"\xff\x0a\x00\x00", "JPEG XL"),
        ("a.jpg", b"%PDF-1.7\n", "PDF"),
        ("a.png", b'<svg xmlns="http://www.w3.org/2000/svg"><a', "SVG"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "not a picture|cannot be decoded"),
        ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "not a picture|cannot be decoded"),
    ],
)
def test_what_is_no_picture_says_what_it_is(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(MediaError, match=reason):
        load_file(path, Sampling())


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_turned_tiff_of_any_mode_is_whole(tmp_path: Path, mode: str, compression: str | None) -> None:
    """Pillow garbles those that it maps into memory."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = corner().transpose(Image.Transpose.ROTATE_90).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(stored).astype(np.uint16) * 257)
    stored.save(tmp_path / "a.tiff", exif=exif, compression=compression)
    check(tmp_path / "a.tiff", GREY if mode in ("L", "I;16") else RED)


def tiff(values: np.ndarray, sample_format: int | None, orientation: int = 1) -> bytes:
    """An uncompressed TIFF of [height, width, samples], whose numbers are of the kind `sample_format`, or not told."""
    order, (height, width, samples) = values.dtype.str[0], values.shape
    depths = struct.pack(f"{order}{samples}H", *[8 * values.itemsize] * samples)
    tags = {256: width, 257: height, 259: 1, 262: 2 if samples > 1 else 1, 274: orientation, 277: samples}
    tags |= {278: height} | ({339: sample_format} if sample_format else {})
    begin = 8 + 2 + 12 * (len(tags) + 3) + 4
    entries = {tag: struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items()}
    where = struct.pack(f"{order}I", begin) if samples > 1 else depths.ljust(4, b"\0")
    entries[258] = struct.pack(f"{order}HHI", 258, 3, samples) + where
    entries[273] = struct.pack(f"{order}HHII", 273, 4, 1, begin + len(depths))
    entries[279] = struct.pack(f"{order}HHII", 279, 4, 1, values.nbytes)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return head + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4) + depths + values.tobytes()


@pytest.mark.parametrize(("mode", "order"), [("L", "<"), ("RGB", "<"), ("RGB", ">")])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("kind", "sample_format"), [("u4", None), ("u4", 1), ("f4", 3)])
def test_tiffs_of_32_bits_a_sample(
    tmp_path: Path, mode: str, kind: str, sample_format: int | None, orientation: int, order: str
) -> None:
    """Pillow takes whole numbers for ones with a sign, FFmpeg for real ones; neither knows all tags."""
    shown = corner().convert(mode)
    stored = np.asarray(shown.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else shown)
    values = stored.reshape(*stored.shape[:2], -1) / 255 * (2**32 - 1 if kind == "u4" else 1)
    (tmp_path / "a.tiff").write_bytes(tiff(values.astype(order + kind), sample_format, orientation))
    check(tmp_path / "a.tiff", GREY if mode == "L" else RED)


def test_a_tiff_whose_tags_are_cut_off_is_refused(tmp_path: Path) -> None:
    whole = tiff(np.zeros((40, 80, 3), "<u4"), 1)
    (tmp_path / "a.tiff").write_bytes(whole[:100])
    with pytest.raises(MediaError, match="convert it to PNG"):
        load_image(tmp_path / "a.tiff")


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_changes_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner().save(tmp_path / "a.jpg", quality=95, exif=exif)
    check(tmp_path / "a.jpg")


def png16(path: Path, pixels: np.ndarray, colour_type: int, clear: tuple[int, ...] = ()) -> None:
    """A PNG of 16 bits; `clear` is the colour that is transparent (tRNS)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0))
        + (chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b"")
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def test_a_transparent_colour_of_sixteen_bits(tmp_path: Path) -> None:
    grey = np.full((40, 80), 1000, np.uint16)
    grey[:20, :40] = 88 * 257
    png16(tmp_path / "grey.png", grey, 0, (1000,))
    check(tmp_path / "grey.png", GREY)
    colours = np.full((40, 80, 3), (1000, 2000, 3000), np.uint16)
    colours[:20, :40] = np.array(RED) * 257
    png16(tmp_path / "colours.png", colours, 2, (1000, 2000, 3000))
    check(tmp_path / "colours.png")


def test_a_dark_png_of_sixteen_bits_stays_dark(tmp_path: Path) -> None:
    png16(tmp_path / "a.png", np.full((40, 80), 250, np.uint16), 0)
    shown = Image.open(io.BytesIO(load_image(tmp_path / "a.png").jpegs[0])).convert("L")
    assert shown.getextrema() == (0, 0)


def test_the_first_frame_of_an_animation_is_not_what_others_show_instead(tmp_path: Path) -> None:
    """An APNG may hold a picture for viewers that know no animations, which is no part of it."""
    other = Image.new("RGB", (80, 40), "blue")
    other.save(tmp_path / "a.png", save_all=True, default_image=True, append_images=[corner(), other])
    shown = Image.open(io.BytesIO(load_image(tmp_path / "a.png").jpegs[0])).convert("RGB")
    assert np.abs(np.subtract(shown.getpixel((10, 5)), RED)).max() < 12


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_what_a_first_frame_leaves_free_is_white(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGBA", (80, 40)), Image.new("RGBA", (80, 40), "blue")]
    frames[0].paste((*RED, 255), (0, 0, 40, 20))
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    shown = Image.open(io.BytesIO(load_image(path).jpegs[0])).convert("RGB")
    assert np.abs(np.subtract(shown.getpixel((10, 5)), RED)).max() < 12
    assert shown.getpixel((70, 35)) == WHITE


@pytest.mark.parametrize("suffix", [".pcx", ".sgi", ".dds"])
def test_formats_of_drawing_programs(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    corner().save(path)
    assert by_suffix(suffix) is Kind.IMAGE
    check(path)


def test_openexr_holds_light(tmp_path: Path) -> None:
    """Half the light is no middle grey."""
    made = av.CodecContext.create("exr", "w")
    made.width, made.height, made.pix_fmt, made.time_base = 64, 32, "gbrpf32le", Fraction(1)  # type: ignore[attr-defined]
    pixels = np.full((32, 64, 3), 0.5, np.float32)
    pixels[:, 32:] = 1.0
    frame = av.VideoFrame.from_ndarray(pixels, format="gbrpf32le")
    path = tmp_path / "a.exr"
    path.write_bytes(b"".join(bytes(packet) for given in (frame, None) for packet in made.encode(given)))  # type: ignore[attr-defined]
    assert identify(path).kind is by_suffix(".exr") is Kind.IMAGE
    shown = Image.open(io.BytesIO(load_file(path, Sampling()).jpegs[0]))
    assert [shown.getpixel((x, 16)) for x in (10, 50)] == [
        pytest.approx((188,) * 3, abs=3),
        pytest.approx(WHITE, abs=2),
    ]
