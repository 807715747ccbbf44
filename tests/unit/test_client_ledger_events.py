"""Events: what the ledger keeps of them, however many come together."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ledgers import MODELS, identity_of, plan_of

from client.endpoints.completion import Answer
from client.ledger.events import (
    AnswerStored,
    Event,
    MediaLoaded,
    MediaProbed,
    RedoEnded,
    RequestFailed,
    RunEnded,
    SourceCompleted,
    TimeSpent,
    TranslationsStored,
    UriSeen,
)
from client.ledger.ledger import LEDGER, Ledger
from client.ledger.rows import StoredTranslation, new_file, read_file
from client.media.content import Facts, Probe, Span
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.sampling import Sampling
from client.sources.source import KnownSource, Source
from client.tasks.plan import UnitRequest, make_plan
from client.tasks.steps import windows
from client.tasks.tasks import choose_tasks
from client.tasks.units import whole, window

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_events_of_many_files_are_kept_as_one_by_one(tmp_path: Path) -> None:
    """Also more than a statement takes, a kind between those of another, and twice the same in one go."""
    (request,) = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    sources = [Source.local(f"/ads/{number}.mp4") for number in range(150)]
    events: list[Event] = []
    for number, source in enumerate(sources):
        identity = Identity(f"{number % 149:064}", Kind.VIDEO, None)
        ask = UnitRequest(whole(identity.sha256), request)
        part = UnitRequest(window(identity.sha256, Span(0, number + 1)), request)
        events += [
            UriSeen(source.uri, KnownSource(None, number, identity)),
            MediaLoaded(identity, 0.5, Facts(4, 3), ("odd",) if number == 149 else ()),
            AnswerStored(ask, Answer(f"Words {number}.", "stop", 1, 1, 0.1)),
            AnswerStored(part, Answer(f"Part {number}.", "stop", 1, 1, 0.1)),
            TimeSpent(identity.sha256, 0.25),
            RequestFailed(ask, "no", final=True),
            SourceCompleted(number, identity.sha256, "odd" if number % 2 else None),
        ]
        if number < 149:  # the last one replaces the answer to the first, whose translation goes with it
            events.append(TranslationsStored(ask, {"fra_Latn": StoredTranslation([f"Mots {number}."], [], {"ok": 1})}))
    together, alone = (
        _tables(tmp_path / name, sources, portions)
        for name, portions in (("together", [events]), ("alone", [[event] for event in events]))
    )
    assert together == alone
    assert {table: len(rows) for table, rows in together.items()} == {
        **dict.fromkeys(("uris", "units", "sources"), 150),
        "media": 149,
        "translations": 148,
        "answers": 299,
    }


def _tables(folder: Path, sources: list[Source], portions: list[list[Event]]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a ledger that got events in portions, but for ids and times."""
    ledger = Ledger(folder)
    ledger.begin_run(make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()), sources)
    for portion in portions:
        ledger.write(portion)
    ledger.close()
    answers = "unit, task, prompt_hash, answers.model, params, state, text, error, reasons, run"
    selects = {
        **{table: f"SELECT * FROM {table}" for table in ("uris", "media", "units", "sources")},
        "answers": f"SELECT {answers} FROM answers",
        "translations": "SELECT unit, task, language, texts FROM translations JOIN answers ON answer = answers.id",
    }
    with closing(sqlite3.connect(folder / LEDGER)) as connection:
        return {table: sorted(connection.execute(select), key=repr) for table, select in selects.items()}


def test_events_are_values(tmp_path: Path) -> None:
    """They can be compared and sent to other processes, and the ledger takes what comes back."""
    identity = Identity("ab" * 32, Kind.VIDEO, None)
    (request,) = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    ask = UnitRequest(window(identity.sha256, Span(0, 5)), request)
    events: list[Event] = [
        UriSeen("/ads/a.mp4", KnownSource("7 1", 7, identity)),
        MediaProbed(identity, Probe(9), 0.5),
        MediaLoaded(identity, 0.25, Facts(4, 3), ("odd",)),
        TimeSpent(identity.sha256, 1.0),
        AnswerStored(ask, Answer("Words.", "stop", 1, 1, 0.1)),
        TranslationsStored(ask, {"fra_Latn": StoredTranslation(["Mots."], [], {"ok": 1})}),
        RequestFailed(ask, "no", final=True),
        SourceCompleted(0, identity.sha256, None),
        RunEnded({"files": 1}),
        RedoEnded("all"),
    ]
    sent = pickle.loads(pickle.dumps(events))
    assert sent == events
    ledger = Ledger(tmp_path)
    ledger.write(sent)
    stored = ledger.files([(identity, [replace(request, over=windows(1))])])[0]
    assert (stored.probe, stored.facts, stored.spent_s) == (Probe(9), Facts(4, 3), 1.75)
    answer = ledger.answer(ask)
    assert answer
    assert (answer.text, answer.translations["fra_Latn"].texts) == ("Words.", ["Mots."])
    ledger.close()


def test_what_was_at_any_address_is_known(tmp_path: Path) -> None:
    addresses = ["https://h/a\0b.png", "/ads/'\"\\.png", "/ads/\U0001f697.png", "/ads/none.png"]
    found = [KnownSource(None, number, Identity(f"{number:064}", Kind.IMAGE, None)) for number in range(3)]
    ledger = Ledger(tmp_path)
    ledger.write([UriSeen(uri, known) for uri, known in zip(addresses, found, strict=False)])
    assert ledger.known(addresses) == [*found, None]
    ledger.close()


def test_of_a_content_that_is_new_nothing_is_merged_that_is_made_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.ledger.rows.merges_of", lambda *_: [SimpleNamespace(inputs=[])])
    requests = plan_of(["describe"]).requests[Kind.IMAGE]
    new = new_file(identity_of("a.jpg"), requests)
    with closing(Ledger(tmp_path)) as ledger:
        assert read_file(ledger._connection, identity_of("a.jpg"), requests) == new
    assert new.merges == []
