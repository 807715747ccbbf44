"""The studio's page at the gateway: for browsers, without a key, and nothing else is changed by it."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from gateway_rig import gateway

from server.gateway import app as gateway_app
from server.gateway.studio import Studio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
KEY = "a-key-of-sixteen-characters"


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page was built, for the gateways of the test."""
    static = tmp_path / "static"
    static.mkdir()
    (static / "index.html").write_text("<!doctype html><title>é</title>")
    (static / "studio.js").write_text("'use strict'")
    (static / "style.css").write_text("a{}")
    (static / "icon.svg").write_text("<svg/>")
    (tmp_path / "secret.js").write_text("secret")
    monkeypatch.setattr(gateway_app, "Studio", lambda: Studio(static))
    return static


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with gateway(folder) as address, aiohttp.ClientSession(address) as http:
        yield http


async def test_a_browser_gets_the_page_and_its_files(folder: Path, static: Path) -> None:
    async with asking(folder) as http:
        for path, kind, text in (
            ("/", "text/html", "<!doctype html><title>é</title>"),
            ("/studio/studio.js", "text/javascript", "'use strict'"),
            ("/studio/style.css", "text/css", "a{}"),
            ("/studio/icon.svg", "image/svg+xml", "<svg/>"),
        ):
            answer = await http.get(path, headers=BROWSER)
            assert (answer.status, answer.content_type, await answer.text()) == (200, kind, text)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self';" in policy
            assert "connect-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            head = await http.head(path, headers=BROWSER)
            assert (head.status, await head.read()) == (200, b"")


async def test_what_a_browser_has_already_is_not_sent_again(folder: Path, static: Path) -> None:
    async with asking(folder) as http:
        first = await http.get("/studio/studio.js")
        again = await http.get("/studio/studio.js", headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        (static / "studio.js").write_text("'another version'")
    async with asking(folder) as http:
        anew = await http.get("/studio/studio.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (anew.status, await anew.text()) == (200, "'another version'")


@pytest.mark.parametrize(
    "path", ["/studio/other.js", "/studio/", "/studio/index.html", "/studio/../secret.js", "/studio/..%2Fsecret.js"]
)
async def test_there_is_nothing_beside_them(folder: Path, static: Path, path: str) -> None:
    from yarl import URL  # noqa: PLC0415

    async with gateway(folder) as address, aiohttp.ClientSession() as http:
        answer = await http.get(URL(f"{address}{path}", encoded=True), headers=BROWSER)
        assert answer.status == 404
        assert "secret" not in (await answer.text()).replace("secret.js", "")


async def test_programs_get_what_they_got_before(folder: Path, static: Path) -> None:
    async with asking(folder) as http:
        answers = [await http.get("/"), await http.post("/", headers=BROWSER), await http.put("/", headers=BROWSER)]
        for answer in answers:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (404, "not_found")
            assert "a page for browsers" in error["message"]
        health = await http.get("/health", headers=BROWSER)
        assert health.content_type == "application/json"


async def test_the_page_needs_no_key_and_the_rest_does(
    folder: Path, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELVIEW_API_KEYS", KEY)
    async with asking(folder) as http:
        for path, status in (("/", 200), ("/studio/studio.js", 200), ("/studio/no.js", 401), ("/v1/models", 401)):
            assert (await http.get(path, headers=BROWSER)).status == status, path
        assert (await http.get("/")).status == 401


async def test_a_page_that_was_not_built_says_so(folder: Path, static: Path) -> None:
    shutil.rmtree(static)
    async with asking(folder) as http:
        answer = await http.get("/", headers=BROWSER)
        assert answer.status == 404
        assert "python -m scripts.build_report" in (await answer.json())["error"]["message"]
