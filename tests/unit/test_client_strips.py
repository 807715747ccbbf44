"""A video's strip is made of the pixels that were encoded for the model, and is what their JPEGs would give."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg
from media_files import write_video
from PIL import Image

from client.media import thumbnails
from client.media.content import Scene, SceneBounds, SceneLooks, Span
from client.media.load import identify, load_scenes, load_spans
from client.media.recent_frames import RecentFrames
from client.media.sampling import MAX_FRAMES, Fit, Sampling
from client.media.strips import Thumbnail
from client.media.thumbnails import TILES, with_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from client.media.content import Content

FRAMES, RATE, SECOND = 24, 12, 1_000_000
WINDOWS = [Span(0, SECOND // 2), Span(SECOND // 2, SECOND), Span(SECOND, 2 * SECOND)]


def coloured(number: int, size: tuple[int, int]) -> np.ndarray:
    """RGB [height, width, 3], smooth and of many colours, each frame another."""
    across, down = (np.linspace(0, 255, length) for length in size)
    planes = np.broadcast_arrays(across[None, :], down[:, None], 255 * number / FRAMES)
    return np.stack(planes, axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all tests: what several of them look at is made once."""
    return tmp_path_factory.mktemp("files")


def video(folder: Path, size: tuple[int, int], **options: Any) -> Path:
    path = folder / f"{zlib.crc32(repr((size, options)).encode())}.mp4"
    return path if path.exists() else write_video(path, FRAMES, size=size, rate=RATE, picture=coloured, **options)


def animation(folder: Path, size: tuple[int, int]) -> Path:
    path = folder / f"{size}.webp"
    if not path.exists():
        first, *others = (Image.fromarray(coloured(number, size)) for number in range(FRAMES))
        first.save(path, save_all=True, append_images=others, duration=1000 // RATE, quality=95)
    return path


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The JPEGs that were decoded again for a tile."""
    decoded: list[bytes] = []
    real = thumbnails._decoded

    def counted(jpeg: bytes, *size: int) -> np.ndarray:
        decoded.append(jpeg)
        return real(jpeg, *size)

    monkeypatch.setattr(thumbnails, "_decoded", counted)
    return decoded


def assert_same(made: Thumbnail | None, other: Thumbnail | None) -> None:
    assert made
    assert other
    assert made.strip == other.strip
    assert simplejpeg.decode_jpeg_header(made.jpeg)[3] != "444"
    one, two = (np.asarray(Image.open(io.BytesIO(each.jpeg)), np.float64) for each in (made, other))
    assert one.shape == two.shape == (made.strip.height, made.strip.width * len(made.strip.times), 3)
    assert np.abs(one - two).mean() < 3


def assert_as_decoded(contents: list[Content], again: list[bytes]) -> None:
    """The thumbnail of the last one is made of no JPEG, and is what it would be."""
    assert not again
    bare = [content.with_thumbnail(None) for content in contents]
    (*_, other) = with_thumbnail(bare, len(bare))
    assert again
    assert_same(contents[-1].thumbnail, other.thumbnail)


@pytest.mark.parametrize(
    ("size", "tile"),
    [
        ((854, 480), (299, 168)),
        ((160, 96), (160, 96)),
        ((454, 338), (226, 168)),
        ((1600, 200), (200, 25)),
        ((1600, 8), (200, 1)),
        ((8, 1600), (1, 200)),
    ],
)
@pytest.mark.parametrize("spans", [[None], WINDOWS])
def test_a_strip_is_made_of_what_was_encoded(
    folder: Path, again: list[bytes], size: tuple[int, int], tile: tuple[int, int], spans: list[Span | None]
) -> None:
    path = video(folder, size)
    contents = list(load_spans(path, identify(path), Sampling(), spans))
    assert contents[-1].thumbnail
    assert contents[-1].thumbnail.strip[:2] == tile
    assert len(contents[-1].thumbnail.strip.times) == TILES
    assert_as_decoded(contents, again)


@pytest.mark.parametrize("options", [{"rotation": 90}, {"options": {"g": "1000", "bf": "3"}}])
@pytest.mark.parametrize("fit", Fit)
def test_it_is_turned_and_padded_as_the_frames_are(
    folder: Path, again: list[bytes], options: dict[str, Any], fit: Fit
) -> None:
    path = video(folder, (640, 360), **options)
    assert_as_decoded(list(load_spans(path, identify(path), Sampling(5, fit=fit), [None])), again)


def test_that_of_a_video_that_is_decoded_from_its_beginning(folder: Path, again: list[bytes]) -> None:
    """It tells no times, and cannot be sought in."""
    path = video(folder, (640, 360), container_format="h264")
    assert_as_decoded(list(load_spans(path, identify(path), Sampling(), [None])), again)


@pytest.mark.parametrize("size", [(150, 101), (600, 400)])
def test_that_of_an_animation(folder: Path, again: list[bytes], size: tuple[int, int]) -> None:
    path = animation(folder, size)
    assert_as_decoded(list(load_spans(path, identify(path), Sampling(), [None])), again)


@pytest.mark.parametrize("make", [video, animation])
def test_that_of_scenes(folder: Path, again: list[bytes], make: Callable[[Path, tuple[int, int]], Path]) -> None:
    path = make(folder, (640, 360))
    looks = SceneLooks(SceneBounds(SECOND // 4, SECOND // 2))
    *scenes, thumbnail = load_scenes(path, identify(path), Sampling(3), looks)
    assert not again
    contents = [scene.content for scene in scenes if isinstance(scene, Scene)]
    others = thumbnails.SceneTiles()
    for content in contents:
        others.add(content)
    assert isinstance(thumbnail, Thumbnail)
    assert len(thumbnail.strip.times) == len(contents) == len(again)
    assert_same(thumbnail, others.thumbnail())


def test_frames_that_were_let_go_are_decoded_again(folder: Path, again: list[bytes]) -> None:
    path = video(folder, (640, 360))
    (content,) = load_spans(path, identify(path), Sampling(FRAMES), [None])
    let_go = FRAMES - MAX_FRAMES
    assert again
    assert {content.jpegs.index(jpeg) for jpeg in again} <= set(range(let_go))
    thumbnail, again[:] = content.thumbnail, []
    (other,) = with_thumbnail([content.with_thumbnail(None)], 1)
    assert_same(thumbnail, other.thumbnail)


def test_an_equal_jpeg_is_not_the_same_frame() -> None:
    recent = RecentFrames()
    planes = [np.zeros((2, 2), np.uint8)]
    jpeg = bytes(bytearray(b"jpeg"))
    recent.add(jpeg, planes)
    assert recent.planes(jpeg) is planes
    assert recent.planes(bytes(bytearray(b"jpeg"))) is None


def test_without_a_thumbnail_no_pixels_are_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecentFrames, "add", lambda *_: pytest.fail("held"))
    path = video(folder, (160, 96))
    (content,) = load_spans(path, identify(path), Sampling(), [None], thumbnail=False)
    assert (content.thumbnail, len(content.frames)) == (None, 8)
