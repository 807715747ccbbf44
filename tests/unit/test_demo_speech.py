"""What the demo's speech model is taught, and that what is committed was taught that."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks.plan import HEARD, ask_of, make_plan
from client.tasks.steps import audio
from client.tasks.tasks import choose_tasks
from client.tasks.transcript import Said
from client.tasks.units import whole
from scripts.demo.world import films, scenes
from scripts.demo.world.lines import FORMS, VOICE, Line, all_lines, describe, is_held_out, random_line
from scripts.demo.world.translations import LANGUAGES, translate, translate_text

SEEN = {
    "sentiment": scenes.sentiment,
    "ad": scenes.ad,
    "count": scenes.count_answer,
    "opening": scenes.opening_answer,
    "ending": scenes.ending_answer,
}
"""Answers that what is said changes nothing about."""
DEMO = Path(__file__).resolve().parents[2] / "server" / "demo" / "whisper-large-v3-turbo"


def test_lines_are_said_once_and_some_of_each_longer_form_are_held_out() -> None:
    lines = all_lines()
    assert len(set(lines)) == len(lines)
    assert 0.08 < sum(map(is_held_out, lines)) / len(lines) < 0.16
    rng = random.Random(1)
    assert {is_held_out(random_line(rng, held_out=False)) for _ in range(50)} == {False}
    assert {is_held_out(random_line(rng, held_out=True)) for _ in range(50)} == {True}
    assert all("{}" in form for form in FORMS)


def test_each_line_has_one_translation_of_its_own_words() -> None:
    for language, phrases in LANGUAGES.items():
        told = [translate(line, language) for line in all_lines()]
        # The order of two colours, or a thing or its neighbour, is lost in no language.
        assert len(set(told)) == len(told)
        assert all(text.endswith(phrases.stop) and text.count(phrases.stop) == 1 for text in told)
    said = [Line("Aurora is here.", 0.2, 1.0), Line("Save ten percent this Friday.", 2.0, 3.8)]
    description = f"It shows red everywhere.\n\n{describe(said)}"
    assert translate_text(description, "deu_Latn").endswith(
        "\n\nEine Stimme sagt dies. Aurora ist da. Sparen Sie zehn Prozent diesen Freitag."
    )
    assert describe([]) == ""


def test_the_committed_tokenizer_has_a_token_for_each_word() -> None:
    """Fails when lines were changed and the model was not taught anew (scripts/demo/train_speech.py)."""
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    for line in all_lines():
        said = tokenizer.encode(f" {line}", add_special_tokens=False).tokens
        assert len(said) == len(line.split()) + 1, said  # and the full stop


def test_times_are_the_last_tokens_and_in_order() -> None:
    """VLLM compares tokens with that of 0.00."""
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    times = [tokenizer.token_to_id(f"<|{step / 50:.2f}|>") for step in range(501)]
    assert times == list(range(tokenizer.get_vocab_size() - 501, tokenizer.get_vocab_size()))


@pytest.fixture(scope="module")
def studio():  # type: ignore[no-untyped-def]
    """Heavy to import."""
    from scripts.demo.models.recordings import Studio  # noqa: PLC0415
    from scripts.demo.models.speech import build_processor  # noqa: PLC0415

    return Studio(build_processor(), 1, takes=8)


def test_a_recording_tells_where_its_lines_are(studio) -> None:  # type: ignore[no-untyped-def]
    studio.rng.seed(3)
    found = 0
    for _ in range(20):
        recording = studio.recording(10, 4)
        loud = np.abs(recording.samples) > 0.5 * np.abs(recording.samples).max()
        for line in recording.lines:
            inside = loud[int((line.start - recording.begin_s) * 16_000) : int((line.end - recording.begin_s) * 16_000)]
            found += bool(inside.any())
        ends = [time for line in recording.lines for time in (line.start, line.end)]
        assert ends == sorted(ends)
    assert found > 20


def test_what_is_learned_is_the_language_and_what_is_said(studio) -> None:  # type: ignore[no-untyped-def]
    studio.rng.seed(4)
    tokenizer = studio.tokenizer
    recording = next(r for r in iter(lambda: studio.recording(10, 2), None) if len(r.lines) == 2)
    tokens, labels = studio.row(recording, times=True)
    learned = tokenizer.decode([label for label in labels if label != -100])
    assert len(tokens) == len(labels)
    assert learned.startswith("<|en|>")
    assert learned.endswith("<|endoftext|>")
    plain = [label for label in studio.row(recording, times=False)[1] if label != -100]
    assert tokenizer.decode(plain, skip_special_tokens=True).strip() == " ".join(line.text for line in recording.lines)


def test_the_video_model_is_asked_what_the_client_asks() -> None:
    from scripts.demo.models.spoken import told  # noqa: PLC0415

    (video,) = [task.steps[Kind.VIDEO] for task in choose_tasks(["describe"], [])]
    models = {Kind.IMAGE: "p", Kind.VIDEO: "v"}
    plan = make_plan(choose_tasks(["describe"], []), models, 0.0, Sampling(), (), sound=audio())
    (request,) = plan.requests[Kind.VIDEO]
    said = [Line("Aurora is here.", 0.21, 1.0), Line("The new can is red.", 2.0, 3.8)]
    asked = ask_of(request, whole("0" * 64), [Said(line.start, line.end, line.text) for line in said])
    assert told(video[0].prompt.text, said) == asked.request.prompt


def test_the_video_model_learns_to_quote_what_is_said_and_to_mind_it_nowhere_else() -> None:
    from scripts.demo.models.spoken import SpokenTalk  # noqa: PLC0415

    talk = SpokenTalk(random.Random(5))
    beginning = HEARD.partition("{")[0]
    first, kinds = Counter[str](), Counter[str]()
    for clip, turns in (talk.drawn() for _ in range(200)):
        for number, turn in enumerate(turns):
            assert turn.prompt.count(beginning) == 1, "each turn is told, as in a conversation"
            lines = re.findall(r"^\[.* s\] (.*)$", turn.prompt, re.MULTILINE)
            assert 1 <= len(lines) <= 3
            quoted = f"{VOICE} {' '.join(lines)}"
            answers = {
                "describe": f"{scenes.describe(clip)}\n\n{quoted}",
                "quote": quoted,
                "caption": films.caption(clip),
                **{task: answer_of(clip) for task, answer_of in SEEN.items()},
            }
            (kind,) = [kind for kind, answer in answers.items() if turn.answer == answer][:1]
            kinds[kind] += 1
            first[kind] += number == 0
    assert set(kinds) == {"describe", "quote", "caption", *SEEN}
    assert all(first[kind] >= 5 for kind in kinds), "right after the video, too"


def test_both_voices_speak_without_silence_at_the_ends() -> None:
    from scripts.demo.voices import RATE, VOICES, Voice, say  # noqa: PLC0415

    said = [say("Aurora is here.", Voice(name)) for name in VOICES]
    assert not np.array_equal(said[0][:1000], said[1][:1000])
    for samples in said:
        assert samples.dtype == np.float32
        assert 0.5 < len(samples) / RATE < 1.5
        assert np.abs(samples[:160]).max() > 0.005
    with pytest.raises(ValueError, match="no voice"):
        say("Aurora is here.", Voice("nobody"))
    slow, fast = (len(say("Aurora is here.", Voice(words_a_minute=speed))) for speed in (140, 200))
    assert slow > 1.2 * fast
