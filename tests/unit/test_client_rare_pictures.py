"""Pictures of rare formats: those that a package or FFmpeg reads, and what is said of the others."""

from __future__ import annotations

import base64
import io
import signal
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import resvg_py
from corners import RED, WHITE, check, colour, corner, photoshop
from media_files import load_file
from PIL import Image

from client.errors import MediaError
from client.hints import install
from client.media import kinds
from client.media.image import load_image
from client.media.load import identify
from client.media.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# -- rare formats ---------------------------------------------------------------------------------------------------


def test_a_bitmap_of_photoshop_is_black_where_it_is_set(tmp_path: Path) -> None:
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 1, 8, 16, 1, 0)
    (tmp_path / "a.psd").write_bytes(head + bytes(12) + bytes(2) + b"\xff\0" * 8)
    content = load_image(tmp_path / "a.psd")
    assert colour(content, 2, 4) == pytest.approx((0, 0, 0), abs=12)
    assert colour(content, 14, 4) == pytest.approx(WHITE, abs=12)


def raw(path: Path) -> None:
    """A DNG whose sensor saw grey: RGGB, 16 bits, not compressed."""
    width, height = 160, 120
    pixels = np.full((height, width), 30_000, "<u2").tobytes()
    matrix = struct.pack("<18i", *(value for number in range(9) for value in (int(number % 4 == 0), 1)))
    short, long = struct.Struct("<H").pack, struct.Struct("<I").pack
    entries: list[tuple[int, int, int, bytes]] = [
        (254, 4, 1, long(0)), (256, 4, 1, long(width)), (257, 4, 1, long(height)), (258, 3, 1, short(16)),
        (259, 3, 1, short(1)), (262, 3, 1, short(32803)), (271, 2, 5, b"Test\0"), (272, 2, 5, b"Test\0"),
        (273, 4, 1, b"PIXL"), (274, 3, 1, short(1)), (277, 3, 1, short(1)), (278, 4, 1, long(height)),
        (279, 4, 1, long(len(pixels))), (33421, 3, 2, short(2) * 2), (33422, 1, 4, b"\0\1\1\2"),
        (50706, 1, 4, b"\1\4\0\0"), (50708, 2, 5, b"Test\0"), (50721, 10, 9, matrix), (50778, 3, 1, short(21)),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    extra = sum(len(value) + len(value) % 2 for *_, value in entries if len(value) > 4)
    table, body = b"", b""
    for tag, kind, count, value in entries:
        content = struct.pack("<I", start + extra) if value == b"PIXL" else value
        if len(content) > 4:
            place = struct.pack("<I", start + len(body))
            body += content + bytes(len(content) % 2)
            content = place
        table += struct.pack("<HHI", tag, kind, count) + content.ljust(4, b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + body + pixels)


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">'
    '<rect width="40" height="20" fill="rgb(220,30,40)"/></svg>'
)


@pytest.mark.parametrize("suffix", [".psd", ".tga", ".ico", ".qoi", ".jxl", ".svg", ".jp2"])
def test_rare_formats_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    match suffix:
        case ".psd":
            photoshop(path)
        case ".svg":
            path.write_text(f'<?xml version="1.0"?>\n<!-- drawn -->\n{SVG}')
        case ".jxl":
            import pillow_jxl  # noqa: F401, PLC0415 (it registers itself)

            corner().save(path, lossless=True)
        case _:
            corner().save(path, **({"sizes": [(80, 40)]} if suffix == ".ico" else {}))
    check(path)


def test_a_drawing_shows_no_other_file(tmp_path: Path) -> None:
    Image.new("RGB", (80, 40), "blue").save(tmp_path / "private.png")
    reds = io.BytesIO()
    Image.new("RGB", (80, 40), RED).save(reds, "PNG")
    within = f"data:image/png;base64,{base64.b64encode(reds.getvalue()).decode()}"
    inner = "".join(
        f'<image width="40" height="40" x="{x}" {href}/>'
        for x, href in ((0, f"href='{within}'"), (40, f'xlink:href="{tmp_path}/private.png"'))
    )
    xlink = '<svg xmlns:xlink="http://www.w3.org/1999/xlink" '
    path = tmp_path / "a.svg"
    path.write_text(SVG.replace("<svg ", xlink).replace("</svg>", f"{inner}</svg>"))
    content = load_file(path, Sampling())
    assert colour(content, 20, 25) == pytest.approx(RED, abs=12)
    assert colour(content, 60, 20) == pytest.approx(WHITE, abs=12)


def test_a_huge_drawing_is_refused_before_it_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **_: pytest.fail("it was drawn"))
    (tmp_path / "a.svg").write_text(SVG.replace('"80"', '"20000px"').replace('"40"', '"20000.4"', 1))
    with pytest.raises(MediaError, match="20000x20000 are 400,000,000 pixels"):
        load_file(tmp_path / "a.svg", Sampling())


def test_a_pdf_is_seen_by_its_first_page(tmp_path: Path) -> None:
    pages = [corner((400, 200)), Image.new("RGB", (400, 200), "blue")]
    pages[0].save(tmp_path / "a.pdf", save_all=True, append_images=pages[1:], resolution=72)
    content = load_file(tmp_path / "a.pdf", Sampling())
    assert content.warnings == ["a document of 2 pages: only the first one was looked at"]
    assert (content.facts.width, content.facts.height) == (1111, 556)
    assert colour(content, 100, 100) == pytest.approx(RED, abs=12)


def test_a_raw_picture_is_developed(tmp_path: Path) -> None:
    raw(tmp_path / "a.dng")
    content = load_file(tmp_path / "a.dng", Sampling())
    assert (content.facts.width, content.facts.height) == (160, 120)
    assert min(colour(content, 80, 60)) > 60


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kinds.is_readable.cache_clear()
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)
    yield
    kinds.is_readable.cache_clear()


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.jxl", b"\xff\x0a\0\0", "JPEG XL"),
        ("a.pdf", b"%PDF-1.7\n", "PDF"),
        ("a.png", b"<svg></svg>", "SVG drawing"),
        ("a.nef", b"MM\0*\0\0\0\x08", "camera's raw picture"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1", "camera's raw picture"),
    ],
)
def test_what_needs_a_package_says_which(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert identify(tmp_path / name).problem == (
        f"this {what} cannot be read here: {install('formats')}, or convert it to PNG or JPEG"
    )
    assert kinds.by_suffix(".pdf") is kinds.by_suffix(".dng") is None


@pytest.mark.parametrize(
    ("suffix", "edit", "says"),
    [
        (".bmp", (30, struct.pack("<I", 77)), "not supported"),
        (".tiff", None, "not supported|kind that cannot be read"),
    ],
)
def test_a_kind_that_nobody_reads_is_not_called_damaged(
    tmp_path: Path, suffix: str, edit: tuple[int, bytes] | None, says: str
) -> None:
    path = tmp_path / f"a{suffix}"
    corner().save(path)
    data = bytearray(path.read_bytes())
    place, value = edit or (data.index(struct.pack("<HHI", 0x0106, 3, 1)) + 8, struct.pack("<H", 32_999))
    data[place : place + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(MediaError, match=says) as raised:
        load_image(path)
    assert "convert it to PNG or JPEG" in str(raised.value)


def test_kinds_that_ffmpeg_alone_reads(tmp_path: Path) -> None:
    """Greys of 16 bits in Photoshop's format, which Pillow does not know."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 40, 80, 16, 3)
    planes = (np.asarray(corner()).transpose(2, 0, 1).astype(">u2") * 257).tobytes()
    (tmp_path / "a.psd").write_bytes(head + bytes(12) + bytes(2) + planes)
    check(tmp_path / "a.psd")


def test_a_drawing_may_not_take_for_ever() -> None:
    """Filters of a few bytes do."""
    code = "from client.media.rare_pictures import _cpu_time\nwith _cpu_time(1):\n    while True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGXCPU
