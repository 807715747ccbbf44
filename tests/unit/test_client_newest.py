"""Which of several answers stands in the results, and what old ledgers still tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ledgers import identity_of
from result_runs import TEXTS, Run, read, sql, write

from client.endpoints.completion import Answer
from client.errors import LedgerError
from client.ledger.events import AnswerStored, TranslationsStored
from client.ledger.ledger import Ledger
from client.ledger.results import Results
from client.ledger.rows import StoredTranslation
from client.media.kinds import Kind
from client.record import UNFINISHED, worst_verdict
from client.sources.source import Source
from client.tasks.plan import UnitRequest
from client.tasks.units import whole

if TYPE_CHECKING:
    from pathlib import Path


def test_the_newest_answer_stands_and_a_wrong_clock_does_not_matter_between_runs(tmp_path: Path) -> None:
    write(tmp_path, Run(model="first", languages=("spa_Latn",)))
    sql(tmp_path, "UPDATE answers SET updated = updated + 1e6")
    write(tmp_path, Run(model="second", languages=("fra_Latn",)))
    (record,) = read(tmp_path)
    answer = record["tasks"]["describe"]
    assert (answer["model"], list(answer["translations"])) == ("second", ["fra_Latn"])
    assert sql(tmp_path, "SELECT DISTINCT model FROM captions") == [("second",)]


def test_after_a_way_back_to_earlier_settings_their_answers_stand_again(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.png"), model="first"), Run(("a.png", "b.png"), model="second"))
    write(tmp_path, Run(model="first"))
    assert [record["tasks"]["describe"]["model"] for record in read(tmp_path)] == ["first", "second"]
    assert sorted(sql(tmp_path, "SELECT file, model FROM captions")) == [("a.png", "first"), ("b.png", "second")]
    write(tmp_path, Run(tasks=("tags",), model="first"))  # which asks for no description: the newest stands
    assert [record["tasks"]["describe"]["model"] for record in read(tmp_path)] == ["second", "second"]


def test_copies_that_other_runs_named_show_what_each_asks(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.png"), model="first"), Run(model="second"))
    sql(tmp_path, "UPDATE sources SET sha256 = (SELECT sha256 FROM sources WHERE name = 'a.png')")
    assert [record["tasks"]["describe"]["model"] for record in read(tmp_path)] == ["second", "first"]


def test_prompts_of_old_ledgers_whose_text_is_lost(tmp_path: Path) -> None:
    """Each is taken for a question of its own where the task takes questions, else for the task."""
    write(tmp_path, Run(tasks=("tags",), questions=("Why?", "Who?")))
    sql(tmp_path, "UPDATE sources SET run = NULL")
    sql(tmp_path, "DELETE FROM prompts")
    sql(tmp_path, "UPDATE plans SET plan = '{}'")
    (record,) = read(tmp_path)
    assert list(record["tasks"]) == ["tags", "ask-1", "ask-2"]
    assert record["tasks"]["tags"]["text"] == TEXTS["tags"]  # how it was read is not known either
    assert "question" not in record["tasks"]["ask-1"]
    assert len(sql(tmp_path, "SELECT * FROM captions")) == 3
    # What is asked now comes after them, under numbers that nothing has yet; the prompt of tags is known again.
    write(tmp_path, Run(("b.mp4",), ("tags",), ("When?",), ("spa_Latn",)))
    first, second = read(tmp_path)
    assert list(first["tasks"]) == ["ask-1", "ask-2", "tags"]
    assert first["tasks"]["tags"]["tags"] == ["blue sky", "red car"]
    assert (list(second["tasks"]), second["tasks"]["ask-3"]["question"]) == (["tags", "ask-3"], "When?")


def test_lost_prompts_are_read_like_the_known_ones_of_their_task(tmp_path: Path) -> None:
    write(tmp_path, Run(tasks=("tags",)))
    lost = Run().plan.requests[Kind.IMAGE][0].prompt_hash
    sql(tmp_path, "UPDATE answers SET prompt_hash = ?", lost)
    assert read(tmp_path)[0]["tasks"]["tags"]["tags"] == ["blue sky", "red car"]


def test_languages_of_old_ledgers_have_columns_too(tmp_path: Path) -> None:
    write(tmp_path, Run(languages=("spa_Latn", "fra_Latn")))
    sql(tmp_path, "UPDATE plans SET plan = '{}'")
    with Results(tmp_path) as results:
        (topic,) = results.topics()
        assert (topic.key, topic.languages) == ("describe", ["fra_Latn", "spa_Latn"])


def test_a_plan_of_another_version_matters_to_the_last_run_alone(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.png")))
    sql(tmp_path, "UPDATE plans SET plan = '{}'")
    sql(tmp_path, "UPDATE sources SET finished = 0 WHERE name LIKE '%b.png'")
    assert [record["error"] for record in read(tmp_path)] == [None, UNFINISHED]
    with pytest.raises(LedgerError, match="written by another version"):
        Results(tmp_path, only_run=True)


def test_a_task_called_like_a_numbered_question_keeps_its_key(tmp_path: Path) -> None:
    write(tmp_path, Run(questions=("Why?", "Who?")))
    sql(tmp_path, "UPDATE answers SET task = 'ask-2' WHERE task = 'describe'")
    sql(tmp_path, "UPDATE prompts SET task = 'ask-2' WHERE task = 'describe'")
    (record,) = read(tmp_path)
    assert {key: answer.get("question") for key, answer in record["tasks"].items()} == {
        "ask-2": None,
        "ask-1": "Why?",
        "ask-2_": "Who?",
    }


@pytest.mark.parametrize(
    ("verdicts", "doubts", "counts", "worst"),
    [
        ({"ok": 2}, [], {"ok": 2}, "ok"),
        ({"ok": 2, "retried": 1}, [], {"ok": 2, "retried": 1}, "retried"),
        ({"ok": 2, "retried": 1, "doubtful": 1}, ["loops"], {"ok": 2, "retried": 1, "doubtful": 1}, "doubtful"),
        ({}, ["loops", "loops"], {"doubtful": 2}, "doubtful"),  # of an old ledger
        ({}, [], None, None),
    ],
)
def test_verdicts(
    tmp_path: Path, verdicts: dict[str, int], doubts: list[str], counts: dict[str, int] | None, worst: str | None
) -> None:
    it = Run()
    write(tmp_path, it)
    ledger = Ledger(tmp_path)
    (request,) = it.plan.requests[Kind.IMAGE]
    said = {"spa_Latn": StoredTranslation(["Palabras."], doubts, verdicts)}
    ledger.apply(TranslationsStored(UnitRequest(whole(identity_of("a.png").sha256), request), said))
    ledger.close()
    (record,) = read(tmp_path)
    assert record["tasks"]["describe"].get("translation_verdicts", {}).get("spa_Latn") == counts
    assert worst_verdict(counts) == worst
    assert sql(tmp_path, "SELECT verdict FROM captions WHERE language = 'spa_Latn'") == [(worst,)]
    reasons = ["describe: spa_Latn: doubtful translation: loops"] if doubts else []
    assert record["warnings"] == ["odd", *reasons]


def test_sources_named_twice_in_a_run_have_a_record_each(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "a.png")))
    assert [record["file"] for record in read(tmp_path)] == ["a.png", "a.png"]
    assert len(sql(tmp_path, "SELECT * FROM captions")) == 2
    write(tmp_path, Run(("a.png",)))
    assert len(sql(tmp_path, "SELECT * FROM captions")) == 2
    assert [record["file"] for record in read(tmp_path)] == ["a.png", "a.png"]
    assert [record["file"] for record in read(tmp_path, only_run=True)] == ["a.png"]


def test_an_answer_that_was_cut_off_says_where(tmp_path: Path) -> None:
    it = Run()
    write(tmp_path, it)
    (request,) = it.plan.requests[Kind.IMAGE]
    ledger = Ledger(tmp_path)
    cut = Answer("Words", "length", 1, 1, 0.1)
    ledger.apply(AnswerStored(UnitRequest(whole(identity_of("a.png").sha256), request), cut))
    ledger.close()
    limit = f"describe: the answer was cut off at {request.max_tokens} tokens (max_tokens)"
    assert read(tmp_path)[0]["warnings"] == ["odd", limit]


def test_a_source_keeps_its_name_of_the_last_run(tmp_path: Path) -> None:
    assert Source.local("a.png").uri == Source.local("./a.png").uri
    write(tmp_path, Run(("a.png",)))
    write(tmp_path, Run(("./a.png",)))
    assert [record["file"] for record in read(tmp_path)] == [Source.local("./a.png").name]
