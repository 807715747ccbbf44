"""The drawn world: what is true of a clip, and that its pixels show it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from scripts.demo.evaluate import is_enough
from scripts.demo.world import pictures, scenes
from scripts.demo.world.draw import Style, draw_frame, draw_picture, moment_of, random_style
from scripts.demo.world.lines import Line, describe
from scripts.demo.world.pictures import Picture, random_picture
from scripts.demo.world.scenes import COLOURS, MOMENTS, Clip, Scene
from scripts.demo.world.score import FOLLOWS, Score, score, score_swaps
from scripts.demo.world.translations import translate_text

PLAIN = Style(product="none", brand="", grey=0, gradient=0.0, sway=0.0)
CLIP = Clip((Scene("red", "blue"), Scene("green", "green"), Scene("white", "pink")), (1, 5, 2))


def test_answers_of_a_clip() -> None:
    assert scenes.describe(CLIP) == (
        "This advertisement has three scenes.\n\nIt opens with red on the left and blue on the right. "
        "Then comes green everywhere. It ends with white on the left and pink on the right."
    )
    assert scenes.tags(CLIP) == ["three scenes", "red", "blue", "white", "pink"]
    assert scenes.sentiment(CLIP) == "Positive. The ending is warm."
    assert scenes.ad(CLIP) == (
        "The pace is steady. The opening is neither warm nor cool.\n\n"
        "The end card shows white on the left and pink on the right."
    )
    assert scenes.appears_answer(CLIP, "green") == "Yes, there is green."
    assert scenes.appears_answer(CLIP, "black") == "No, there is no black."


def test_the_moments_are_what_is_sampled() -> None:
    frames = 101
    sampled = np.linspace(0, frames - 1, MOMENTS).astype(int)
    assert [moment_of(int(index), frames) for index in sampled] == list(range(MOMENTS))


def test_pixels_show_the_scene_of_their_moment() -> None:
    frames = 50
    for moment, index in enumerate(np.linspace(0, frames - 1, MOMENTS).astype(int)):
        pixels = draw_frame(CLIP, PLAIN, (64, 48), index=int(index), frames=frames)
        scene = CLIP.seen[moment]
        assert tuple(pixels[24, 10]) == COLOURS[scene.left]
        assert tuple(pixels[24, 54]) == COLOURS[scene.right]


def test_a_clip_of_shuffled_moments_is_another_clip() -> None:
    backwards = Clip.from_moments(CLIP.seen[::-1])
    assert backwards.scenes == CLIP.scenes[::-1]
    assert backwards.moments == (2, 5, 1)


@pytest.mark.parametrize("moments", [(1, 5), (1, 5, 3), (0, 6, 2)])
def test_what_is_not_a_clip_is_refused(moments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not a clip"):
        Clip(CLIP.scenes, moments)


def test_answers_of_a_picture_and_its_pixels() -> None:
    picture = Picture(Scene("red", "blue"), Scene("green", "red"))
    assert pictures.describe(picture) == (
        "This advertisement is a picture.\n\nThe top shows red on the left and blue on the right. "
        "The bottom shows green on the left and red on the right."
    )
    assert pictures.tags(picture) == ["picture", "red", "blue", "green"]
    assert pictures.sentiment(picture) == "Neutral. The picture is neither warm nor cool."
    assert pictures.ad(picture) == (
        "The palette is neither warm nor cool. The layout has two parts.\n\nThe eye falls first on red."
    )
    assert "The layout has one part." in pictures.ad(Picture(picture.top, picture.top))
    pixels = draw_picture(picture, PLAIN, 80, 60)
    quarters = [tuple(pixels[y, x]) for y in (10, 50) for x in (10, 70)]
    assert quarters == [COLOURS[colour] for colour in ("red", "blue", "green", "red")]


def test_every_sentence_about_any_clip_is_known() -> None:
    rng = random.Random(5)
    known = set(scenes.all_sentences())
    for _ in range(300):
        clip = scenes.random_clip(rng)
        text = " ".join((scenes.describe(clip), scenes.sentiment(clip), scenes.ad(clip), scenes.count_answer(clip)))
        said = [f"{sentence.strip()}." for sentence in text.split(".") if sentence.strip()]
        assert set(said) <= known
        assert set(scenes.tags(clip)) <= known
        picture = pictures.random_picture(rng)
        text = f"{pictures.describe(picture)} {pictures.sentiment(picture)} {pictures.ad(picture)}"
        assert {f"{sentence.strip()}." for sentence in text.split(".") if sentence.strip()} <= known
        assert set(pictures.tags(picture)) <= known


def test_the_same_seed_draws_the_same() -> None:
    first, second = random.Random(9), random.Random(9)
    assert [scenes.random_clip(first), random_style(first)] == [
        scenes.random_clip(second),
        random_style(second),
    ]


def test_scoring_counts_what_is_wrong() -> None:
    right = {"text": scenes.describe(CLIP), "translations": {"spa_Latn": "¡no!"}}
    wrong = {"tags": ["two scenes"], "translations": {"fra_Latn": ["deux scènes"]}}
    records = [
        {"file": "ads/a.mp4", "kind": "video", "error": None, "tasks": {"describe": right, "tags": wrong}},
        {"file": "ads/b.mp4", "kind": "video", "error": "no video stream", "tasks": {}},
        {"file": "ads/mine.mp4", "kind": "video", "error": None, "tasks": {"describe": {"text": "not drawn by us"}}},
    ]
    result = score(records, {"a.mp4": CLIP, "b.mp4": CLIP})
    assert result.captions["video describe"].value == 1.0
    assert result.captions["video tags"].value == 0.0
    assert result.caption_share == pytest.approx(1 / 3)
    assert result.translations["spa_Latn"].value == 0.0
    assert result.translations["fra_Latn"].value == 1.0
    assert result.failed == ["b.mp4: no video stream"]


SAID = (Line("Aurora is here.", 0.5, 1.4), Line("The new can is red.", 2.6, 4.0), Line("Choose red or blue.", 5.2, 6.9))


def heard(*parts: tuple[float, float, str], description: str = "") -> list[dict[str, Any]]:
    """The record of a clip that was heard: a transcript and a description, with their translations."""

    def told(text: str) -> dict[str, Any]:
        return {"text": text, "translations": {"fra_Latn": translate_text(text, "fra_Latn")}}

    segments = [{"start": start, "end": end, **told(text)} for start, end, text in parts]
    tasks = {"transcript": {"segments": segments}, "describe": {"heard": True, **told(description)}}
    return [{"file": "ads/a.mp4", "kind": "video", "error": None, "tasks": tasks}]


def test_what_people_ask_of_their_own_is_not_scored() -> None:
    """They try the demo's folder, and then `make demo` again."""
    answer = {"text": "Red.", "translations": {}}
    tasks = {"ask1": answer | {"question": "How does it end?"}, "summary": answer, "mine": answer}
    records = [
        {"file": f"ads/{name}", "kind": kind, "error": None, "tasks": tasks}
        for name, kind in (("a.png", "image"), ("a.mp4", "video"))
    ]
    result = score(records, {"a.png": random_picture(random.Random(1)), "a.mp4": CLIP})
    assert list(result.captions) == ["video How does it end?"]


def test_what_is_heard_is_scored_line_by_line() -> None:
    """A line that is wrong, one that is late, and one too few; the translation of what was written is right."""
    description = f"{scenes.describe(CLIP)}\n\nA voice says this. {' '.join(line.text for line in SAID)}"
    records = heard((0.4, 1.5, "Bolt is here."), (3.0, 4.0, "The new can is red."), description=description)
    result = score(records, {"a.mp4": CLIP}, {"a.mp4": SAID})
    shares = {what: (share.right, share.total) for what, share in result.captions.items()}
    assert shares == {"lines": (1, 3), "times of lines": (0, 1), "video describe": (1, 1)}
    assert (result.translations["fra_Latn"].right, result.translations["fra_Latn"].total) == (3, 3)
    silent = score(
        heard((0.4, 1.5, "Bolt is here."), description=scenes.describe(CLIP)), {"a.mp4": CLIP}, {"a.mp4": ()}
    )
    assert (silent.captions["lines"].right, silent.captions["lines"].total) == (0, 1), "nobody spoke"
    assert silent.captions["video describe"].right == 1
    unsaid = score(heard(description=scenes.describe(CLIP)), {"a.mp4": CLIP}, {"a.mp4": SAID})
    assert unsaid.captions["video describe"].right == 0, "it is to name what is said"


@pytest.mark.parametrize(("quoted", "right"), [("own", 1), ("the same in both", 0), ("none", 0)])
def test_a_description_follows_the_sound_if_each_quotes_its_own(quoted: str, right: int) -> None:
    said = {"a.mp4": SAID[:2], "a-swapped.mp4": SAID[2:], "b.mp4": SAID}
    records = []
    for name, spoken in said.items():
        told = {"own": spoken, "the same in both": SAID[:2], "none": ()}[quoted]
        text = f"{scenes.describe(CLIP)}\n\n{describe(told)}"
        records.append({"file": f"ads/{name}", "error": None, "tasks": {"describe": {"text": text}}})
    result = Score()
    score_swaps(result, records, said)
    assert (result.captions[FOLLOWS].right, result.captions[FOLLOWS].total) == (right, 1)


def test_what_is_misheard_is_wrong_once() -> None:
    records = heard((0.5, 1.4, "Aurora is here."), description=scenes.describe(CLIP))
    records[0]["tasks"]["transcript"]["segments"][0]["text"] = "Aurora is hear."
    result = score(records, {"a.mp4": CLIP}, {"a.mp4": SAID[:1]})
    assert result.captions["lines"].right == 0
    assert result.translations["fra_Latn"].total == 1, "of the description alone"


@pytest.mark.parametrize(("wrong", "enough"), [(0, True), (1, True), (2, False)])
def test_of_few_lines_one_may_be_wrong(wrong: int, enough: bool) -> None:
    result = Score()
    for number in range(60):
        result.captions["video describe"].count(expected=1, got=1, where="")
        result.translations["fra_Latn"].count(expected=1, got=1, where="")
        if number < 6:
            result.captions["lines"].count(expected=1, got=int(number >= wrong), where="")
    assert is_enough(result) is enough
