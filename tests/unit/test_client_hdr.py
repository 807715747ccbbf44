"""Frames of high dynamic range look as they do on a screen, not grey and pale."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from ffmpeg_files import encode
from media_files import number_of, whole_video
from PIL import Image

from client.media.jpeg import Orientation, encode_frame
from client.media.sampling import Fit, Sampling

if TYPE_CHECKING:
    from pathlib import Path

BT2020_TAGS = "-colorspace bt2020nc -color_primaries bt2020"


def pq(nits: float) -> float:
    """The code of a brightness, 0 to 1 (SMPTE ST 2084)."""
    power = (nits / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def shown(code: float, transfer: ColorTrc, red: float = 0.0) -> tuple[int, ...]:
    """The sRGB colour that a plain 10-bit frame comes out with; `red` is its Cr, from -0.5 to 0.5."""
    frame = av.VideoFrame(640, 480, "yuv420p10le")
    for plane, value in zip(frame.planes, (64 + code * 876, 512, 512 + red * 896), strict=True):
        plane.update(np.full((plane.height, plane.line_size // 2), round(value), np.uint16).tobytes())
    frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = 9, 1, transfer, 9
    jpeg = encode_frame(frame, (320, 240), Orientation())
    colour = Image.open(io.BytesIO(jpeg)).convert("RGB").getpixel((100, 100))
    assert isinstance(colour, tuple)
    return tuple(int(channel) for channel in colour)


@pytest.mark.parametrize(
    ("nits", "expected"),
    [(0, 0), (203 * 0.01, 25), (203 * 0.18, 118), (203 * 0.5, 188), (203, 237), (1000, 255), (4000, 255)],
)
def test_pq_keeps_shades_up_to_white_and_rolls_off_what_is_brighter(nits: float, expected: int) -> None:
    """Below the knee these are the sRGB codes of that share of white."""
    assert shown(pq(nits), ColorTrc.SMPTE2084) == pytest.approx([expected] * 3, abs=5)


@pytest.mark.parametrize(("code", "expected"), [(0.0, 0), (0.38, 101), (0.75, 237), (1.0, 255)])
def test_hlg_has_its_white_at_three_quarters(code: float, expected: int) -> None:
    assert shown(code, ColorTrc.ARIB_STD_B67) == pytest.approx([expected] * 3, abs=6)


def test_colours_of_the_wide_space_stay_those_colours() -> None:
    red, green, blue = shown(pq(60), ColorTrc.SMPTE2084, red=0.1)
    assert red > 1.5 * max(green, blue)


def test_what_is_no_hdr_is_left_alone() -> None:
    assert shown(0.5, ColorTrc.BT709) == pytest.approx([128] * 3, abs=2)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("fit", Fit)
def test_videos_in_hdr_are_exact_too(tmp_path: Path, transfer: str, fit: Fit) -> None:
    hevc = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -tag:v hvc1 -x265-params log-level=0"
    path = encode(tmp_path / "hdr.mp4", f"{hevc} {BT2020_TAGS} -color_trc {transfer}")
    content = whole_video(path, Sampling(4, fit=fit))
    assert [Image.open(io.BytesIO(jpeg)).size for jpeg in content.jpegs] == [(160, 96 if fit is Fit.CROP else 160)] * 4
    if fit is Fit.CROP:
        assert [number_of(jpeg) for jpeg in content.jpegs] == [0, 29, 59, 89]
