"""The sound of files: cut where nobody speaks, with true times, also where it is late, has gaps, or is damaged."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
import sound_files
from ffmpeg_files import ffmpeg
from media_files import write_video
from PIL import Image
from sound_files import RATE, tones, write

from client.errors import MediaError
from client.media import sound
from client.media.content import SoundEnd, SoundPiece
from client.media.kinds import HEAD_BYTES, Kind, by_suffix, sniff
from client.media.load import identify, load_sound
from client.media.loaders import Loaders
from client.media.sound import MARGIN_S, sound_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWO = [(1.0, 3.0), (5.0, 6.5)]


def heard(path: Path, track: int | None = None) -> tuple[list[SoundPiece], SoundEnd]:
    *pieces, end = sound_pieces(path, track)
    assert isinstance(end, SoundEnd)
    return [piece for piece in pieces if isinstance(piece, SoundPiece)], end


def spans(pieces: list[SoundPiece]) -> list[tuple[float, float]]:
    """In seconds, without the margins."""
    found = [(it.span.start_us / 1e6 + MARGIN_S, it.span.end_us / 1e6 - MARGIN_S) for it in pieces]
    return [(round(start, 3), round(end, 3)) for start, end in found]


def samples_of(piece: SoundPiece) -> np.ndarray:
    with av.open(io.BytesIO(piece.wav)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ("pcm_f32le", RATE)
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(stream)])


def pitch_of(piece: SoundPiece) -> float:
    samples = samples_of(piece)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


def near(expected: list[tuple[float, float]], within: float = 0.05) -> Any:
    return [pytest.approx(span, abs=within) for span in expected]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".wav", "pcm_s16le"),
        (".flac", "flac"),
        (".mp3", "mp3"),
        (".m4a", "aac"),
        (".ogg", "libvorbis"),
        (".aac", "aac"),
    ],
)
def test_files_of_sound_alone(suffix: str, codec: str, tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.wav", [tones(TWO, 8)])
    path = tmp_path / f"sound{suffix}"
    ffmpeg("-i", plain, "-c:a", codec, path)
    head = path.read_bytes()[:HEAD_BYTES]
    assert sniff(head) is Kind.AUDIO
    assert by_suffix(suffix) is Kind.AUDIO
    assert identify(path).kind is Kind.AUDIO
    pieces, end = heard(path)
    assert spans(pieces) == near(TWO, 0.1)  # bare AAC and MP3 keep the 64 ms that their coder put before the sound
    assert end.duration_us == pytest.approx(8e6, abs=1e5)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "aac"), ("a.mov", "aac"), ("a.mkv", "pcm_s16le"), ("a.webm", "libopus")]
)
def test_a_container_of_videos_with_sound_alone_is_sound(name: str, codec: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, [tones(TWO, 8)], codec=codec)
    assert sniff(path.read_bytes()[:HEAD_BYTES]) is Kind.VIDEO
    assert identify(path).kind is Kind.AUDIO
    pieces, _ = heard(path)
    assert spans(pieces) == near(TWO, 0.1)
    if name != "a.webm":  # H.264 is not for it
        assert identify(write(tmp_path / f"seen-{name}", [tones(TWO, 2)], codec=codec, video_s=2)).kind is Kind.VIDEO
    cut = path.read_bytes()[:200]
    (tmp_path / f"cut-{name}").write_bytes(cut)
    assert identify(tmp_path / f"cut-{name}").kind is Kind.VIDEO, "what is not known is what it is called"


def test_what_is_sent_is_the_sound_in_floats(tmp_path: Path) -> None:
    path = write(tmp_path / "sound.wav", [tones(TWO, 8)])
    pieces, _ = heard(path)
    first = samples_of(pieces[0])
    begin = round(pieces[0].span.start_us * RATE / 1e6)
    assert first == pytest.approx(tones(TWO, 8)[begin : begin + len(first)], abs=1e-4)


def test_times_are_those_of_the_video_where_sound_begins_late(tmp_path: Path) -> None:
    path = write(tmp_path / "late.mkv", [tones(TWO, 8)], video_s=8, gaps=[(0, 0.9)])
    pieces, _ = heard(path)
    assert spans(pieces)[0] == pytest.approx((0.9 + MARGIN_S, 3.0), abs=0.05)
    assert spans(pieces)[1:] == near(TWO[1:])


def test_times_are_those_of_the_video_where_that_begins_late(tmp_path: Path) -> None:
    """A transport stream's clock starts anywhere."""
    path = write(tmp_path / "here.mkv", [tones(TWO, 8)], video_s=8)
    moved = tmp_path / "moved.ts"
    ffmpeg("-i", path, "-c:v", "copy", "-c:a", "mp2", "-output_ts_offset", "100", moved)
    assert spans(heard(moved)[0]) == near(TWO, 0.1)


@pytest.mark.parametrize("gap", [(3.1, 3.4), (3.2, 4.8)], ids=["filled", "cut at"])
def test_a_gap_moves_nothing_that_follows(gap: tuple[float, float], tmp_path: Path) -> None:
    path = write(tmp_path / "gap.mkv", [tones(TWO, 8)], gaps=[gap])
    assert spans(heard(path)[0]) == near(TWO)


def test_of_several_tracks_the_default_or_the_one_asked_for(tmp_path: Path) -> None:
    tracks = [tones(TWO, 8, pitch) for pitch in (300, 500, 700)]
    path = write(tmp_path / "three.mkv", tracks, default=1)
    assert pitch_of(heard(path)[0][0]) == pytest.approx(500, abs=2)
    assert [pitch_of(heard(path, track)[0][0]) for track in (1, 3)] == pytest.approx([300, 700], abs=2)
    pieces, end = heard(path, 4)
    assert pitch_of(pieces[0]) == pytest.approx(500, abs=2)
    assert "3 sound tracks and no number 4" in end.warnings[0]


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "silent.mp4", 4)
    assert heard(path) == ([], SoundEnd(0, ("there is no sound in this file",)))


def test_silence_and_clicks_are_not_heard(tmp_path: Path) -> None:
    assert heard(write(tmp_path / "silence.wav", [tones([], 40)]))[0] == []
    assert heard(write(tmp_path / "clicks.wav", [tones([(2, 2.05), (20, 20.05)], 40)]))[0] == []


def test_sound_without_a_pause_is_cut_where_it_is_quietest(tmp_path: Path) -> None:
    samples = tones([(0, 70)], 70)
    samples[20 * RATE : int(20.2 * RATE)] *= 0.5
    pieces, _ = heard(write(tmp_path / "song.wav", [samples]))
    ends = [piece.span.end_us / 1e6 for piece in pieces]
    assert ends[0] == pytest.approx(20.1, abs=0.15)
    assert all(piece.span.end_us - piece.span.start_us <= sound.LONGEST_S * 1e6 for piece in pieces)
    assert pieces[0].span.start_us == 0
    assert all(one.span.end_us == other.span.start_us for one, other in pairwise(pieces))
    assert ends[-1] == pytest.approx(70, abs=0.01)


def test_speech_with_short_pauses_is_cut_every_few_seconds(tmp_path: Path) -> None:
    said = [(at, at + 1.6) for at in range(0, 40, 2)]
    pieces, _ = heard(write(tmp_path / "talk.wav", [tones(said, 40)]))
    lengths = [(piece.span.end_us - piece.span.start_us) / 1e6 for piece in pieces]
    assert max(lengths) < 8
    assert len(pieces) == pytest.approx(40 / 6, abs=1)
    starts, ends = zip(*spans(pieces), strict=True)
    assert set(np.round(starts)) <= set(range(0, 40, 2))  # no word is cut
    assert all(any(abs(end - at) < 0.06 for _, at in said) for end in ends)


def test_damaged_sound_is_heard_as_far_as_it_can_be(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.wav", [tones(TWO, 30)])
    ffmpeg("-i", plain, "-c:a", "aac", tmp_path / "whole.m4a")
    data = bytearray((tmp_path / "whole.m4a").read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 3000] = b"\xff" * 3000
    (tmp_path / "spoilt.m4a").write_bytes(data)
    pieces, end = heard(tmp_path / "spoilt.m4a")
    assert spans(pieces)[: len(TWO)] == near(TWO)
    assert "not all of its sound" in end.warnings[0]


def test_what_cannot_be_heard_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "none.mp3").write_bytes(b"ID3" + b"\x04" * 5000)
    with pytest.raises(MediaError):
        heard(tmp_path / "none.mp3")


def test_an_animated_picture_has_no_sound(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    path = tmp_path / "moves.gif"
    assert list(load_sound(path, identify(path), None)) == [SoundEnd(0)]


def test_memory_does_not_grow_with_the_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes, most of them without a pause: no more than a piece and what has just come is held."""
    most = 0
    add = sound.Cutter.add

    def watched(self: Any, begin: int, samples: np.ndarray) -> Iterator[SoundPiece]:
        nonlocal most
        yield from add(self, begin, samples)
        most = max(most, self._length, sum(map(len, self._held)))

    monkeypatch.setattr(sound.Cutter, "add", watched)
    path = write(tmp_path / "long.wav", [np.tile(tones([(0, 50)], 60), 5)])
    count = sum(isinstance(piece, SoundPiece) for piece in sound_pieces(path))
    assert count > 10
    assert most < (sound.LONGEST_S + 1) * RATE


def test_a_worker_hears(tmp_path: Path) -> None:
    path = write(tmp_path / "sound.wav", [tones(TWO, 8)])
    loaders = Loaders(1)
    try:
        *pieces, end = loaders.sound(path, identify(path), None)
    finally:
        loaders.close()
    assert len(pieces) == 2
    assert isinstance(end, SoundEnd)


def test_bom_and_text_are_no_sound() -> None:
    assert sniff(b"\xff\xfea\0b\0") is None
    assert sniff(b"ID is a word") is None
    assert sound_files.RATE == sound.RATE_HZ
