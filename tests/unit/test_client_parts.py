"""The client's small parts: plans, discovery, waiting, the ledger's versions."""

from __future__ import annotations

import asyncio
import email.utils
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from client.errors import LedgerError, RefusedError, RequestError
from client.export.atomic import replacing
from client.media.content import Content, Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.sampling import Sampling
from client.model import Answer
from client.plan import make_plan
from client.schema import MIGRATIONS
from client.settings import read_settings
from client.sources.gather import gather
from client.sources.source import Known
from client.store import LEDGER, Ledger
from client.stored import StoredTranslation
from client.tasks import choose_tasks
from client.waiting import FailedError, KeptOutError, Service, UnavailableError, failure, read_retry_after

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}


def test_what_is_asked_depends_on_prompt_model_and_parameters() -> None:
    tasks = choose_tasks(["describe"], [])
    (one,) = make_plan(tasks, MODELS, 0, Sampling(8), ()).requests[Kind.VIDEO]
    (frames,) = make_plan(tasks, MODELS, 0, Sampling(16), ()).requests[Kind.VIDEO]
    (warm,) = make_plan(tasks, MODELS, 1, Sampling(8), ()).requests[Kind.VIDEO]
    assert len({one.identity, frames.identity, warm.identity}) == 3
    (picture,) = make_plan(tasks, MODELS, 0, Sampling(8), ()).requests[Kind.IMAGE]
    (same,) = make_plan(tasks, MODELS, 0, Sampling(16), ()).requests[Kind.IMAGE]
    assert picture.identity == same.identity  # frames are nothing to a picture


def test_discovery(tmp_path: Path) -> None:
    for name in (
        "b.MP4",
        "a.jpg",
        "sub/c.webm",
        ".hidden/d.mp4",
        ".e.mp4",
        "out/f.png",
        "notes.txt",
        "sub/g",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"?")
    (tmp_path / "sub" / "h").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = gather([str(tmp_path)], leave_out=tmp_path / "out")
    assert [str(source.path.relative_to(tmp_path)) for source in found] == ["a.jpg", "b.MP4", "sub/c.webm", "sub/h"]
    named = gather([str(tmp_path / name) for name in (".e.mp4", "notes.txt", ".e.mp4")])
    assert [source.path.name for source in named] == [".e.mp4", "notes.txt"]


def test_the_command_line_counts_more_than_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BABELVIEW_CONCURRENCY", "7")
    monkeypatch.setenv("BABELVIEW_LANGUAGES", "")
    monkeypatch.setenv("BABELVIEW_BASE_URL", "http://example.org:9")
    assert read_settings(["ads"]).concurrency == 7
    assert read_settings(["ads", "--concurrency", "9"]).concurrency == 9
    assert read_settings(["ads"]).languages == ()
    assert read_settings(["ads"]).base_url == "http://example.org:9/v1"
    monkeypatch.setenv("BABELVIEW_CONCURRENCY", "lots")
    with pytest.raises(SystemExit) as wrong:
        read_settings(["ads"])
    assert wrong.value.code == 2
    assert "BABELVIEW_CONCURRENCY in the environment: must be a whole number" in capsys.readouterr().err
    assert read_settings(["ads", "--concurrency", "9"]).concurrency == 9


def test_variables_that_mean_nothing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_CONCURENCY", "7")
    monkeypatch.setenv("BABELVIEW_PROFILE", "demo")  # the server's
    monkeypatch.setenv("BABELVIEW_QUIET", "1")
    settings = read_settings(["ads"])
    assert settings.quiet
    (warning,) = settings.warnings
    assert "BABELVIEW_CONCURENCY" in warning
    assert "did you mean BABELVIEW_CONCURRENCY?" in warning


def test_keys_and_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BABELVIEW_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert read_settings(["ads"]).api_key == "theirs"
    monkeypatch.setenv("BABELVIEW_API_KEY", "ours")
    assert read_settings(["ads"]).api_key == "ours"
    assert set(read_settings(["ads", "--model", "m", "--image-model", "i"]).models.values()) == {"m"}


@pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("0.5", 0.5), (None, None), ("soon", None), ("-1", 0.0)])
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < (read_retry_after(date) or 0) <= 60


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, RefusedError) for status in (400, 413, 422)),
        *((status, FailedError) for status in (408, 409, 500)),
        *((status, UnavailableError) for status in (429, 502, 503, 504)),
        (404, RequestError),
        (401, KeptOutError),
    ],
)
def test_what_a_status_means(status: int, kind: type[Exception]) -> None:
    assert type(failure(status, "why", None)) is kind


async def test_a_request_that_keeps_failing_is_given_up() -> None:
    notes: list[str] = []
    service = Service("it", wait=60, notify=notes.append, stop=asyncio.Event())
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise FailedError("oops", retry_after=0)

    with pytest.raises(RequestError, match=r"oops \(5 attempts\)"):
        await service.call(fail, "a")
    assert tries == 5
    assert notes == []


async def test_a_busy_server_that_asks_for_too_long_a_wait_is_not_obeyed() -> None:
    service = Service("it", wait=5, notify=lambda _: None, stop=asyncio.Event())

    async def busy() -> None:
        raise UnavailableError("full", retry_after=3600, busy=True)

    with pytest.raises(RequestError, match="asks to wait 60 min"):
        await service.call(busy, "a")


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


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"

    def write(content: bytes) -> None:
        with replacing(path) as file:
            file.write(content)

    write(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            write(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write(b"new")
    assert path.read_bytes() == b"new"
