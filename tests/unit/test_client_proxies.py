"""The way to an endpoint: proxies, NO_PROXY, TLS, and addresses that carry a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, results, run
from behaviours import answering
from fake_servers import FakeServers, completion, error, free_port

from client.cli.settings import read_settings
from client.endpoints import proxy

if TYPE_CHECKING:
    from pathlib import Path


def test_an_address_that_redirects_is_told_with_the_right_one(servers: FakeServers, tmp_path: Path) -> None:
    moved = {"Location": "https://elsewhere.example/v1/"}
    servers.on_models = servers.on_probe = answering(lambda: web.Response(status=308, headers=moved))
    done = run(servers, pictures(tmp_path / "ads", 1), "--languages", "", cwd=tmp_path)
    assert done.returncode == 2
    assert f"HTTP 308: {servers.url}/v1 redirects to https://elsewhere.example/v1/: give that address" in done.stderr
    assert servers.asked == []


def test_https_where_none_is_spoken_is_told_at_once(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 3)
    base_url = f"https://127.0.0.1:{servers.port}/v1"
    done = run(servers, "ads", "--languages", "", "--base-url", base_url, cwd=tmp_path)
    assert done.returncode == 1
    assert f"no secure connection to {base_url}" in done.stderr


def test_a_proxy_of_the_environment_is_used(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", servers.url)
    monkeypatch.delenv("no_proxy", raising=False)
    proxy._proxy_of_host.cache_clear()
    pictures(tmp_path / "ads", 2)
    options = ("ads", "--languages", "", "--base-url", "http://models.invalid/v1")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    assert {headers["Host"] for headers in servers.headers} == {"models.invalid"}
    # What is on this machine is not asked for through a proxy.
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert run(servers, "ads", "--languages", "", "--redo", "all", cwd=tmp_path).returncode == 0


def test_messages_name_the_proxy_and_not_its_password(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    proxy._proxy_of_host.cache_clear()
    pictures(tmp_path / "ads", 1)
    options = ("ads", "--languages", "", "--base-url", "http://models.invalid/v1", "--wait", "0.2")
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{free_port()}")
    done = run(servers, *options, cwd=tmp_path)
    assert "the proxy http://127.0.0.1:" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "secret" not in done.stderr
    proxy._proxy_of_host.cache_clear()
    monkeypatch.setenv("http_proxy", servers.url)
    servers.on_ask = answering(lambda: error(404, "no such thing"))
    assert f"no such thing (through the proxy {servers.url})" in run(servers, *options, cwd=tmp_path).stderr
    proxy._proxy_of_host.cache_clear()
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "names the proxy socks5://127.0.0.1:1080 for models.invalid" in done.stderr
    proxy._proxy_of_host.cache_clear()
    monkeypatch.setenv("http_proxy", "http://user:secret@[::1")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "Error: the environment names a proxy for models.invalid that is no URL: Invalid IPv6 URL\n" in done.stderr
    proxy._proxy_of_host.cache_clear()


@pytest.mark.parametrize(
    ("no_proxy", "excepted", "others"),
    [
        ("10.0.0.0/8", ["http://10.1.2.3:8000"], ["http://11.1.2.3:8000", "http://10.example.org"]),
        ("*.corp.local", ["http://gpu.corp.local:8000", "https://a.b.corp.local"], ["http://evilcorp.local"]),
        (".corp.local", ["http://corp.local", "http://gpu.corp.local."], ["http://corp.local.org"]),
        ("gpu.corp.local:8000", ["http://gpu.corp.local:8000"], ["http://gpu.corp.local", "http://gpu.corp.local:80"]),
        ("10.1.2.3:8000 other", ["http://10.1.2.3:8000", "http://other"], ["http://10.1.2.3"]),
        ("fd00::/8,[2001:db8::1]:443", ["http://[fd12::1]:8000", "https://[2001:db8::1]"], ["http://[2001:db8::1]"]),
        ("*", ["http://anything"], []),
    ],
)
def test_no_proxy_is_read_as_curl_does(
    no_proxy: str, excepted: list[str], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "proxy:3128")
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", no_proxy)
    proxy._proxy_of_host.cache_clear()
    assert [proxy.proxy_of(url) for url in excepted] == [None] * len(excepted)
    assert [proxy.proxy_of(url) for url in others] == ["http://proxy:3128"] * len(others)
    proxy._proxy_of_host.cache_clear()


def test_the_address_of_an_endpoint_may_carry_a_query_that_no_log_shows(servers: FakeServers, tmp_path: Path) -> None:
    queries: list[str] = []

    async def refuse(request: web.Request, *_: Any) -> web.StreamResponse | None:
        queries.append(request.query_string)
        return error(400, f"{request.path_qs} is not for us") if request.headers["api-key"] == "secret" else None

    servers.on_ask = servers.on_probe = refuse
    servers.on_models = answering(lambda: web.Response(status=404))
    pictures(tmp_path / "ads", 1)
    address = f"{servers.url}/v1?api-version=2026-10-01-preview&subscription=topsecret"
    options = ("ads", "--languages", "", "--base-url", address, "--log-file", "log.txt")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert set(queries) == {"api-version=2026-10-01-preview&subscription=topsecret"}
    written = [*(tmp_path / "captions").rglob("*"), tmp_path / "log.txt"]
    files = [path.read_bytes() for path in written if path.is_file()]
    assert b"topsecret" not in b"".join(files) + done.stderr.encode()
    assert read_settings(list(options)).command_line.endswith("/v1?...' --log-file log.txt")


def test_an_answer_may_say_the_date_that_is_the_version_of_an_api(servers: FakeServers, tmp_path: Path) -> None:
    async def tell(*_: Any) -> web.StreamResponse | None:
        return completion("A poster of 2024-10-21, and topsecret.")

    servers.on_ask = tell
    pictures(tmp_path / "ads", 1)
    address = f"{servers.url}/v1?api-version=2024-10-21&subscription=topsecret"
    assert run(servers, "ads", "--languages", "", "--base-url", address, cwd=tmp_path).returncode == 0
    text = results(tmp_path)["files"][0]["tasks"]["describe"]["text"]
    assert text == "A poster of 2024-10-21, and ***."
