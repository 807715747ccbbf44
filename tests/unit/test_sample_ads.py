"""The sample advertisements: real files, true to their plan, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image

from scripts.demo.sample_ads import (
    SOUND_RATE,
    Ad,
    plan,
    plan_pictures,
    read_lines,
    read_truth,
    swapped,
    write_ads,
    write_picture,
    write_video,
)
from scripts.demo.world.draw import BRANDS
from scripts.demo.world.lines import is_held_out
from scripts.demo.world.scenes import COLOURS, MOMENTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def short_ads() -> list[Ad]:
    """Small versions of planned advertisements, so that writing them takes no time."""
    return [replace(ad, size=(96, 64), length_s=3.0) for ad in plan(seed=3, count=4)]


def test_swapped_ads_show_the_same_and_say_what_another_says() -> None:
    ads = plan(seed=3, count=9)
    others = swapped(ads)
    speaking = [ad for ad in ads if ad.lines]
    assert 0 < len(others) == len(speaking) < len(ads)
    for ad, other in zip(speaking, others, strict=True):
        assert (other.clip, other.style, other.size, other.frames) == (ad.clip, ad.style, ad.size, ad.frames)
        assert other.name == ad.name.replace(".mp4", "-swapped.mp4")
        assert other.lines != ad.lines
        assert other.lines in [each.lines[: len(other.lines)] for each in speaking]


def test_planned_ads_differ_in_size_rate_and_length() -> None:
    ads = plan(seed=1, count=16)
    assert len({ad.size for ad in ads}) >= 4
    assert len({ad.rate for ad in ads}) >= 3
    assert all(3 <= ad.length_s <= 10 for ad in ads)


def test_files_are_h264_with_sound_and_show_their_clip(short_ads: list[Ad], tmp_path: Path) -> None:
    for ad in short_ads:
        path = tmp_path / ad.name
        write_video(ad, path)
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
            assert container.streams.audio[0].codec_context.name == "aac"
            assert container.streams.video[0].average_rate == ad.rate
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == ad.frames
        for moment, index in enumerate(np.linspace(0, len(frames) - 1, MOMENTS).astype(int)):
            scene = ad.clip.seen[moment]
            for x, colour in ((8, scene.left), (88, scene.right)):
                shown = frames[index][8:56, x - 4 : x + 4].mean((0, 1))
                assert np.abs(shown - COLOURS[colour]).max() < 25, f"{path.name} moment {moment}"


def test_what_is_said_is_heard_where_the_truth_says(tmp_path: Path) -> None:
    ads = plan(seed=1, count=16)
    assert {len(ad.lines) for ad in ads} == {0, 1, 2, 3}
    assert all(is_held_out(line) for ad in ads for line in ad.lines)
    named = {brand for brand in BRANDS for ad in ads for line in ad.lines if brand in line and brand != ad.style.brand}
    assert not named, "another brand is advertised"
    for ad in (max(ads, key=lambda ad: len(ad.lines)), ads[7]):
        said = write_video(replace(ad, size=(96, 64)), tmp_path / ad.name)
        assert tuple(line.text for line in said) == ad.lines
        with av.open(str(tmp_path / ad.name)) as container:
            samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        if not said:
            assert np.abs(samples).max() > 0.1, "the tune is as loud as ever"
            continue
        spoken = np.zeros(len(samples), bool)
        for line in said:
            begin, end = (int(at * SOUND_RATE) for at in (line.start, line.end))
            assert np.abs(samples[begin:end]).max() > 0.5
            spoken[begin - SOUND_RATE // 20 : end + SOUND_RATE // 20] = True
        assert np.abs(samples[~spoken]).max() < 0.05


def test_pictures_have_every_shape_and_show_their_quarters(tmp_path: Path) -> None:
    stills = plan_pictures(seed=3, count=12)
    assert len({still.size for still in stills}) >= 8
    for still in stills:
        path = tmp_path / still.name
        write_picture(still, path)
        with Image.open(path) as image:
            assert image.size == still.size
            pixels = np.asarray(image.convert("RGB")).astype(int)
        height, width = pixels.shape[:2]
        for y, scene in ((height // 8, still.picture.top), (height * 7 // 8, still.picture.bottom)):
            for x, colour in ((width // 8, scene.left), (width * 7 // 8, scene.right)):
                assert np.abs(pixels[y, x] - COLOURS[colour]).max() < 40, f"{still.name} at {x}, {y}"


def test_the_same_seed_shows_the_same_frames(short_ads: list[Ad], tmp_path: Path) -> None:
    # Not the same bytes: x264 spends a few more or less on the same frame now and then.
    for ad in short_ads:
        first, second = (np.stack(frames_of(ad, tmp_path / name)) for name in ("first.mp4", "second.mp4"))
        assert np.abs(first.astype(int) - second).mean() < 0.5


def frames_of(ad: Ad, path: Path) -> list[np.ndarray]:
    write_video(ad, path)
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_truth_is_kept_beside_the_files(tmp_path: Path) -> None:
    truth = write_ads(tmp_path, seed=4, videos=1, pictures=3)
    assert read_truth(tmp_path) == truth
    lines = read_lines(tmp_path)
    assert [*lines] == [name for name in truth if name.endswith(".mp4")]
    assert [line.text for said in lines.values() for line in said] == [*plan(seed=4, count=1)[0].lines]
    assert {path.name for path in tmp_path.glob("[!.]*")} == set(truth)
    assert len(truth) == 4
    assert read_truth(tmp_path / "elsewhere") == read_lines(tmp_path / "elsewhere") == {}
