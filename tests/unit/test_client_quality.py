"""The task `quality`: issues that were made are found, sound pictures have none, and no model is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from batch_runs import results, run
from media_files import write_video
from PIL import Image, ImageDraw, ImageFilter

from client.media.content import Frame
from client.media.jpeg import encode_rgb
from client.media.quality import measure

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

SIZE = (596, 336)
OPTIONS = ("ads", "--tasks", "quality", "--languages", "")


def natural(seed: int) -> Image.Image:
    """Noise of which, as in nature, coarse parts are stronger than fine ones."""
    random = np.random.default_rng(seed)
    width, height = SIZE
    frequency = np.hypot(np.fft.rfftfreq(width)[None], np.fft.fftfreq(height)[:, None])
    frequency[0, 0] = 1
    spectrum = np.exp(2j * np.pi * random.random(frequency.shape)) / frequency
    levels = np.fft.irfft2(spectrum, s=(height, width))
    levels = np.clip((levels - levels.mean()) / levels.std() * 45 + 120, 0, 255).astype(np.uint8)
    return Image.fromarray(np.repeat(levels[..., None], 3, axis=2))


def drawn(seed: int) -> Image.Image:
    """Discs on a plain ground."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", SIZE, (60, 110, 190))
    pen = ImageDraw.Draw(picture)
    for number in range(12):
        x, y, r = random.integers(0, SIZE[0]), random.integers(0, SIZE[1]), random.integers(15, 80)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(250, 240, 40) if number % 2 else (30, 40, 60))
    return picture


def measured(*pictures: Image.Image) -> dict[str, Any]:
    return measure([Frame(at * 500_000, encode_rgb(np.asarray(picture))) for at, picture in enumerate(pictures)])


def boxed(picture: Image.Image, across: int, down: int) -> Image.Image:
    """With black bars of so many pixels at the sides, and above and below."""
    whole = Image.new("RGB", SIZE)
    whole.paste(picture.resize((SIZE[0] - 2 * across, SIZE[1] - 2 * down)), (across, down))
    return whole


@pytest.mark.parametrize("make", [natural, drawn])
@pytest.mark.parametrize("seed", range(5))
def test_a_sound_picture_has_no_issue_and_a_blurred_one_is_blurred(make: Any, seed: int) -> None:
    sound = measured(make(seed))
    assert (sound["verdict"], sound["issues"], sound["bars"]) == ("good", [], "none")
    assert sound["frames"][0]["sharpness"] > 1.6
    for radius in (2, 4, 10):
        blurred = measured(make(seed).filter(ImageFilter.GaussianBlur(radius)))
        assert (blurred["verdict"], blurred["issues"]) == ("poor", ["blurred"]), radius


def test_light_and_dark() -> None:
    levels = np.asarray(natural(3)).astype(float)
    assert measured(Image.fromarray((levels / 12).astype(np.uint8)))["issues"] == ["dark"]
    assert measured(Image.fromarray((240 + levels / 8).clip(0, 255).astype(np.uint8)))["issues"] == ["bright"]
    # A thing on white is no issue.
    product = Image.new("RGB", SIZE, (255, 255, 255))
    product.paste(natural(1).resize((320, 280)), (140, 28))
    assert measured(product)["verdict"] == "good"
    # Nothing is to be seen in a plain ground that could be blurred.
    plain = measured(Image.new("RGB", SIZE, (80, 90, 100)))
    assert (plain["verdict"], plain["frames"][0]["sharpness"]) == ("good", None)


@pytest.mark.parametrize(
    ("across", "down", "bars"),
    [
        (0, 40, "letterbox"),
        (0, 145, "letterbox"),
        (70, 0, "pillarbox"),
        (70, 40, "windowbox"),
        (0, 6, "none"),
        (4, 0, "none"),
    ],
)
def test_bars(across: int, down: int, bars: str) -> None:
    found = measured(boxed(natural(2), across, down))
    assert (found["bars"], found["verdict"]) == (bars, "good" if bars == "none" else "fair")
    assert found["issues"] == []  # what is black beside the picture is not dark


def test_a_dark_sky_is_no_bar() -> None:
    picture = natural(4)
    picture.paste((0, 0, 0), (0, 0, SIZE[0], 90))
    assert measured(picture)["bars"] == "none"


def test_frames_are_told_apart() -> None:
    blurred = natural(1).filter(ImageFilter.GaussianBlur(5))
    found = measured(natural(1), blurred, natural(2))
    assert (found["verdict"], found["issues"]) == ("fair", ["blurred"])
    assert [(frame["at"], frame["issues"]) for frame in found["frames"]] == [(0, []), (0.5, ["blurred"]), (1, [])]
    assert measured(natural(1), blurred, blurred)["verdict"] == "poor"


def test_no_model_is_asked(tmp_path: Path, servers: FakeServers) -> None:
    (tmp_path / "ads").mkdir()
    drawn(1).save(tmp_path / "ads" / "a.png")
    write_video(tmp_path / "ads" / "b.mp4", 100, size=SIZE, picture=lambda number, _: np.asarray(drawn(number // 50)))
    servers.stop()
    assert "2 answers to be measured, which asks no model" in run(servers, *OPTIONS, "--dry-run", cwd=tmp_path).stdout
    assert run(servers, *OPTIONS, "--window", "2", cwd=tmp_path).returncode == 0
    picture, video = (record["tasks"]["quality"] for record in results(tmp_path)["files"])
    assert (picture["data"]["verdict"], picture["model"], picture["generated_tokens"]) == ("good", "measured", 0)
    spans = [(part["start"], part["end"], part["data"]["verdict"]) for part in video["segments"]]
    assert spans == [(0, 2, "good"), (2, 4, "good")]
    assert len(video["segments"][0]["data"]["frames"]) == 8
    assert "2 are done already" in run(servers, *OPTIONS, "--window", "2", "--dry-run", cwd=tmp_path).stdout


def test_beside_other_tasks_it_looks_at_the_same_frames(tmp_path: Path, servers: FakeServers) -> None:
    (tmp_path / "ads").mkdir()
    write_video(tmp_path / "ads" / "b.mp4", 100)
    tasks = ("ads", "--tasks", "captions,quality", "--languages", "fra_Latn", "--window", "2", "--frames", "2")
    assert run(servers, *tasks, cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 2
    assert "quality" not in json.dumps(servers.asked)
    assert not any("verdict" in text for body in servers.translated for text in body["texts"])
    (record,) = results(tmp_path)["files"]
    assert {name: len(told["segments"]) for name, told in record["tasks"].items()} == {"captions": 2, "quality": 2}
    assert results(tmp_path)["stats"]["requests"] == 2
