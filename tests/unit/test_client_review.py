"""Answers that are no captions are asked for once more, the better one is kept, and what is doubtful says so."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from aiohttp import web
from batch_runs import pictures, results, run
from fake_servers import completion, error, what_is_seen

from client.export.formats import FORMATS, export
from client.ledger.ledger import LEDGER

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

CAR = "A red car drives along the sea at dusk."
REFUSAL = "I'm sorry, but I can't help with identifying people."
LOOP, LONGER_LOOP = "A car, red red red red red red.", "red " * 50
SPANISH = "Una casa blanca con un tejado gris y un jardín lleno de flores rojas frente al mar."
OPTIONS = ("ads", "--languages", "")


ANSWERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"content": CAR}, {}),
    ({"content": REFUSAL}, {"content": CAR}),
    ({"content": LONGER_LOOP}, {"content": LOOP}),
    ({"content": f"<think>Hm, red.</think>\n{CAR}"}, {}),
    ({"content": "<think>Hm, red."}, {"content": "<think>Hm, blue."}),
    ({"content": None, "refusal": "No."}, {"content": CAR}),
    ({"content": None, "refusal": "No."}, {"content": "", "refusal": "Never."}),
    ({"content": CAR, "reasoning_content": "Hm, green."}, {}),
    ({"content": LOOP}, {"error": "no penalties here"}),
    ({"content": SPANISH}, {"content": CAR}),
    ({"content": LOOP}, {"content": REFUSAL}),
    ({"content": None, "reasoning": "Hm, grey."}, {"content": CAR}),
]
"""What is said of each picture, first and then."""
VERDICTS = {0: "ok", 1: "retried", 2: "doubtful", 3: "ok", 5: "retried", 7: "ok", 8: "doubtful", 9: "doubtful"}
VERDICTS |= {10: "doubtful", 11: "retried"}


async def answer(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
    message = ANSWERS[int(what_is_seen(body))]["seed" in body]
    if "error" in message:
        return error(400, message["error"])
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def test_what_is_no_caption_is_asked_for_once_more(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = answer
    pictures(tmp_path / "ads", len(ANSWERS))
    done = run(servers, *OPTIONS, "--concurrency", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "4 answers are doubtful" in done.stderr
    files = results(tmp_path)["files"]
    found = {number: file["tasks"]["describe"] for number, file in enumerate(files) if file["tasks"]}
    assert {number: task["verdict"] for number, task in found.items()} == VERDICTS
    # The better one is kept.
    texts = {number: task["text"] for number, task in found.items()}
    assert texts == dict.fromkeys((0, 1, 3, 5, 7, 11), CAR) | {2: LONGER_LOOP.strip(), 8: LOOP, 9: SPANISH, 10: LOOP}
    # Reasoning stands beside it.
    thoughts = {number: task["reasoning"] for number, task in found.items() if "reasoning" in task}
    assert thoughts == {3: "Hm, red.", 7: "Hm, green."}
    assert found[1]["reasons"] == [f"refusal: {REFUSAL}"]
    assert found[2]["reasons"] == ["loop: 'red' 50 times in a row"]
    assert files[8]["warnings"] == ["describe: doubtful answer: loop: 'red' 6 times in a row"]
    assert "in Spanish, where the prompt is in English" in found[9]["reasons"][0]
    assert "reasons" not in found[0]
    assert "reasoning and no answer: give it more room" in files[4]["error"]
    assert "the model refuses to answer: No." in files[6]["error"]
    # With another seed, and a penalty where it loops.
    again = {what_is_seen(body): body for body in servers.asked if "seed" in body}
    assert sorted(map(int, again)) == [1, 2, 4, 5, 6, 8, 10, 11]
    assert {number for number in again if "frequency_penalty" in again[number]} == {"2", "8", "10"}
    assert {body["temperature"] for body in again.values()} == {0.7}
    stats = results(tmp_path)["stats"]
    assert (stats["answers_retried"], stats["answers_doubtful"]) == (3, 4)
    assert stats["generated_tokens"] == 7 * 14  # all that was given, also what was not kept

    # In the ledger and in every export.
    with sqlite3.connect(tmp_path / "captions" / LEDGER) as ledger:
        rows = dict(ledger.execute("SELECT file, verdict FROM captions").fetchall())
        (kept,) = ledger.execute("SELECT COUNT(*) FROM answers WHERE reasoning IS NOT NULL").fetchone()
    ledger.close()
    assert rows == {f"ads/{number:04d}.png": verdict for number, verdict in VERDICTS.items()}
    assert kept == 2
    export(tmp_path / "captions", FORMATS)
    reference = json.loads((tmp_path / "captions" / "results_reference.json").read_bytes())
    assert [file.get("description_verdict") for file in reference] == [VERDICTS.get(n) for n in range(len(ANSWERS))]

    # What is doubtful, and nothing else, is asked again when told to.
    servers.asked.clear()
    servers.on_ask = None
    assert "--redo doubtful" in run(servers, *OPTIONS, "--redo", "doubtfull", cwd=tmp_path).stderr
    run(servers, *OPTIONS, "--redo", "doubtful", cwd=tmp_path)
    assert sorted(int(what_is_seen(body)) for body in servers.asked) == [2, 8, 9, 10]
    files = results(tmp_path)["files"]
    assert {files[number]["tasks"]["describe"]["verdict"] for number in (2, 8, 9, 10)} == {"ok"}
    servers.asked.clear()
    run(servers, *OPTIONS, "--redo", "doubtful", cwd=tmp_path)
    assert servers.asked == []


def test_one_try_is_enough_where_the_user_says_so(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = answer
    pictures(tmp_path / "ads", len(ANSWERS))
    assert run(servers, *OPTIONS, "--ask-once", cwd=tmp_path).returncode == 1
    assert len(servers.asked) == len(ANSWERS)
    files = results(tmp_path)["files"]
    verdicts = {number: file["tasks"]["describe"]["verdict"] for number, file in enumerate(files) if file["tasks"]}
    doubtful = dict.fromkeys((1, 2, 8, 9, 10), "doubtful")
    assert verdicts == {number: doubtful.get(number, "ok") for number in (0, 1, 2, 3, 7, 8, 9, 10)}
    assert "refuses to answer: No." in files[5]["error"]
    assert "reasoning and no answer" in files[11]["error"]


def test_answers_of_an_earlier_version_are_judged_when_it_is_brought_up_to_date(
    servers: FakeServers, tmp_path: Path
) -> None:
    pictures(tmp_path / "ads", 3)
    assert run(servers, *OPTIONS, cwd=tmp_path).returncode == 0
    path = tmp_path / "captions" / LEDGER
    with sqlite3.connect(path) as ledger:  # as version 6 left it
        ledger.execute("UPDATE answers SET text = ? WHERE text = 'I see 1'", (REFUSAL,))
        ledger.execute("DROP VIEW captions")
        for column in ("verdict", "reasons", "reasoning"):
            ledger.execute(f"ALTER TABLE answers DROP COLUMN {column}")
        ledger.execute("ALTER TABLE sources DROP COLUMN live_photo_of")
        ledger.execute("DROP TABLE edits")
        ledger.execute("DROP TABLE reviews")
        ledger.execute("CREATE VIEW captions AS SELECT 1")
        ledger.execute("PRAGMA user_version = 6")
    ledger.close()
    export(tmp_path / "captions", ["json"])
    found = [file["tasks"]["describe"] for file in results(tmp_path)["files"]]
    assert [task["verdict"] for task in found] == ["ok", "doubtful", "ok"]
    servers.asked.clear()
    assert run(servers, *OPTIONS, "--redo", "doubtful", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 1


def test_a_second_try_that_breaks_leaves_the_first_answer(servers: FakeServers, tmp_path: Path) -> None:
    async def break_off(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return error(404, "gone") if "seed" in body else completion(LOOP)

    servers.on_ask = break_off
    pictures(tmp_path / "ads", 1)
    assert run(servers, *OPTIONS, cwd=tmp_path).returncode == 0
    task = results(tmp_path)["files"][0]["tasks"]["describe"]
    assert (task["text"], task["verdict"]) == (LOOP, "doubtful")
