"""Results that add up: what an output folder knows after several runs."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledgers import identity_of, write_run
from result_runs import QUESTIONS, TEXTS, Run, read, sql, write

from client.export.table import columns_of
from client.ledger.events import RequestFailed, SourceCompleted
from client.ledger.ledger import Ledger
from client.ledger.results import Results
from client.media.kinds import Kind
from client.record import UNFINISHED, worst_verdict
from client.sources.source import Source
from client.tasks.plan import UnitRequest
from client.tasks.units import whole


def some(*values: str, least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=least).map(tuple)


RUNS = st.lists(
    st.builds(
        Run,
        some("a.png", "b.mp4", "c.png", least=1),
        some("describe", "tags", "sentiment", least=1),
        some(*QUESTIONS),
        some("spa_Latn", "fra_Latn"),
        st.sampled_from(["first", "second"]),
    ),
    min_size=1,
    max_size=4,
)


def header(folder: Path) -> list[str]:
    with Results(folder) as results:
        return [column.name for column in columns_of(results)]


@settings(max_examples=40)
@given(RUNS)
@example(
    [
        Run(("b.mp4",), ("describe",), ("Why?", "Who?"), (), "first"),
        Run(("a.png",), ("describe",), ("Who?",), (), "first"),
    ]
)
def test_nothing_is_replaced_by_a_later_run(runs: list[Run]) -> None:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), *runs)
        found = {record["file"]: record["tasks"] for record in read(Path(name))}
    assert list(found) == list(dict.fromkeys(name for it in runs for name in it.names))
    topics = list(dict.fromkeys(topic for it in runs for topic in it.topics()))
    asked = [question for _, question in topics if question]
    keys = {
        (task, question): task if not question or len(asked) == 1 else f"ask-{asked.index(question) + 1}"
        for task, question in topics
    }
    for file, tasks in found.items():
        about = [it for it in runs if file in it.names]
        for topic, key in keys.items():
            models = list(dict.fromkeys(it.model for it in about if topic in it.topics()))
            assert (key in tasks) == bool(models)
            if models:
                model = about[-1].model if topic in about[-1].topics() else models[-1]
                languages = {
                    code for it in about if topic in it.topics() and it.model == model for code in it.languages
                }
                assert (tasks[key]["model"], tasks[key].get("question")) == (model, topic[1])
                assert set(tasks[key]["translations"]) == languages
    order = list(dict.fromkeys(code for it in runs for code in it.languages))
    for tasks in found.values():
        for answer in tasks.values():
            assert list(answer["translations"]) == [code for code in order if code in answer["translations"]]


@settings(max_examples=25)
@given(RUNS)
def test_the_last_run_alone_is_as_if_there_had_been_no_other(runs: list[Run]) -> None:
    with tempfile.TemporaryDirectory() as several, tempfile.TemporaryDirectory() as one:
        write(Path(several), *runs)
        write(Path(one), runs[-1])
        last, alone = read(Path(several), only_run=True), read(Path(one), only_run=True)
        if len(runs) == 1:
            assert read(Path(several)) == last
    for record in (*last, *alone):
        for answer in record["tasks"].values():
            del answer["answered_at"]
        del record["total_processing_time_sec"]
    assert last == alone


@settings(max_examples=25)
@given(RUNS)
def test_the_flat_view_tells_the_same(runs: list[Run]) -> None:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), *runs)
        seen = sql(Path(name), "SELECT file, task, question, language, text, verdict, model, answered_at FROM captions")
        found = read(Path(name))
    said: list[tuple[Any, ...]] = []
    for record in found:
        for key, answer in record["tasks"].items():
            head, tail = (Path(record["file"]).name, key.split("-")[0], answer.get("question")), answer["model"]
            said.append((*head, "eng_Latn", answer.get("raw", answer.get("text")), "ok", tail, answer["answered_at"]))
            for code, text in answer["translations"].items():
                verdict = worst_verdict(answer["translation_verdicts"][code])
                plain = ", ".join(text) if isinstance(text, list) else text
                said.append((*head, code, plain, verdict, tail, answer["answered_at"]))
    assert sorted(map(repr, seen)) == sorted(map(repr, said))


def test_the_video_of_a_live_photo_says_so_if_it_is_short(tmp_path: Path) -> None:
    write(tmp_path, Run(("b.mp4",)))
    assert "live_photo_of" not in read(tmp_path)[0]
    sql(tmp_path, "UPDATE sources SET live_photo_of = 'b.heic'")
    assert read(tmp_path)[0]["live_photo_of"] == "b.heic"
    sql(tmp_path, "UPDATE media SET facts = json_set(facts, '$.duration_sec', 5.1)")
    assert "live_photo_of" not in read(tmp_path)[0]


def test_an_answer_says_when_by_which_model_and_prompt(tmp_path: Path) -> None:
    it = Run(tasks=("tags",), model="looks")
    ledger = Ledger(tmp_path)
    ledger.close()
    write(tmp_path, it)
    sql(tmp_path, "UPDATE answers SET updated = 1790000000.9, request_s = 1.23456, tokens_per_s = 81.26")
    (record,) = read(tmp_path)
    answer = record["tasks"]["tags"]
    assert (answer["answered_at"], answer["model"]) == ("2026-09-21T14:13:20+00:00", "looks")
    assert answer["prompt"] == it.plan.requests[Kind.IMAGE][0].prompt_hash[:12]
    assert (answer["request_time_sec"], answer["tokens_per_sec"]) == (1.235, 81.3)
    assert "generation_time_sec" not in answer
    assert (answer["tags"], answer["original_order"]) == (["blue sky", "red car"], ["red car", "blue sky"])
    sql(tmp_path, "UPDATE answers SET tokens_per_s = NULL")
    assert read(tmp_path)[0]["tasks"]["tags"]["tokens_per_sec"] is None


def test_what_was_not_finished_or_failed_says_so_also_after_other_runs(tmp_path: Path) -> None:
    first = Run(("a.png", "b.png", "c.png"), ("describe", "tags"))
    write(tmp_path, first)
    requests = {request.key: request for request in first.plan.requests[Kind.IMAGE]}
    a, _, c = (identity_of(name).sha256 for name in first.names)
    ledger = Ledger(tmp_path)
    sql(tmp_path, "DELETE FROM answers WHERE unit IN (?, ?) AND task = 'tags'", a, c)
    sql(tmp_path, "UPDATE sources SET finished = 0 WHERE name LIKE '%a.png'")
    sql(tmp_path, "UPDATE sources SET problem = 'tags: no' WHERE name LIKE '%c.png'")
    ledger.apply(RequestFailed(UnitRequest(whole(c), requests["tags"]), "no", final=True))
    ledger.close()
    errors = [UNFINISHED, None, "tags: no"]
    assert [record["error"] for record in read(tmp_path)] == errors
    write(tmp_path, Run(("d.png",)))
    assert [record["error"] for record in read(tmp_path)] == [*errors, None]
    # A run that asks something else about the file does not hide what it lacks.
    write(tmp_path, Run(("c.png",)))
    again = "tags: no (in an earlier run; --redo failed tries again)"
    assert [record["error"] for record in read(tmp_path)] == [UNFINISHED, None, again, None]
    assert [record["error"] for record in read(tmp_path, only_run=True)] == [None]
    sql(tmp_path, "UPDATE answers SET state = 'pending' WHERE state = 'failed'")
    assert read(tmp_path)[2]["error"] == "tags: no (in an earlier run)"
    # A translation that is missing is missing.
    write(tmp_path, Run(("e.png",), languages=("spa_Latn",)))
    sql(tmp_path, "UPDATE sources SET finished = 0 WHERE name LIKE '%e.png'")
    assert read(tmp_path)[-1]["error"] is None
    sql(tmp_path, "DELETE FROM translations")
    assert read(tmp_path)[-1]["error"] == UNFINISHED


def test_a_failure_matters_where_nothing_was_answered(tmp_path: Path) -> None:
    later = Run(model="second")
    write(tmp_path, Run())
    ledger = Ledger(tmp_path)
    content = identity_of("a.png").sha256
    ledger.apply(RequestFailed(UnitRequest(whole(content), later.plan.requests[Kind.IMAGE][0]), "no", final=True))
    ledger.close()
    (record,) = read(tmp_path)
    assert (record["error"], record["tasks"]["describe"]["model"]) == (None, "first")
    sql(tmp_path, "DELETE FROM answers WHERE state = 'done'")
    assert read(tmp_path)[0]["error"] == "describe: no (in an earlier run; --redo failed tries again)"
    assert read(tmp_path, only_run=True)[0]["error"] is None


def test_a_run_that_came_to_nothing_adds_nothing(tmp_path: Path) -> None:
    """Neither a question that numbers the keys of others, nor columns, as of one whose model there is not."""
    write(tmp_path, Run(questions=("Why?",), languages=("spa_Latn",)))
    before = header(tmp_path)
    ledger = Ledger(tmp_path)
    refused = Run(tasks=("tags",), questions=("Who?",), languages=("deu_Latn",)).plan
    ledger.begin_run(refused, [Source.local("a.png")])
    assert header(tmp_path) == before
    assert list(read(tmp_path)[0]["tasks"]) == ["describe", "ask"]
    # What failed was asked: its question has a key, its languages have columns.
    request = refused.requests[Kind.IMAGE][-1]
    ledger.apply(RequestFailed(UnitRequest(whole(identity_of("a.png").sha256), request), "no", final=True))
    assert [name for name in header(tmp_path) if name.endswith("_Latn")] == [
        "describe_spa_Latn", "ask-1_spa_Latn", "ask-2_deu_Latn"
    ]  # fmt: skip
    # A run that only has to look at what is there is one that does something.
    ledger.apply(SourceCompleted(0, identity_of("a.png").sha256, None))
    ledger.begin_run(Run(languages=("fra_Latn",)).plan, [Source.local("a.png")])
    assert "describe_fra_Latn" not in header(tmp_path)
    ledger.apply(SourceCompleted(0, identity_of("a.png").sha256, None))
    assert "describe_fra_Latn" in header(tmp_path)
    ledger.close()


def test_messages_name_questions_whose_numbers_differ_from_run_to_run(tmp_path: Path) -> None:
    long = "What is it that all of these people\nare looking at in the end?"
    write(tmp_path, Run(questions=("Why?",)))
    ledger = Ledger(tmp_path)
    run = Run(questions=(long,))
    ledger.begin_run(run.plan, [Source.local("a.png")])
    ask = UnitRequest(whole(identity_of("a.png").sha256), run.plan.requests[Kind.IMAGE][-1])
    named = 'ask "What is it that all of these people are looking..."'
    assert (ask.request.key, ask.label) == ("ask", named)
    ledger.apply(RequestFailed(ask, "no", final=True))
    ledger.begin_run(Run().plan, [Source.local("a.png")])
    ledger.apply(SourceCompleted(0, identity_of("a.png").sha256, None))
    ledger.close()
    assert read(tmp_path)[0]["error"] == f"{named}: no (in an earlier run; --redo failed tries again)"


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.png")))
    sql(tmp_path, "UPDATE media SET error = 'no picture'")  # of a ledger of version 2, which did not keep outcomes
    sql(tmp_path, "UPDATE sources SET finished = 0 WHERE name LIKE '%b.png'")
    sql(tmp_path, "DELETE FROM answers")
    assert [record["error"] for record in read(tmp_path)] == ["no picture", "no picture"]
    assert [record["error"] for record in read(tmp_path, only_run=True)] == [None, "no picture"]


def test_a_file_that_nothing_was_asked_about_says_so(tmp_path: Path) -> None:
    plan = Run().plan
    write_run(tmp_path, replace(plan, requests={**plan.requests, Kind.VIDEO: []}), ["a.png", "b.mp4"], TEXTS)
    warning = "none of the tasks has a prompt for a file of kind video"
    assert [record["warnings"] for record in read(tmp_path)] == [["odd"], ["odd", warning]]
    assert [record["error"] for record in read(tmp_path)] == [None, None]
    # What another run asked about it stands there now, whatever the last one did.
    write(tmp_path, Run(("b.mp4",), ("tags",)))
    write_run(tmp_path, replace(plan, requests={**plan.requests, Kind.VIDEO: []}), ["b.mp4"], TEXTS)
    assert read(tmp_path)[1]["warnings"] == ["odd"]
    assert read(tmp_path, only_run=True)[0]["warnings"] == ["odd", warning]


def test_languages_stand_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    write(tmp_path, Run(languages=("spa_Latn",)), Run(languages=("fra_Latn",)), Run(languages=("spa_Latn",)))
    assert list(read(tmp_path)[0]["tasks"]["describe"]["translations"]) == ["spa_Latn", "fra_Latn"]
    assert list(read(tmp_path, only_run=True)[0]["tasks"]["describe"]["translations"]) == ["spa_Latn"]


def test_what_an_earlier_run_read_stays_when_it_cannot_be_read_any_more(tmp_path: Path) -> None:
    write(tmp_path, Run())
    sql(tmp_path, "UPDATE sources SET sha256 = NULL, problem = 'HTTP 404'")
    (record,) = read(tmp_path)
    assert (record["error"], record["kind"], list(record["tasks"])) == ("HTTP 404", "image", ["describe"])
    (record,) = read(tmp_path, only_run=True)
    assert (record["error"], record["kind"], list(record["tasks"])) == ("HTTP 404", None, [])


def test_files_that_are_gone_are_kept_and_marked(tmp_path: Path) -> None:
    here, gone = tmp_path / "here.png", tmp_path / "gone.png"
    for path in (here, gone):
        path.touch()
    output = tmp_path / "captions"
    write(output, Run((str(here), str(gone))))
    gone.unlink()
    write(output, Run(("other.png",)))
    assert [record.get("gone") for record in read(output)] == [None, True, None]
    assert read(output)[1]["tasks"]["describe"]["text"] == "Words."
    assert [bool(value) for (value,) in sql(output, "SELECT gone FROM captions ORDER BY file")] == [True, False, False]
    gone.touch()
    write(output, Run(("other.png",)))
    assert [record.get("gone") for record in read(output)] == [None, None, None]


def test_the_last_run_has_its_own_order(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.png")), Run(("c.png", "b.png", "a.png")))
    assert [record["file"] for record in read(tmp_path)] == ["a.png", "b.png", "c.png"]
    assert [record["file"] for record in read(tmp_path, only_run=True)] == ["c.png", "b.png", "a.png"]
