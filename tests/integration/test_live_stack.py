"""A live session on the real stack: a drawn film at the pace of its clock, seen, heard, translated and asked about."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from client import Babelview, LiveAlert, LiveCaption, LiveSaid
from client.live.watch import Watch
from scripts.demo.sample_ads import LOUD, SOUND_RATE, encode
from scripts.demo.sample_films import frames
from scripts.demo.voices import random_voice, say
from scripts.demo.world.draw import random_style
from scripts.demo.world.films import RATE, Film, in_order
from scripts.demo.world.lines import random_line
from scripts.demo.world.scenes import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from client.live.asker import AlertAnswer
    from client.live.events import LiveSession
    from client.live.messages import Clip
    from scripts.demo.stack import Stack

SCENES = (Scene("red", "blue"), Scene("green", "white"))
SCENE_S = 3


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two scenes, and the line that is said in the first of them."""
    rng = random.Random(3)
    style, line = random_style(rng), random_line(rng)
    speech = say(line, random_voice(rng), SOUND_RATE)
    samples = np.zeros((1, len(SCENES) * SCENE_S * SOUND_RATE), np.float32)
    samples[0, SOUND_RATE // 2 : SOUND_RATE // 2 + len(speech)] = speech / np.abs(speech).max() * LOUD
    path = tmp_path_factory.mktemp("live") / "film.mp4"
    shown = Film(SCENES, (SCENE_S * RATE,) * len(SCENES))
    encode(path, (480, 270), Fraction(RATE), frames(shown, style, (480, 270)), samples)
    return path, line


async def test_what_a_film_shows_now_is_told_heard_and_asked_about(
    stack: Stack, film: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, line = film
    answers: list[AlertAnswer] = []
    change = Watch._change

    def noted(watch: Watch, clip: Clip, given: AlertAnswer, session: LiveSession) -> LiveAlert | None:
        answers.append(given)
        return change(watch, clip, given, session)

    monkeypatch.setattr(Watch, "_change", noted)
    async with Babelview(stack.endpoint, translator=stack.translator) as bv:
        session = bv.live(
            path,
            realtime=True,
            every_s=1.0,
            languages=["es"],
            alerts=["Is there green in it?"],
            answer_s=120,
            max_lag_s=120,  # whatever else this machine does
        )
        events = [event async for event in session]
    shown = [event.to_json() for event in events]
    captions = [event for event in events if isinstance(event, LiveCaption)]
    assert not [caption.error for caption in captions if caption.error]
    second = [caption for caption in captions if caption.text == in_order(SCENES[1:])]
    assert second, shown
    assert second[-1].tasks["captions"]["translations"]["spa_Latn"] == "Verde y blanco."
    # Whether that is right nobody has taught the demo's model: what it says is yes or no, and its changes are told.
    assert {it.answer.text for it in answers} <= {"Yes", "No"}
    assert len(answers) >= len(captions)
    changes = [after for before, after in pairwise([False, *(it.yes for it in answers)]) if before != after]
    assert [event.answer for event in events if isinstance(event, LiveAlert)] == changes
    (said,) = [event for event in events if isinstance(event, LiveSaid)]
    assert said.text == line, shown
