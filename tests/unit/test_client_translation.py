"""Runs of the batch client and the translator that they talk to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, results, run
from fake_servers import FakeServers, error, free_port
from web_site import Site

from client.endpoints.glossary import read_glossary
from client.endpoints.translation import TranslatorClient
from client.errors import LanguageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_translator_is_waited_for_and_may_fail_a_file(servers: FakeServers, tmp_path: Path) -> None:
    async def misbehave(_: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number == 1:
            return error(503, "loading")
        return web.json_response({"error": "no"}, status=400) if body["texts"] == ["I see 2"] else None

    servers.on_translate = misbehave
    pictures(tmp_path / "ads", 4)
    done = run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path)
    assert done.returncode == 1
    records = results(tmp_path)["files"]
    assert [record["error"] for record in records] == [None, None, "translation: HTTP 400: no", None]
    assert records[2]["tasks"]["describe"]["text"] == "I see 2"
    servers.on_translate = None
    assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 4
    assert results(tmp_path)["files"][2]["tasks"]["describe"]["translations"] == {"fra_Latn": "fra_Latn: I see 2"}


async def test_an_unknown_language_is_refused_to_each_who_checks(servers: FakeServers) -> None:
    """Nothing is translated for one that checks while another is being refused."""
    for url in (servers.url, f"http://127.0.0.1:{free_port()}"):
        client = TranslatorClient(url, None, deadline_s=5, wait_s=1, notify=lambda _: None, stop=asyncio.Event())
        checks = (client.check(("fra_Latn", "xx!")) for _ in range(3))
        refused = await asyncio.gather(*checks, client.check(("fra_Latn",)), return_exceptions=True)
        assert [type(error) for error in refused] == [LanguageError] * 3 + [type(None)]
        await client.close()


def test_what_is_no_translation_is_not_kept(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.endpoints.retry.FIRST_PAUSE_S", 0.02)
    rows: list[Any] = [{"fra_Latn": {"text": None}}, {"fra_Latn": {"text": "x", "sentences": None}}, {}, None]

    async def oddly(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return web.json_response({"translations": [rows[int(text.removeprefix("I see "))] for text in body["texts"]]})

    servers.on_translate = oddly
    pictures(tmp_path / "ads", 4)
    assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 1
    for record in results(tmp_path)["files"]:
        assert record["error"] == "translation: the answer holds no translations (5 attempts)"
        assert record["tasks"]["describe"]["translations"] == {}


def test_doubtful_translations_are_told(servers: FakeServers, tmp_path: Path) -> None:
    async def doubt(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        sentences = [
            {"source": "a", "text": "b", "verdict": "ok"},
            {"source": "c", "text": "d", "verdict": "doubtful", "reason": "a number was lost"},
        ]
        return web.json_response(
            {"translations": [{"fra_Latn": {"text": "b d", "sentences": sentences}} for _ in body["texts"]]}
        )

    servers.on_translate = doubt
    pictures(tmp_path / "ads", 1)
    for _ in range(2):  # the ledger remembers it
        assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
        record = results(tmp_path)["files"][0]
        assert record["tasks"]["describe"]["translations"] == {"fra_Latn": "b d"}
        assert record["warnings"] == ["describe: fra_Latn: doubtful translation: a number was lost"]
    assert len(servers.translated) == 1


def test_a_translator_that_is_away_does_not_hold_up_asking(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 60)
    options = ("ads", "--languages", "fra_Latn", "--concurrency", "4", "--wait", "1.5")
    done = run(servers, *options, "--translator", f"http://127.0.0.1:{free_port()}", cwd=tmp_path)
    assert done.returncode == 1
    assert "translator at" in done.stderr
    assert len(servers.asked) == 60
    records = results(tmp_path)["files"]
    assert all(record["tasks"]["describe"]["text"] for record in records)
    assert all("translation: translator at" in record["error"] for record in records)
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    assert (len(servers.asked), len(servers.translated)) == (60, 60)


def test_files_are_translated_while_others_are_asked(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.05)
        return None

    asked_before: list[int] = []

    async def note(*_: Any) -> web.StreamResponse | None:
        asked_before.append(len(servers.asked))
        return None

    servers.on_ask, servers.on_translate = slowly, note
    pictures(tmp_path / "ads", 20)
    assert run(servers, "ads", "--languages", "fra_Latn", "--concurrency", "2", cwd=tmp_path).returncode == 0
    assert asked_before[0] <= 4


def test_verdicts_are_counted(servers: FakeServers, tmp_path: Path) -> None:
    async def judge(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        verdicts = ["ok", "retried", "ok", "doubtful"]
        sentences = [{"source": "a", "text": "b", "verdict": v, "reason": f"why {v}"} for v in verdicts]
        row = {code: {"text": f"in {code}", "sentences": sentences} for code in body["targets"]}
        return web.json_response({"translations": [row for _ in body["texts"]]})

    servers.on_translate = judge
    pictures(tmp_path / "ads", 1)
    for _ in range(2):  # the ledger remembers them
        options = ("ads", "--tasks", "describe,tags", "--languages", "fra_Latn,spa_Latn")
        assert run(servers, *options, cwd=tmp_path).returncode == 0
        record = results(tmp_path)["files"][0]
        counts = {"ok": 2, "retried": 1, "doubtful": 1}
        assert record["tasks"]["describe"]["translation_verdicts"] == {"spa_Latn": counts, "fra_Latn": counts}
        twice = {name: 2 * count for name, count in counts.items()}  # two tags
        assert record["tasks"]["tags"]["translation_verdicts"] == {"spa_Latn": twice, "fra_Latn": twice}
        assert "describe: fra_Latn: doubtful translation: why doubtful" in record["warnings"]
        assert not any("why retried" in warning for warning in record["warnings"])


def test_a_translator_with_keys_is_given_ours(servers: FakeServers, tmp_path: Path) -> None:
    async def check_key(request: web.Request, *_: Any) -> web.StreamResponse | None:
        return None if request.headers.get("Authorization") == "Bearer ours" else web.Response(status=403)

    servers.on_translate = check_key
    pictures(tmp_path / "ads", 1)
    without = run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path)
    assert without.returncode == 1
    assert "is BABELVIEW_TRANSLATOR_API_KEY set and right?" in without.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BABELVIEW_TRANSLATOR_API_KEY", "ours,theirs")
        assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>Welcome</html>", "the answer is not JSON but text/html"),
        (b'{"object": "list", "data": [{"id": "llama"}]}', "it lists no languages"),
        (b'[{"code": 7, "targets": 8}]', "it lists no languages"),
    ],
)
def test_what_is_no_translation_service_is_told_before_anything_is_asked(
    servers: FakeServers, tmp_path: Path, body: bytes, reason: str
) -> None:
    pictures(tmp_path / "ads", 2)
    site = Site()
    site.put("/languages", body, {"Content-Type": "text/html"})
    try:
        done = run(servers, "ads", "--languages", "fra_Latn", "--translator", site.url, cwd=tmp_path)
    finally:
        site.close()
    assert done.returncode == 2
    assert f"--translator {site.url}: no translation service there ({reason})" in done.stderr
    assert servers.asked == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("terms.txt", "# brands\nAcme\n"),
        ("terms.json", '["Acme"]'),
        ("terms.csv", 'term,fr\nAcme,\n"running shoe","chaussure, de course"\n'),
    ],
)
def test_the_glossary_goes_with_each_request(servers: FakeServers, tmp_path: Path, name: str, content: str) -> None:
    asked: list[Any] = []

    async def remember(_: web.Request, body: dict[str, Any], __: int) -> None:
        asked.append(body.get("keep"))

    servers.on_translate = remember
    pictures(tmp_path / "ads", 1)
    (tmp_path / name).write_text(content)
    assert run(servers, "ads", "--languages", "fra_Latn", "--glossary", name, cwd=tmp_path).returncode == 0
    table = [{"term": "Acme", "translations": {}}]
    table.append({"term": "running shoe", "translations": {"fr": "chaussure, de course"}})
    assert asked == [table if name.endswith("csv") else ["Acme"]] * 2  # at first with no text


def test_a_glossary_that_the_translator_refuses_is_told_before_anything_is_asked(
    servers: FakeServers, tmp_path: Path
) -> None:
    async def refuse(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return error(400, "keep: entry 1: unknown language 'tlh'") if "keep" in body else None

    servers.on_translate = refuse
    pictures(tmp_path / "ads", 1)
    (tmp_path / "terms.csv").write_text("term,tlh\nAcme,a\n")
    done = run(servers, "ads", "--languages", "fra_Latn", "--glossary", "terms.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "--glossary: the translator refuses it (HTTP 400: keep: entry 1: unknown language 'tlh')" in done.stderr
    assert servers.asked == []


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "{}", "must hold a list"),
        ("a.csv", "word,fr\n", "the first column must be named 'term'"),
        ("a.txt", None, "cannot be read"),
    ],
)
def test_a_glossary_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=f"--glossary .*{name}.*{why}"):
        read_glossary(tmp_path / name)
