# ruff: noqa: RUF001  (signs of many scripts)
"""`babelview search`: in all scripts, with any query, beside a run."""

from __future__ import annotations

import json
import re
import sqlite3
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import identity_of, plan_of, write_run
from report_ledgers import FACTS, Shown, write_shown

from client.cli.main import main
from client.ledger.ledger import LEDGER, Ledger
from client.ledger.results import Results
from client.media.kinds import Kind
from client.search.find import SNIPPET, search, snippet
from client.search.index import NAME, Index, texts_of
from client.search.tokens import parse, spans

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {
    "car.png": "A red car parks. Größe: L. The Autobahn is empty. déjà vu",
    "cards.png": "Red cards lie on a table beside a cart.",
    "zh.png": "一个人骑自行车在海边的路上，天空很蓝。",
    "ja.png": "海辺の道を自転車で走る人。カメラも見える。",
    "th.png": "ผู้หญิงขี่จักรยานริมทะเล",
    "hi.png": "एक महिला समुद्र के किनारे साइकिल चला रही है।",
    "ar.png": "سَيّارَة حمراء بجانب البحر",
    "ko.png": "여자가 바닷가에서 자전거를 탄다.",
    "ru.png": "Ёлка стоит у дороги",
}

QUERIES = [
    *('"', '""', "'", "(", "a)", "NEAR(", "a AND", "OR", "NOT", "-", "--", "-a", "*", "a*", "^a", "text:a", "{a}: b"),
    *(
        "\x00",
        "a\x00b",
        '"a" + "b',
        "\ud800",
        "🚗",
        "a OR OR b",
        'a"b',
        'a"b"c',
        "; DROP TABLE words",
        "ö" * 5000,
        "।",
        "%",
        "_",
        "\\",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a text of each script."""
    folder = tmp_path_factory.mktemp("out")
    for name, text in TEXTS.items():
        write_run(folder, plan_of(["describe"], ()), [name], {"describe": text})
    with Results(folder) as results, Index(folder, results):
        return folder


def found(folder: Path, query: str, **options: str) -> list[str]:
    with Results(folder) as results, Index(folder, results) as index:
        return [Path(hit.file).name for hit in search(index, query, **options).hits]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("red car", ["car.png", "cards.png"]),
        ("car", ["car.png", "cards.png"]),
        ('"red car"', ["car.png"]),
        ("RED -table", ["car.png"]),
        ("red NOT table", ["car.png"]),
        ("autobahn OR table", ["car.png", "cards.png"]),
        ("grosse", ["car.png"]),
        ("größe", ["car.png"]),
        ("grose", []),
        ("groß", ["car.png"]),
        ("deja", ["car.png"]),
        ("auto", ["car.png"]),
        ('"auto"', []),
        ("海", ["zh.png", "ja.png"]),
        ("自行车", ["zh.png"]),
        ("行车", ["zh.png"]),
        ("自转", []),
        ("自転車 海辺", ["ja.png"]),
        ("ｶﾒﾗ", ["ja.png"]),
        ('"自転車で走る"', ["ja.png"]),
        ("路", ["zh.png"]),
        ("蓝", ["zh.png"]),
        ("จักรยาน", ["th.png"]),
        ("ทะเล", ["th.png"]),
        ("महिला", ["hi.png"]),
        ("साइकिल समुद्र", ["hi.png"]),
        ("मह", ["hi.png"]),
        ("ल", []),
        ("سيارة", ["ar.png"]),
        ("자전거", ["ko.png"]),
        ("елка", ["ru.png"]),
    ],
)
def test_texts_of_all_scripts_are_found(folder: Path, query: str, names: list[str]) -> None:
    assert sorted(found(folder, query)) == sorted(names)


def test_what_is_whole_comes_first(folder: Path) -> None:
    assert found(folder, "car") == ["car.png", "cards.png"]
    assert found(folder, "cards OR table")[0] == "cards.png"


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_is_an_error(folder: Path, query: str) -> None:
    found(folder, query)


def test_a_quote_within_a_word_is_no_syntax() -> None:
    assert parse('a"b').expression() == '(("a b" OR "a b" *))'
    assert parse('x "y OR').expression() == '(("x" OR "x" *)) AND ("y or")'


@given(st.text(max_size=40))
@settings(max_examples=150)
def test_no_text_is_an_error_as_a_query(folder: Path, query: str) -> None:
    connection = sqlite3.connect(folder / NAME)
    if expression := parse(query).expression():
        connection.execute("SELECT count(*) FROM words WHERE words MATCH ?", (expression,)).fetchone()
    connection.close()


@given(st.text(max_size=400), st.text(max_size=20))
@settings(max_examples=150)
def test_a_snippet_is_short_and_marked_within(text: str, query: str) -> None:
    shown, marks = snippet(text, parse(query))
    assert len(shown) <= SNIPPET + 4
    assert all(0 <= start < end <= len(shown) for start, end in marks)


def test_a_snippet_shows_where_the_words_are() -> None:
    shown, marks = snippet("grass " * 100 + "a red car " + "sky " * 100, parse("red car"))
    assert [shown[start:end] for start, end in marks] == ["red", "car"]
    assert shown.startswith("… grass")
    assert shown.endswith("sky …")
    text = "海辺の道を自転車で走る人"
    assert [text[start:end] for start, end in spans(text, parse("自転車"))] == ["自転車"]


def test_moments_have_their_times(tmp_path: Path) -> None:
    windows = [(0.0, 4.5, "A bird.", {"spa_Latn": "Un pájaro."}), (4.5, 9.0, "A logo.", {"spa_Latn": "Un logotipo."})]
    film = Shown("film.mp4", Kind.VIDEO, FACTS, windows={"captions": windows})
    write_shown(tmp_path, [film], ["captions"], ("spa_Latn",))
    with Results(tmp_path) as results, Index(tmp_path, results) as index:
        (hit,) = search(index, "logo").hits
    assert {(match.language, match.start_s, match.end_s) for match in hit.matches} == {
        ("eng_Latn", 4.5, 9.0),
        ("spa_Latn", 4.5, 9.0),
    }


def test_what_was_heard_is_found_in_its_own_language() -> None:
    heard = {"start": 0.0, "end": 2.0, "text": "Guten Tag.", "data": {"language": "deu_Latn", "words": [{"word": "x"}]}}
    chapter = {"start": 2.0, "end": 4.0, "text": "Dawn", "title": "Dawn", "data": {"mood": "calm"}}
    segments = [heard | {"translations": {"eng_Latn": "Good day."}}, chapter]
    texts = list(texts_of({"tasks": {"transcript": {"segments": segments, "translations": {}}}}))
    assert [(said.language, said.text) for said in texts] == [
        ("deu_Latn", "Guten Tag."),
        ("eng_Latn", "Good day."),
        ("eng_Latn", 'Dawn {"mood":"calm"}'),
    ]


def test_only_what_has_changed_is_indexed_anew(tmp_path: Path) -> None:
    plan = plan_of(["describe"], ("spa_Latn",))
    write_run(tmp_path, plan, ["a.png", "b.png"], {"describe": "One."})
    assert refreshed(tmp_path) == 2
    assert refreshed(tmp_path) == 0
    write_run(tmp_path, plan, ["a.png", "b.png", "c.png"], {"describe": "One."})
    assert refreshed(tmp_path) == 1, "a run that asks the same of the same changes nothing"
    with sqlite3.connect(tmp_path / LEDGER) as ledger:
        unit = identity_of("b.png").sha256
        ledger.execute(
            "UPDATE translations SET texts = '[\"Dos.\"]' WHERE answer IN (SELECT id FROM answers WHERE unit = ?)",
            (unit,),
        )
    ledger.close()
    assert refreshed(tmp_path) == 1
    assert found(tmp_path, "dos") == ["b.png"]
    assert sorted(found(tmp_path, "spa_Latn")) == ["a.png", "c.png"], "what stood there before is no longer found"
    write_run(tmp_path, plan_of(["describe", "tags"], ("spa_Latn",)), ["a.png"], {"tags": '["sea"]'})
    assert found(tmp_path, "sea", task="tags") == ["a.png"]


def test_what_is_called_otherwise_by_a_later_run_is_found_under_its_new_name(tmp_path: Path) -> None:
    first, second = (str(tmp_path / name) for name in ("a.png", "b.png"))
    Path(first).touch()  # it is not gone: nothing about it changes but the name of its answer
    write_run(tmp_path, plan_of([], (), "Who is it?"), [first], {"ask": "A woman."})
    assert found(tmp_path, "woman", task="ask") == ["a.png"]
    write_run(tmp_path, plan_of([], (), "Where is it?"), [second], {"ask": "At the sea."})
    assert found(tmp_path, "woman", task="ask-1") == ["a.png"]
    assert found(tmp_path, "sea", task="ask-2") == ["b.png"]


def test_a_snippet_is_where_most_of_the_query_is() -> None:
    rest = "some other words " * 30
    shown, marks = snippet(f"A car. {rest} The red car stops. {rest} A car.", parse("red car"))
    assert "The red car stops." in shown
    assert len(marks) == 2


def test_a_task_or_a_language_alone_is_searched(tmp_path: Path) -> None:
    plan = plan_of(["describe", "tags"], ("spa_Latn",))
    write_run(tmp_path, plan, ["a.png"], {"describe": "The sea."})
    write_run(tmp_path, plan, ["b.png"], {"describe": "A hill.", "tags": '["sea"]'})
    assert found(tmp_path, "sea", task="tags") == ["b.png"]
    assert found(tmp_path, "sea", task="describe") == ["a.png"]
    assert found(tmp_path, "spa_Latn", language="eng_Latn") == []


def test_what_the_ledger_no_longer_knows_is_not_found(tmp_path: Path) -> None:
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png", "b.png"], {"describe": "One."})
    assert found(tmp_path, "one") == ["a.png", "b.png"]
    with sqlite3.connect(tmp_path / LEDGER) as ledger:  # as a run does that is taken back
        ledger.execute("DELETE FROM sources WHERE name = 'a.png'")
    ledger.close()
    assert found(tmp_path, "one") == ["b.png"]


def refreshed(folder: Path) -> int:
    with Results(folder) as results, Index(folder, results) as index:
        return index.refreshed


def test_a_search_neither_waits_for_a_run_nor_holds_it_up(tmp_path: Path) -> None:
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "One."})
    ledger = Ledger(tmp_path)
    with sqlite3.connect(tmp_path / LEDGER, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert found(tmp_path, "one") == ["a.png"]
        other.execute("ROLLBACK")
    other.close()
    with Results(tmp_path) as results, Index(tmp_path, results):
        ledger.begin_run(plan_of(["describe"], ()), [])
    ledger.close()


@pytest.mark.parametrize("spoil", ["damaged", "folder", "older"])
def test_an_index_that_cannot_be_used_is_made_anew(tmp_path: Path, spoil: str) -> None:
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "One."})
    found(tmp_path, "one")
    if spoil == "folder":  # as if nothing could be written
        (tmp_path / NAME).unlink()
        (tmp_path / NAME).mkdir()
    elif spoil == "older":
        with sqlite3.connect(tmp_path / NAME) as index:
            index.execute("PRAGMA user_version = 99")
        index.close()
    else:
        (tmp_path / NAME).write_bytes(b"SQLite format 3\x00" + b"x" * 9000)
    assert found(tmp_path, "one") == ["a.png"]


async def test_datasette_shows_facets_and_searches_as_documented(folder: Path) -> None:
    datasette = import_module("datasette.app").Datasette
    found(folder, "car")
    documented = re.search(r"```yaml\n(databases:.*?)```", (ROOT / "docs" / "output.md").read_text(), re.DOTALL)
    assert documented
    metadata = yaml.safe_load(documented[1])
    browser = datasette([str(folder / LEDGER), str(folder / NAME)], metadata=metadata)
    faceted = (await browser.client.get("/ledger/captions.json")).json()
    assert {facet["name"] for facet in faceted["facet_results"].values()} >= {"task", "language", "verdict"}
    searched = (await browser.client.get("/search/texts.json?_search=red+autobahn&_shape=objects&_labels=on")).json()
    assert [row["text"] for row in searched["rows"]] == [TEXTS["car.png"]]
    assert searched["rows"][0]["source"]["label"] == "car.png"
    assert {facet["name"] for facet in searched["facet_results"].values()} >= {"key", "language"}


def test_the_command_says_by_its_exit_code(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["search", "red car", str(folder)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:2] == [
        "car.png  (gone)",
        "  describe eng_Latn: A red car parks. Größe: L. The Autobahn is empty. déjà vu",
    ]
    assert shown.err == "2 files\n"
    assert main(["search", "red", str(folder), "--limit", "1"]) == 0
    assert capsys.readouterr().err == "2 files, 1 not shown: --limit\n"
    assert main(["search", "autobahn", str(folder), "--task", "describe"]) == 0
    assert capsys.readouterr().err == "1 file\n"
    assert main(["search", "zeppelin", str(folder)]) == 1
    assert main(["search", "--json", "--", "-x", str(folder)]) == 1
    assert json.loads(capsys.readouterr().out) == {"query": "-x", "files": 0, "hits": []}
    assert main(["search", "red", str(folder), "--task", "descrbe"]) == 2
    assert "--task descrbe (did you mean describe?): there are no such texts" in capsys.readouterr().err
    assert main(["search", "red", str(folder), "--language", "spa"]) == 2
    assert "there are: eng_Latn" in capsys.readouterr().err
    assert main(["search", "red", str(tmp_path / "none")]) == 2
