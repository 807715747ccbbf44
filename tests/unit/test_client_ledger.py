"""The ledger: what it keeps, its versions, and what it does when it cannot write."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from client.errors import LedgerError
from client.media.content import Content, Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.sampling import Sampling
from client.model import Answer
from client.plan import make_plan
from client.schema import MIGRATIONS
from client.sources.source import Known
from client.store import LEDGER, Ledger
from client.stored import StoredTranslation
from client.tasks import choose_tasks

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}


def answered(folder: Path) -> Identity:
    """A ledger with one answer and its translation."""
    identity = Identity("ab" * 32, Kind.VIDEO, None)
    (request,) = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    ledger = Ledger(folder)
    ledger.write(
        [
            lambda it: it.save_media(identity, Content(Kind.VIDEO, Facts(4, 3, 2.0, 1.0, 2), [], ["odd"]), None, 1.5),
            lambda it: it.save_answer(identity.sha256, request, Answer("Words.", "stop", 10, 2, 0.5)),
            lambda it: it.save_translations(
                identity.sha256, request, {"fra_Latn": StoredTranslation(["Mots."], ["why"], {"doubtful": 1})}
            ),
        ]
    )
    ledger.close()
    return identity


def test_the_ledger_keeps_what_it_was_given(tmp_path: Path) -> None:
    identity = answered(tmp_path)
    requests = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    ledger = Ledger(tmp_path)
    stored = ledger.file(identity, requests)
    assert stored.facts == Facts(4, 3, 2.0, 1.0, 2)
    assert stored.warnings == ["odd"]
    answer = stored.answers["describe"]
    assert (answer.state, answer.text, answer.translations) == (
        "done",
        "Words.",
        {"fra_Latn": StoredTranslation(["Mots."], ["why"], {"doubtful": 1})},
    )
    # Asked again in vain, the answer is still there.
    ledger.write([lambda it: it.save_failure(identity.sha256, requests[0], "no", final=True)])
    assert ledger.file(identity, requests).answers["describe"] == answer
    # A new answer does not keep the translations of the old one.
    ledger.write([lambda it: it.save_answer(identity.sha256, requests[0], Answer("Other.", "stop", 1, 1, 0.1))])
    assert ledger.file(identity, requests).answers["describe"].translations == {}
    ledger.close()


def test_a_change_that_fails_takes_the_others_with_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    identity = Identity("cd" * 32, Kind.IMAGE, None)
    with pytest.raises(LedgerError):
        ledger.write(
            [
                lambda it: it.save_media(identity, None, "bad", 0.1),
                lambda it: it._connection.execute("INSERT INTO nowhere VALUES (1)") and None,
            ]
        )
    assert ledger.file(identity, []).error is None
    ledger.close()


def test_every_version_of_the_ledger_opens(tmp_path: Path) -> None:
    for version in range(len(MIGRATIONS) + 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        connection = sqlite3.connect(folder / LEDGER)
        for number, step in enumerate(MIGRATIONS[:version], 1):
            connection.executescript(f"{step} PRAGMA user_version = {number};")
        connection.close()
        answered(folder)
        connection = sqlite3.connect(folder / LEDGER)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        connection.close()


def test_what_lay_at_a_path_is_still_known_after_the_update(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / LEDGER)
    connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    connection.execute("INSERT INTO paths VALUES ('/ads/a.mp4', 7, 123456789, 'ab', 'video', NULL)")
    connection.commit()
    connection.close()
    ledger = Ledger(tmp_path)
    assert ledger.known("/ads/a.mp4") == Known("7 123456789", 7, Identity("ab", Kind.VIDEO, None))
    ledger.close()


def test_a_ledger_of_the_future_or_of_something_else_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / LEDGER)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="version 99"):
        Ledger(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LEDGER).write_bytes(b"this is no database " * 100)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(tmp_path / "other")
