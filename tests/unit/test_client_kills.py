"""240 files and six `kill -9`s: what is asked again is what was in flight, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import sqlite3
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from batch_runs import pictures, results, run, start, wait_until
from fake_servers import completion

from client.pipeline import TRANSLATIONS_AT_ONCE

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

FILES, KILLS, CONCURRENCY = 240, 6, 32


def name_of(body: dict[str, Any]) -> str:
    """What stands for a file: a hash of its picture."""
    url: str = body["messages"][0]["content"][0]["image_url"]["url"]
    return hashlib.sha256(url.encode()).hexdigest()


def committed(output: Path) -> tuple[set[str], set[str]]:
    """The answers, and the texts that are translated, as a killed run left them in its ledger."""
    if not (output / "ledger.db").exists():
        return set(), set()
    with sqlite3.connect(output / "ledger.db") as connection:
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'answers'").fetchone() == (0,):
            return set(), set()
        answers = {text for (text,) in connection.execute("SELECT text FROM answers WHERE state = 'done'")}
        translated = {
            json.loads(texts)[0].removeprefix("fra_Latn: ")
            for (texts,) in connection.execute("SELECT texts FROM translations")
        }
    connection.close()
    return answers, translated


def test_what_was_in_flight_at_a_kill_is_asked_again_and_nothing_else(servers: FakeServers, tmp_path: Path) -> None:
    randomly = random.Random(7)

    async def answer(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        await asyncio.sleep(randomly.uniform(0, 0.01))
        return completion(name_of(body))

    servers.on_ask = answer
    pictures(tmp_path / "ads", FILES // 2)
    pictures(tmp_path / "ads" / "more", FILES // 2, size=(120, 96))
    options = ("ads", "--languages", "fra_Latn", "--concurrency", str(CONCURRENCY))
    in_flight: Counter[str] = Counter()
    translating: Counter[str] = Counter()
    for number in range(KILLS):
        asked, translated = len(servers.asked), len(servers.translated)
        process = start(servers, *options, cwd=tmp_path)
        if number % 5 == 4:
            time.sleep(randomly.uniform(0, 0.6))  # maybe before anything is asked
        else:
            left = FILES - len(committed(tmp_path / "captions")[0])  # the run never asks for more
            target = asked + randomly.randrange(1, max(2, 2 * left // (KILLS + 1 - number)))
            wait_until(lambda target=target: len(servers.asked) >= target)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        wait_until(lambda: servers.connections == 0)  # what it sent last has arrived
        kept_answers, kept_translations = committed(tmp_path / "captions")
        asked_and_lost = {name_of(body) for body in servers.asked[asked:]} - kept_answers
        sent_and_lost = {body["texts"][0] for body in servers.translated[translated:]} - kept_translations
        assert len(asked_and_lost) <= CONCURRENCY
        assert len(sent_and_lost) <= TRANSLATIONS_AT_ONCE
        in_flight.update(asked_and_lost)
        translating.update(sent_and_lost)
        if (tmp_path / "captions" / "results.json").exists():
            results(tmp_path)
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = results(tmp_path)["files"]
    assert len({record["file"] for record in records}) == len(records) == FILES
    assert all(record["tasks"]["describe"]["translations"]["fra_Latn"] for record in records)
    assert len({record["tasks"]["describe"]["text"] for record in records}) == FILES
    assert 0 < in_flight.total() <= KILLS * CONCURRENCY
    assert Counter(name_of(body) for body in servers.asked) == in_flight + Counter(
        record["tasks"]["describe"]["text"] for record in records
    )
    assert Counter(body["texts"][0] for body in servers.translated) == translating + Counter(
        record["tasks"]["describe"]["text"] for record in records
    )
