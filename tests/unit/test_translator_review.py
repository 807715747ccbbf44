# ruff: noqa: RUF001  (Chinese commas)
"""What is done about a bad translation: the real batcher and checks, with scripted answers in the model's place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from translator_toy import Model, batching

from translator.batcher import Batcher
from translator.checks.checks import Thresholds
from translator.checks.review import Reviewed, Reviewer, with_checks
from translator.model.job import CUT, MAX_SOURCE_TOKENS, Job, Translation

LOOP = "Il court court court court court court."


def make_job(text: str, source: str, target: str) -> Job:
    return Job(text, source, target, tuple(text.split()))


def job(text: str, target: str = "fra_Latn") -> Job:
    return make_job(text, "eng_Latn", target)


@asynccontextmanager
async def reviewing(model: Model, **settings: Any) -> AsyncIterator[tuple[Reviewer, Batcher]]:
    async with batching(model, with_checks(model, Thresholds()), **settings) as batcher:
        yield Reviewer(make_job, batcher, Thresholds()), batcher


async def review(model: Model, *jobs: Job) -> list[Reviewed]:
    async with reviewing(model) as (reviewer, _):
        return await reviewer.translate(jobs)


async def test_only_what_is_flagged_is_tried_again_and_a_clean_try_says_why() -> None:
    def answer(asked: Job) -> Translation:
        return Translation("Il court vite." if asked.no_repeat or "dog" in asked.text else LOOP)

    model = Model(answer)
    good, retried = await review(model, job("The dog runs."), job("He runs fast."))
    assert good == Reviewed("Il court vite.")
    assert (retried.text, retried.verdict) == ("Il court vite.", "retried")
    assert retried.reason
    assert "loop: 'court' 6 times in a row" in retried.reason
    assert sorted((asked.text, asked.no_repeat) for asked in model.asked) == [
        ("He runs fast.", 0),
        ("He runs fast.", 4),
        ("The dog runs.", 0),
    ]


async def test_then_it_is_split_at_its_clauses() -> None:
    parts = {
        "A red car turns left at the corner,": "Une voiture rouge tourne à gauche au coin,",
        "and a small dog looks at it.": "et un petit chien la regarde.",
    }
    model = Model(lambda asked: Translation(parts.get(asked.text, LOOP)))
    (found,) = await review(model, job(" ".join(parts)))
    assert (found.text, found.verdict) == (" ".join(parts.values()), "retried")


async def test_the_ways_to_try_again_have_an_order_and_the_first_that_helps_is_the_last() -> None:
    sentence = "A red car turns left at the corner, and a small dog looks at it."
    first, second = "A red car turns left at the corner,", "and a small dog looks at it."
    parts = {first: "Une voiture rouge tourne à gauche au coin,", second: "et un petit chien la regarde."}

    def helps(attempt: int) -> Model:
        def answer(asked: Job) -> Translation:
            if asked.text in parts:
                return Translation(parts[asked.text] if attempt == 2 else LOOP)
            good = attempt == 0 or (attempt == 1 and asked.no_repeat)
            return Translation("Au coin, une voiture rouge tourne et un chien la regarde." if good else LOOP)

        return Model(answer)

    asked = [(sentence, 0), (sentence, 4), (first, 0), (second, 0)]
    for attempt, calls in ((0, asked[:1]), (1, asked[:2]), (2, asked), (3, asked)):
        model = helps(attempt)
        (found,) = await review(model, job(sentence))
        assert [(each.text, each.no_repeat) for each in model.asked] == calls
        assert found.verdict == ("ok", "retried", "retried", "doubtful")[attempt]
        assert found.text == {2: " ".join(parts.values()), 3: LOOP}.get(
            attempt, "Au coin, une voiture rouge tourne et un chien la regarde."
        )


async def test_what_is_too_long_with_its_full_stop_is_not_tried_again() -> None:
    """A run of letters that fills the model has one token more with a full stop."""

    def each_letter(text: str, source: str, target: str) -> Job:
        return Job(text, source, target, tuple(text))

    model = Model(lambda _: Translation(LOOP))
    async with batching(model, with_checks(model, Thresholds())) as batcher:
        asked = each_letter("A1" * (MAX_SOURCE_TOKENS // 2), "eng_Latn", "fra_Latn")
        (found,) = await Reviewer(each_letter, batcher, Thresholds()).translate([asked])
    assert found.verdict == "doubtful"


async def test_parts_are_joined_without_spaces_where_the_language_has_none() -> None:
    parts = {"A red car turns left at the corner,": "一辆红色汽车在拐角处左转，", "and a dog looks on.": "一只狗在看。"}
    model = Model(lambda asked: Translation(parts.get(asked.text, "左左左左左左左左")))
    (found,) = await review(model, job(" ".join(parts), "zho_Hans"))
    assert (found.text, found.verdict) == ("一辆红色汽车在拐角处左转，一只狗在看。", "retried")


@pytest.mark.parametrize(("long", "short", "likely"), [(-0.5, -5.0, True), (-2.4, -0.9, False)])
async def test_the_score_of_a_sentence_in_parts_is_that_of_its_tokens(long: float, short: float, likely: bool) -> None:
    parts = {  # of eight tokens and of two
        "A red car turns left at this corner,": Translation("Une voiture rouge tourne à gauche à ce coin,", score=long),
        "surprisingly slowly.": Translation("étonnamment lentement.", score=short),
    }
    (found,) = await review(Model(lambda asked: parts.get(asked.text, Translation(LOOP, (CUT,)))), job(" ".join(parts)))
    assert found.text == "Une voiture rouge tourne à gauche à ce coin, étonnamment lentement."
    assert (found.verdict == "retried") == likely
    assert likely or found.reason == "unlikely: mean log-probability below -2"


async def test_addresses_and_emoji_are_kept_out_of_the_models_hands() -> None:
    words = {"Visit our site": "Visitez notre site", "before you go": "avant de partir"}
    model = Model(lambda asked: Translation(words.get(asked.text, "Visitez notre site avant de partir")))
    (found,) = await review(model, job("Visit our site https://example.org/a 🎉 before you go"))
    assert (found.text, found.verdict) == ("Visitez notre site https://example.org/a 🎉 avant de partir", "retried")
    assert found.reason == "lost: https://example.org/a, 🎉"


async def test_figures_in_other_units_are_told_and_not_tried_again() -> None:
    model = Model(lambda _: Translation("C'est à 8 km d'ici."))
    (found,) = await review(model, job("It is 5 miles away."))
    assert (found.text, found.verdict, found.reason) == ("C'est à 8 km d'ici.", "ok", "units converted: 5")
    assert len(model.asked) == 1


async def test_a_fragment_is_tried_as_a_sentence() -> None:
    model = Model(lambda asked: Translation("Paysage urbain." if asked.text.endswith(".") else "u " * 30))
    (found,) = await review(model, job("urban landscape"))
    assert (found.text, found.verdict) == ("Paysage urbain", "retried")


@pytest.mark.parametrize(
    ("source", "said", "text"),
    [
        ("urban landscape", "Paysage urbain.", "Paysage urbain"),
        ("An urban landscape.", "Un paysage urbain.", "Un paysage urbain."),
        ("red car", "लाल कार।", "लाल कार"),
        ("cars, dogs and so on", "voitures, chiens, etc.", "voitures, chiens, etc."),
        ("the United States", "les U.S.", "les U.S."),
        ("and then", "et alors...", "et alors..."),
    ],
)
async def test_a_fragment_gets_no_full_stop(source: str, said: str, text: str) -> None:
    (found,) = await review(Model(lambda _: Translation(said)), job(source, "hin_Deva" if "ल" in text else "fra_Latn"))
    assert found.text == text


async def test_the_best_of_all_is_kept_and_its_issues_are_said() -> None:
    def answer(asked: Job) -> Translation:
        if asked.no_repeat:  # one issue
            return Translation("Il court pendant 7 km dans la grande forêt.", score=-1)
        return Translation(LOOP, (CUT,), -0.5)  # several

    (found,) = await review(Model(answer), job("He runs for 5 km through the big forest."))
    assert found.text == "Il court pendant 7 km dans la grande forêt."
    assert (found.verdict, found.reason) == ("doubtful", "numbers lost or changed: 5")


async def test_of_equally_bad_ones_the_likelier_is_kept() -> None:
    def answer(asked: Job) -> Translation:
        return Translation("Il court 7 km.", score=-0.3) if asked.no_repeat else Translation("Il court 9 km.", score=-1)

    (found,) = await review(Model(answer), job("He runs 5 km."))
    assert (found.text, found.verdict) == ("Il court 7 km.", "doubtful")


@pytest.mark.parametrize(
    "worse", [Translation("..."), Translation(""), Translation("He runs fast.", ("not translated: boom",), failed=True)]
)
async def test_nothing_and_what_failed_are_worse_than_any_issues(worse: Translation) -> None:
    for second in (True, False):
        model = Model(
            lambda asked, second=second: worse if bool(asked.no_repeat) == second else Translation(LOOP, (CUT,))
        )
        (found,) = await review(model, job("He runs fast."))
        assert (found.text, found.verdict) == (LOOP, "doubtful")


@pytest.mark.parametrize("nothing", ["", "...", " "])
async def test_a_sentence_does_not_vanish(nothing: str) -> None:
    (found,) = await review(Model(lambda _: Translation(nothing.strip())), job("A dog."))
    assert found.verdict == "doubtful"
    assert found.reason
    assert "empty" in found.reason
    assert found.text == (nothing.strip() or "A dog.")


async def test_what_the_engine_cannot_do_is_said_and_stays_in_its_language() -> None:
    (found,) = await review(
        Model(lambda asked: Translation(asked.text, ("not translated: boom",), failed=True)), job("A")
    )
    assert found == Reviewed("A", "doubtful", "not translated: boom")


async def test_a_verdict_is_kept_with_its_text() -> None:
    model = Model(lambda _: Translation(LOOP))
    async with reviewing(model) as (reviewer, _):
        first = await reviewer.translate([job("He runs, and she waits for him there.")])
        asked = len(model.asked)
        assert await reviewer.translate([job("He runs, and she waits for him there.")]) == first
    assert len(model.asked) == asked
    assert first[0].verdict == "doubtful"


async def test_a_text_made_to_fail_costs_three_times_one_that_does_not() -> None:
    model = Model(lambda _: Translation(LOOP))
    evil = job("a, " * 60 + "https://example.org/ " * 20)
    await review(model, evil)
    assert sum(len(asked.tokens) for asked in model.asked) <= 3 * len(evil.tokens)


async def test_a_full_queue_takes_the_retries_of_what_it_has_let_in() -> None:
    model = Model(lambda _: Translation(LOOP))
    async with reviewing(model, queue_limit=2) as (reviewer, _):
        found = await reviewer.translate(
            [job("One, two and three are all he counts, and then, he runs away."), job("b")]
        )
    assert [one.verdict for one in found] == ["doubtful"] * 2


async def test_closing_waits_for_the_retries() -> None:
    model = Model(lambda asked: Translation("Il court vite." if asked.no_repeat else LOOP))
    async with reviewing(model) as (reviewer, batcher):
        model.gate.clear()
        request = asyncio.create_task(reviewer.translate([job("He runs fast.")]))
        await model.is_running()
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        model.gate.set()
        (found,) = await request
        await closing
    assert found.verdict == "retried"
