"""The thumbnail of sound alone: bars where it is loud, whatever the pieces in which it is decoded."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from report_ledgers import Shown, write_shown
from sound_files import RATE, tones, write

from client.media.content import SoundEnd
from client.media.kinds import Kind
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.strips import Strip
from client.media.thumbnail_folder import KeptThumbnails, Thumbnails
from client.media.waveform import BARS, HEIGHT, WIDTH, Waveform
from client.report.missing import make_thumbnails

if TYPE_CHECKING:
    from pathlib import Path

LOUD = slice(BARS // 4, BARS // 2)
"""The bars of what is loud in the second of four quarters."""


def drawn(samples: np.ndarray, piece: int, begin: int = 0) -> np.ndarray:
    """The bars of samples that come in pieces of this length."""
    waveform = Waveform()
    for at in range(0, len(samples), piece):
        waveform.add(begin + at, samples[at : at + piece])
    return waveform.bars()


@pytest.mark.parametrize("length_s", [0.2, 4.0, 81.92, 600.0])
@pytest.mark.parametrize("piece", [160, 1024, 100_003])
def test_bars_stand_where_it_is_loud(length_s: float, piece: int) -> None:
    samples = tones([(length_s / 4, length_s / 2)], length_s)
    bars = drawn(samples, max(piece, len(samples) // 500))
    assert bars.max() == pytest.approx(1)
    assert bars[LOUD].min() > 0.9
    # A bar begins in the middle of what is kept together: the neighbours may have some of it.
    assert max(bars[: LOUD.start - 2].max(), bars[LOUD.stop + 2 :].max()) < 0.1


def test_what_is_missing_is_silence_and_a_whisper_is_none() -> None:
    late = drawn(tones([(0, 1)], 1.0), 1000, begin=3 * RATE)
    assert late[: BARS * 3 // 4 - 2].max() == 0
    assert late[BARS * 3 // 4 + 1 :].min() > 0.9
    assert drawn(np.full(RATE, 0.001, np.float32), 1000).max() < 0.1
    assert Waveform().thumbnail() is None


def test_sound_alone_has_a_picture_that_is_like_no_other(tmp_path: Path) -> None:
    sound = write(tmp_path / "talk.wav", [tones([(1, 2)], 4.0)])
    film = write(tmp_path / "film.mkv", [tones([(1, 2)], 4.0)], video_s=4.0)
    thumbnails = Thumbnails(tmp_path / "out")
    loaders = Loaders(1, thumbnails=thumbnails)
    try:
        parts = [list(loaders.sound(path, identify(path), None)) for path in (sound, film)]
    finally:
        loaders.close()
    assert [isinstance(some[-1], SoundEnd) for some in parts] == [True, True]
    kept = KeptThumbnails(tmp_path / "out")
    assert kept.read(identify(film).sha256) is None, "a film has a strip of its frames"
    thumbnail = kept.read(identify(sound).sha256)
    assert thumbnail
    assert thumbnail.strip == Strip(WIDTH, HEIGHT, [0.0])
    with Image.open(io.BytesIO(thumbnail.jpeg)) as picture:
        above = np.asarray(picture.convert("L"))[HEIGHT // 4]
    assert above[WIDTH // 4 + 8 : WIDTH // 2 - 8].mean() > above[: WIDTH // 4 - 8].mean() + 50


def test_older_runs_get_it_too(tmp_path: Path) -> None:
    sound = write(tmp_path / "talk.wav", [tones([(1, 2)], 4.0)])
    write_shown(tmp_path / "out", [Shown(str(sound), Kind.AUDIO)], ["transcript"], ())
    assert make_thumbnails(tmp_path / "out") == (1, 0)
    assert KeptThumbnails(tmp_path / "out").read(identify(sound).sha256)
