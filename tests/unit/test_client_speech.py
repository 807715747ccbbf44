# ruff: noqa: RUF001  (signs of many scripts)
"""Speech of eSpeak NG in ten languages, and of a human voice: pieces begin and end with what is said."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from sound_files import RATE, write

from client.media.content import SoundPiece
from client.media.sound import MARGIN_S, sound_pieces
from scripts.demo.voices import Voice, say

SENTENCES = {
    "en-us": ("The sale ends on Tuesday evening.", "Forty shops are open until midnight.", "Come and see the new car."),
    "de": ("Der Verkauf endet am Dienstag.", "Vierzig Läden haben bis Mitternacht offen.", "Kommen Sie vorbei."),
    "fr": ("La vente se termine mardi soir.", "Quarante magasins sont ouverts.", "Venez voir la voiture."),
    "es": ("La venta termina el martes.", "Cuarenta tiendas abren hasta medianoche.", "Venga a ver el coche."),
    "it": ("La vendita finisce martedì sera.", "Quaranta negozi sono aperti.", "Venite a vedere la macchina."),
    "pt": ("A venda termina na terça-feira.", "Quarenta lojas estão abertas.", "Venha ver o carro novo."),
    "ru": ("Распродажа кончается во вторник.", "Сорок магазинов открыты до полуночи.", "Приходите посмотреть."),
    "pl": ("Wyprzedaż kończy się we wtorek.", "Czterdzieści sklepów jest otwartych.", "Przyjdź zobaczyć auto."),
    "hi": ("बिक्री मंगलवार को समाप्त होती है।", "चालीस दुकानें खुली हैं।", "नई गाड़ी देखने आइए।"),
    "tr": ("İndirim salı akşamı bitiyor.", "Kırk mağaza gece yarısına kadar açık.", "Yeni arabayı görmeye gelin."),
}


@pytest.mark.parametrize("voice", SENTENCES)
def test_pieces_are_what_is_said(voice: str, tmp_path: Path) -> None:

    said, parts, at = [], [], 0
    noise = np.random.default_rng(3)
    for sentence in SENTENCES[voice]:
        speech = 0.5 * say(sentence, Voice(voice))
        parts += [np.zeros(int(1.3 * RATE), np.float32), speech]
        at += len(parts[-2])
        said.append((at / RATE, (at + len(speech)) / RATE))
        at += len(speech)
    samples = np.concatenate([*parts, np.zeros(RATE, np.float32)])
    samples += noise.normal(0, 0.002, len(samples)).astype(np.float32)
    pieces = [it for it in sound_pieces(write(tmp_path / "talk.wav", [samples])) if isinstance(it, SoundPiece)]
    found = [(it.span.start_us / 1e6 + MARGIN_S, it.span.end_us / 1e6 - MARGIN_S) for it in pieces]
    assert found == [pytest.approx(span, abs=0.25) for span in said]


RECORDINGS = Path("/usr/share/sounds/alsa")
RECORDED = {
    "Front_Center": (0.07, 1.33),
    "Front_Left": (0.03, 1.25),
    "Rear_Center": (0.04, 1.18),
    "Side_Right": (0.04, 1.24),
}
"""Of a woman who says where a loudspeaker stands: where her words begin and end, measured by hand, in seconds."""


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="there are no recordings of a voice: apt-get install alsa-utils")
@pytest.mark.parametrize(("suffix", "codec"), [(".wav", "pcm_s16le"), (".mp3", "mp3")])
def test_recordings_of_a_human_voice(suffix: str, codec: str, tmp_path: Path) -> None:
    parts, expected = [], []
    for name, (start_s, end_s) in RECORDED.items():
        with av.open(str(RECORDINGS / f"{name}.wav")) as container:
            resampler = av.AudioResampler("flt", "mono", RATE)
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        parts.append(np.zeros(2 * RATE, np.float32))
        at_s = sum(map(len, parts)) / RATE
        parts.append(np.concatenate([frame.to_ndarray()[0] for frame in frames]))
        expected.append(pytest.approx((at_s + start_s, at_s + end_s), abs=0.05))
    path = write(tmp_path / f"voice{suffix}", [np.concatenate([*parts, parts[0]])], codec=codec)
    pieces = [it.span for it in sound_pieces(path) if isinstance(it, SoundPiece)]
    assert [(it.start_us / 1e6 + MARGIN_S, it.end_us / 1e6 - MARGIN_S) for it in pieces] == expected
