"""What the demo models are taught, and that what is committed was taught what is shipped."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from client.tasks.prompt import read_prompt
from client.tasks.steps import MERGED_CHARACTERS
from client.tasks.tasks import ASK, BUILT_IN
from scripts.demo.models.conversation import Conversations, shipped_prompt
from scripts.demo.models.merges import MERGED
from scripts.demo.world import films, pictures, scenes
from scripts.demo.world.score import TASKS
from server.profile import load_profile

DEMO = Path(__file__).resolve().parents[2] / "server" / "demo"
MODELS = {"video": "llava-next-video-7b", "image": "llama-3.2-11b-vision"}
MOST_VIDEO_TOKENS = 32 * 16  # 32 frames, the most that the profile takes


def draw(kind: str, rng: random.Random) -> scenes.Clip | pictures.Picture:
    return scenes.random_clip(rng) if kind == "video" else pictures.random_picture(rng)


@pytest.mark.parametrize("kind", MODELS)
def test_every_shipped_prompt_is_practised_right_after_the_media(kind: str) -> None:
    rng = random.Random(3)
    talk = Conversations(kind, rng)
    first = Counter(talk.turns(draw(kind, rng))[0].prompt for _ in range(400))
    for task in TASKS:
        assert first[shipped_prompt(task, kind)] >= 10
    beginning = shipped_prompt(ASK, kind).partition("{question}")[0]
    assert sum(count for prompt, count in first.items() if beginning in prompt) >= 20


@pytest.mark.parametrize("kind", MODELS)
def test_a_drill_asks_for_colours_that_are_there_and_for_others(kind: str) -> None:
    rng = random.Random(4)
    talk = Conversations(kind, rng)
    answers = Counter(turn.answer.partition(",")[0] for _ in range(50) for turn in talk.drill(draw(kind, rng)))
    assert answers["Yes"] >= 70
    assert answers["No"] >= 90


def prompts_for(kind: str) -> list[Path]:
    """What a model is asked that was taught to answer it."""
    over_time = (
        ("captions/window.md", "events/window.md") if kind == "video" else (f"{task}/merge.md" for task in MERGED)
    )
    return [BUILT_IN / task / f"{kind}.md" for task in (*TASKS, "ask")] + [BUILT_IN / name for name in over_time]


@pytest.mark.parametrize(("kind", "name"), MODELS.items())
def test_the_committed_tokenizers_know_the_words_of_the_prompts(kind: str, name: str) -> None:
    """Fails when a prompt was changed and the demo models were not taught anew (scripts/demo/train.py)."""
    tokenizer = Tokenizer.from_file(str(DEMO / name / "tokenizer.json"))
    (window,) = (engine.max_model_len for engine in load_profile("demo").engines if engine.name == name)
    for path in prompts_for(kind):
        prompt = read_prompt(path)
        tokens = tokenizer.encode(prompt.text).tokens
        words = len("".join(c if c.isalnum() or c == " " else f" {c} " for c in prompt.text).split())
        assert len(tokens) <= 1.1 * words + 5, path
        assert MOST_VIDEO_TOKENS + len(tokens) + prompt.max_tokens < window


def test_the_notes_on_ten_minutes_go_into_one_merge() -> None:
    tokenizer = Tokenizer.from_file(str(DEMO / MODELS["image"] / "tokenizer.json"))
    rng = random.Random(5)
    for _ in range(20):
        taken = films.notes(film := films.random_film(rng, 600), film.windows(10))
        lines = "\n".join(map(str, taken))
        assert len(lines) < MERGED_CHARACTERS
        for task, answer in MERGED.items():
            prompt = read_prompt(BUILT_IN / task / "merge.md")
            read = len(tokenizer.encode(prompt.text + lines).tokens)
            written = len(tokenizer.encode(answer(taken)).tokens)
            assert written < prompt.max_tokens
            assert read + prompt.max_tokens + 20 < load_profile("demo").engines[1].max_model_len
