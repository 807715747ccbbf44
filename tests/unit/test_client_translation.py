"""Runs of the batch client and the translator that they talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from batch_runs import pictures, results, run
from fake_servers import FakeServers, error

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
