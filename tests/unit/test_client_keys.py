"""Keys come from the environment, and appear in nothing that a run writes or shows."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import command, pictures, results, run
from behaviours import saying
from fake_servers import completion, error, listing

from client.batch import main
from client.cli.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

KEY = "sk-CANARY/0+123"


def quoting(key: str) -> dict[str, web.Response]:
    """Answers of endpoints that quote what they were sent."""
    return {
        "refusal": error(400, f"bad request: Authorization: Bearer {key}"),
        "wrong key": error(401, f"Incorrect API key provided: {key}"),
        "no JSON": web.Response(text=f"<html>{key}</html>", status=500),
        "long": web.Response(text="base64," + "A" * 1990 + key, status=400),
        "answer": completion(f"You sent {key}."),
        "reason": completion("A car.", key),
        "no text": completion(None, key),
        "redirect": web.Response(status=302, headers={"Location": f"http://elsewhere/?key={key}"}),
        "type": web.Response(text="?", headers={"Content-Type": f"text/{key.replace('/', '-')}"}),
    }


@pytest.mark.parametrize("way", [*quoting(KEY), "models"])
def test_a_key_that_the_endpoint_quotes_is_kept_nowhere(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    async def quote(request: web.Request, _body: dict[str, Any], _: int) -> web.StreamResponse:
        _, _, key = request.headers["Authorization"].partition(" ")
        assert key == KEY
        return listing("vllm", key) if way == "models" else quoting(key)[way]

    if way == "models":
        servers.on_models = quote
    else:
        servers.on_ask = quote
    monkeypatch.setattr("client.endpoints.retry.FIRST_PAUSE_S", 0.01)
    line, environment = command(servers, pictures(tmp_path / "ads", 1), "--languages", "", "--log-file", "run.log")
    for name, value in (environment | {"BABELVIEW_API_KEY": f"{KEY}\n"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    main([*line[3:], "--format", "json,jsonl,csv,reference"])
    written = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    said = capfd.readouterr()
    shown = (said.out + said.err).encode()
    assert shown
    assert {"ledger.db", "run.log"} <= written.keys()
    for text in (*written.values(), shown):
        assert b"CANARY" not in text
        assert base64.b64encode(KEY.encode()) not in text


def test_a_key_that_is_a_common_word_changes_no_answer(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = saying("A secret garden.")
    assert run(servers, pictures(tmp_path / "ads", 1), "--languages", "", cwd=tmp_path).returncode == 0
    assert servers.headers[0]["Authorization"] == "Bearer secret"
    assert results(tmp_path)["files"][0]["tasks"]["describe"]["text"] == "A secret garden."


@pytest.mark.parametrize("variable", ["BABELVIEW_API_KEY", "OPENAI_API_KEY", "BABELVIEW_TRANSLATOR_API_KEY"])
@pytest.mark.parametrize("key", ["sk-CANARY\nX-Evil: 1", "sk-CANARY\u2026", "sk CANARY", "sk-CANARY\x7f"])
def test_what_cannot_be_a_key_is_told_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, key: str
) -> None:
    monkeypatch.delenv("BABELVIEW_API_KEY", raising=False)
    monkeypatch.setenv(variable, key)
    with pytest.raises(SystemExit) as wrong:
        read_settings(["ads"])
    assert wrong.value.code == 2
    message = capsys.readouterr().err
    assert f"{variable} in the environment: a key is" in message
    assert "CANARY" not in message


def test_a_key_may_end_as_files_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_API_KEY", " \n")
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\n")
    assert read_settings(["ads"]).api_key == KEY


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("--base-url", "http://me:CANARY@127.0.0.1:8000/v1"),
        ("--base-url", "http://127.0.0.1:8000/v1#CANARY"),
        ("--translator", "http://me:CANARY@127.0.0.1:8003"),
        ("--translator", "http://127.0.0.1:8003?key=CANARY"),
    ],
)
def test_no_secret_within_a_url_of_a_server(capsys: pytest.CaptureFixture[str], option: str, url: str) -> None:
    with pytest.raises(SystemExit) as wrong:
        read_settings(["ads", option, url])
    assert wrong.value.code == 2
    message = capsys.readouterr().err
    assert f"Invalid value for '{option}': must be a URL without user name" in message
    assert "CANARY" not in message


def test_what_is_to_be_typed_again_holds_no_password() -> None:
    settings = read_settings(["https://me:CANARY@example.org/a.jpg", "--question", "What is it?"])
    assert settings.command_line == "babelview batch https://me@example.org/a.jpg --question 'What is it?'"
