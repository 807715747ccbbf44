"""The engine on the demo model, without HTTP."""

from dataclasses import replace
from pathlib import Path

import ctranslate2
import pytest

from scripts.demo.world.scenes import all_sentences
from scripts.demo.world.translations import LANGUAGES, translate
from translator.checks.checks import Thresholds
from translator.checks.review import with_checks
from translator.errors import ModelError
from translator.model.engine import Engine, choose
from translator.model.job import CUT, MAX_SOURCE_TOKENS, Job
from translator.text.placement import Mark, place


@pytest.fixture(scope="module")
def engine(demo_translator: Path) -> Engine:
    return Engine(demo_translator, device="cpu", threads=1)


def job(engine: Engine, text: str, target: str) -> Job:
    return Job(text, "eng_Latn", target, engine.tokenize(text))


@pytest.mark.parametrize("control", ["</s>", "<s>", "<pad>", "<unk>", "<mask>", "fra_Latn", "eng_Latn"])
def test_what_looks_like_a_control_token_is_tokenized_as_text(engine: Engine, control: str) -> None:
    tokens = engine.tokenize(f"red {control} blue{control}")
    assert control in engine.vocabulary
    assert control not in tokens
    assert "".join(tokens).replace("▁", " ") == f" red {control} blue{control}"


def test_languages_mix_in_one_batch(engine: Engine) -> None:
    jobs = [job(engine, "two scenes", code) for code in ("spa_Latn", "hin_Deva", "jpn_Jpan")]
    assert [said.text for said in engine.translate(jobs)] == [translate("two scenes", j.target) for j in jobs]


def test_scripts_leave_translations_as_they_are_and_bind_others_to_them(demo_translator: Path, engine: Engine) -> None:
    latin = Engine(demo_translator, device="cpu", threads=1, scripts=("Latn",))
    english = list(all_sentences())[::5]
    jobs = [latin.job(text, "eng_Latn", "fra_Latn") for text in english]
    assert not any(each.whole for each in jobs)
    for each in {job.batch_class for job in jobs}:
        batch = [job for job in jobs if job.batch_class == each]
        assert [said.text for said in latin.translate(batch)] == [said.text for said in engine.translate(batch)]
    # Not into a script that was not chosen, nor from one: these have the whole vocabulary, and a batch of their own.
    hindi, kept = latin.job("two scenes", "eng_Latn", "hin_Deva"), latin.job("red 赤", "eng_Latn", "fra_Latn")
    assert hindi.whole
    assert kept.whole
    assert hindi.batch_class != jobs[0].batch_class
    assert latin.translate([hindi])[0].text == translate("two scenes", "hin_Deva")
    # What the map rules out is ruled out: asked for Hindi with Latin tokens alone, the model cannot say it.
    (bound,) = latin.translate([replace(hindi, whole=False)])
    assert not any("\u0900" <= c <= "\u097f" for c in bound.text)


def test_where_no_part_can_be_searched_all_is(demo_translator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, use_vmap: bool, **__: object) -> None:
        raise RuntimeError("Can't select pre-packed weight")

    with monkeypatch.context() as patch:
        patch.setattr(ctranslate2.Translator, "translate_batch", refuse)
        engine = Engine(demo_translator, device="cpu", threads=1, scripts=("Latn",))
    job = engine.job("two scenes", "eng_Latn", "fra_Latn")
    assert job.whole
    assert engine.translate([job])[0].text == "deux scènes"


def test_right_translations_are_not_flagged(engine: Engine) -> None:
    jobs = [job(engine, text, code) for text in all_sentences()[::7] for code in LANGUAGES]
    for each in {job.batch_class for job in jobs}:
        batch = [job for job in jobs if job.batch_class == each]
        said = with_checks(engine.translate, Thresholds())(batch)
        right = [
            result
            for asked, result in zip(batch, said, strict=True)
            if result.text == translate(asked.text, asked.target)
        ]
        assert len(right) >= 0.99 * len(batch)
        assert [result for result in right if result.issues] == []


def test_compute_types_are_chosen_and_checked() -> None:
    assert choose("cpu", "auto") == ("cpu", "int8")
    assert choose("auto", "float32")[1] == "float32"
    with pytest.raises(ModelError, match=r"cpu does not compute in int7 here: use auto, float32, .*int8\b"):
        choose("cpu", "int7")
    with pytest.raises(ModelError, match="no device tpu"):
        choose("tpu", "auto")


class TooLong(Job):
    """A sentence beyond the model's positions, which the service would have cut before."""

    __slots__ = ()

    @property
    def length_class(self) -> int:
        return MAX_SOURCE_TOKENS


def test_one_bad_row_does_not_lose_the_batch(engine: Engine) -> None:
    good = job(engine, "two scenes", "fra_Latn")
    bad = TooLong("red" * 2000, "eng_Latn", "fra_Latn", ("▁red",) * 2000)
    first, second, third = engine.translate([good, bad, good])
    assert first.text == third.text == "deux scènes"
    assert first.issues == third.issues == ()
    assert second.text == bad.text
    assert second.failed
    assert second.issues[0].startswith("not translated")


def test_a_translation_that_was_cut_says_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translator.model.engine.ANSWER_TOKENS", {32: 3})
    (said,) = engine.translate([job(engine, "It opens with red everywhere.", "fra_Latn")])
    assert said.issues == (CUT,)


def test_alternatives_are_those_of_the_beam_and_change_nothing_about_the_best(engine: Engine) -> None:
    one = job(engine, "It shows red on the left and blue on the right.", "fra_Latn")
    (alone,), (best,) = engine.translate([one]), engine.translate([replace(one, hypotheses=9)])
    assert (best.text, alone.alternatives) == (alone.text, ())
    assert best.score == pytest.approx(alone.score, abs=0.01)
    assert 1 <= len(set(best.alternatives)) == len(best.alternatives) <= 3
    assert best.text not in best.alternatives
    assert not any(other.startswith("fra_Latn") or other.endswith("</s>") for other in best.alternatives)


@pytest.mark.parametrize("language", LANGUAGES)
def test_attention_says_where_tags_go(engine: Engine, language: str) -> None:
    text = "It shows red on the left and blue on the right."
    (said,) = engine.translate([replace(job(engine, text, language), align=True)])
    marks = [Mark(9, "<b>", 12, "</b>"), Mark(29, "<i>", 33, "</i>")]
    written = "".join(
        part.plain if part.written is None else part.written for part in place(text, said.text, marks, said.anchors)
    )
    red, blue = (LANGUAGES[language].colours[colour] for colour in ("red", "blue"))
    assert red[:2] in written.split("<b>")[1].split("</b>")[0]
    assert blue[:2] in written.split("<i>")[1].split("</i>")[0]
