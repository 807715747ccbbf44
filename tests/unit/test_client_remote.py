"""Files that have to be fetched: over HTTP from a server of the test, and from fsspec's store in memory."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from web_site import Reply, Site, png

from client.endpoints import proxy as proxy_module
from client.endpoints.proxy import proxy_of
from client.errors import MediaError
from client.media.kinds import Kind
from client.sources import download, remote, web
from client.sources.fetch import Fetcher
from client.sources.source import Found, KnownSource, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LOOP = asyncio.Runner()


@pytest.fixture
def fetcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetcher]:
    monkeypatch.setattr(remote, "FIRST_PAUSE_S", 0.001)
    made = Fetcher(tmp_path / ".downloads", 100_000)
    yield made
    LOOP.run(made.close())
    assert not (tmp_path / ".downloads").exists()


def fetch(fetcher: Fetcher, url: str, known: KnownSource | None = None) -> Found:
    return LOOP.run(fetcher.find(Source(url, url, remote=True), known))


def test_a_file_is_hashed_as_it_comes(site: Site, fetcher: Fetcher, tmp_path: Path) -> None:
    found = fetch(fetcher, site.put("/a%20b.PNG", png(5), {"ETag": '"1"'}) + "?size=big")
    assert found.known.identity.sha256 == hashlib.sha256(png(5)).hexdigest()
    assert (found.known.identity.kind, found.known.size, found.known.fingerprint) == (
        Kind.IMAGE,
        len(png(5)),
        'etag "1"',
    )
    assert found.file
    assert found.file.path.read_bytes() == png(5)
    assert found.file.path.suffix == ".PNG"
    found.discard()
    assert list((tmp_path / ".downloads").iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "asks"),
    [
        ({"ETag": '"v1"'}, {"If-None-Match": '"v1"'}),
        (
            {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
            {"If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"},
        ),
        ({}, {}),  # only its size
    ],
)
def test_what_is_known_is_not_fetched_again(
    site: Site, fetcher: Fetcher, headers: dict[str, str], asks: dict[str, str]
) -> None:
    known = fetch(fetcher, site.put("/a.png", png(1), headers)).known
    # A server that heeds conditions, and one that does not.
    heard: list[dict[str, str]] = []

    def unchanged(_: int, given: Any) -> Reply:
        heard.append({name: given[name] for name in asks})
        return (304, headers, b"") if asks else (200, headers, png(1))

    site.pages["/a.png"] = unchanged
    assert fetch(fetcher, f"{site.url}/a.png", known) == Found(known)
    assert heard == [asks]
    site.put("/a.png", png(1), headers)
    assert fetch(fetcher, f"{site.url}/a.png", known) == Found(known)
    # What has changed is.
    site.put("/a.png", png(2) + b"more", {name: value.replace("1", "2") for name, value in headers.items()})
    assert fetch(fetcher, f"{site.url}/a.png", known).known.identity != known.identity


def test_a_server_that_compresses_unasked(site: Site, fetcher: Fetcher) -> None:
    url = site.put("/a.png", gzip.compress(png(1)), {"Content-Encoding": "gzip"})
    assert fetch(fetcher, url).known.identity.sha256 == hashlib.sha256(png(1)).hexdigest()


def test_without_any_stamp_a_file_is_fetched_again_and_recognised(site: Site, fetcher: Fetcher) -> None:
    def chunked(*_: Any) -> Reply:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(png(1)), png(1))
        return 200, {"Content-Length": "", "Transfer-Encoding": "chunked"}, body

    site.pages["/a.png"] = chunked
    first = fetch(fetcher, f"{site.url}/a.png")
    assert first.known.fingerprint is None
    again = fetch(fetcher, f"{site.url}/a.png", first.known)
    assert again.file
    assert again.known == first.known


def test_errors_that_pass_are_tried_again(site: Site, fetcher: Fetcher) -> None:
    replies: list[Reply] = [
        (503, {"Retry-After": "0"}, b""),
        (429, {}, b""),
        (200, {"Content-Length": "9999"}, png(1)),  # cut off
        (500, {}, b""),
        (200, {}, png(1)),
    ]
    site.pages["/a.png"] = lambda number, _: replies[number - 1]
    assert fetch(fetcher, f"{site.url}/a.png").known.size == len(png(1))
    site.put("/down.png", b"", status=502)
    with pytest.raises(MediaError, match=r"HTTP 502 Bad Gateway \(5 attempts\)"):
        fetch(fetcher, f"{site.url}/down.png")
    assert site.asked.count("/down.png") == 5


def test_a_server_that_says_nothing_is_asked_once_more(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_READ_S", 0.2)
    released = threading.Event()

    def silent(*_: Any) -> Reply:
        released.wait()
        return 404, {}, b""

    site.pages["/silent.png"] = silent
    with pytest.raises(MediaError, match=r"nothing came for 0.2 s \(2 attempts\)"):
        fetch(fetcher, f"{site.url}/silent.png")
    released.set()
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    ("path", "reply", "reason"),
    [
        ("/gone.png", (404, {}, b""), "HTTP 404 Not Found"),
        ("/large.png", (200, {}, b"x" * 100_001), r"larger than 0.1 MB \(--max-download-mb\)"),
        ("/round.png", (302, {"Location": "/round.png"}, b""), "more than 5 redirects"),
        ("/file.png", (302, {"Location": "file:///etc/passwd"}, b""), "cannot be fetched: .*file"),
        ("/later.png", (503, {"Retry-After": "9999"}, b""), "asks to wait 9999 s"),
    ],
)
def test_what_cannot_be_fetched(site: Site, fetcher: Fetcher, path: str, reply: Reply, reason: str) -> None:
    site.pages[path] = lambda *_: reply
    with pytest.raises(MediaError, match=reason):
        fetch(fetcher, site.url + path)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "redirects to a private address, 169.254.169.254"),
        ("http://[::1]:{other}/a.png", "redirects to a private address, ::1"),
        ("http://127.0.0.1:{other}/a.png", "redirects to a private address, 127.0.0.1"),
        ("http://localhost:{other}/a.png", "redirects to a private address, localhost"),
        ("http://0x7f.1:{other}/a.png", "redirects to a private address, 0x7f.1"),
        ("//127.0.0.2:{port}/a.png", "redirects to a private address, 127.0.0.2"),
        ("http://[", "what is no URL"),
        ("http://example.org:99999/a.png", "what is no URL"),
        ("ftp://example.org/a.png", "what is no http URL: ftp://example.org/a.png"),
    ],
)
def test_redirections_lead_into_no_private_network(site: Site, fetcher: Fetcher, target: str, reason: str) -> None:
    other = Site()
    other.put("/a.png", png(1))
    port, foreign = (one.server.server_address[1] for one in (site, other))
    location = target.replace("{port}", str(port)).replace("{other}", str(foreign))
    site.pages["/a.png"] = lambda *_: (302, {"Location": location}, b"")
    with pytest.raises(MediaError, match=re.escape(reason)):
        fetch(fetcher, f"{site.url}/a.png")
    assert not other.asked
    other.close()


def test_redirections_of_a_server_to_itself_are_followed(site: Site, fetcher: Fetcher) -> None:
    site.put("/there.png", png(1), {"ETag": '"1"'})
    port = site.server.server_address[1]
    for number, location in enumerate(("/there.png", f"http://127.0.0.1:{port}/there.png")):
        site.pages[f"/{number}.png"] = lambda *_, location=location: (302, {"Location": location}, b"")  # type: ignore[misc]
        for host in ("127.0.0.1", "localhost"):
            assert fetch(fetcher, f"http://{host}:{port}/{number}.png").known.size == len(png(1))


def test_a_public_server_may_redirect_to_another(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "is_public", lambda _: True)
    other = Site()
    other.put("/a.png", png(1))
    site.pages["/a.png"] = lambda *_: (302, {"Location": f"{other.url}/a.png"}, b"")
    assert fetch(fetcher, f"{site.url}/a.png").known.size == len(png(1))
    other.close()


def test_a_file_of_unknown_size_is_cut_at_the_limit(site: Site, fetcher: Fetcher, tmp_path: Path) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (100_001, b"x" * 100_001)
    site.put("/a.png", body, {"Content-Length": "", "Transfer-Encoding": "chunked"})
    with pytest.raises(MediaError, match="larger than"):
        fetch(fetcher, f"{site.url}/a.png")
    assert list((tmp_path / ".downloads").iterdir()) == []


def test_a_download_that_finds_no_place(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fetcher = Fetcher(tmp_path / "file" / ".downloads", 100_000)
    with pytest.raises(MediaError, match=r"cannot be stored in .*: Not a directory"):
        fetch(fetcher, site.put("/a.png", png(1)))
    LOOP.run(fetcher.close())


def test_a_download_that_drips_is_given_up(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SLOW_AFTER_S", 0)
    monkeypatch.setattr(download, "SLOWEST", 1e12)
    with pytest.raises(MediaError, match=r"the download is too slow: \d+ bytes in 0 s"):
        fetch(fetcher, site.put("/a.png", png(1)))


def test_a_signed_url_goes_over_the_wire_as_it_is(site: Site, fetcher: Fetcher) -> None:
    site.pages["/a%20b/%C3%A4.png"] = lambda *_: (200, {}, png(1))
    for query in ("X-Credential=a%2Fb&sig=a%2Bb%3D%7e", "q=a+b&r=%41;c"):
        fetch(fetcher, f"{site.url}/a b/%C3%A4.png?{query}")
        assert site.asked[-1] == f"/a%20b/%C3%A4.png?{query}"
    site.pages["/a%20b/%C3%B6.png"] = site.pages["/a%20b/%C3%A4.png"]
    assert fetch(fetcher, f"{site.url}/a b/\u00f6.png").known.size == len(png(1))


@pytest.fixture
def proxied(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site is a proxy for all."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", site.url)
    proxy_module._proxy_of_host.cache_clear()
    yield site
    proxy_module._proxy_of_host.cache_clear()


@pytest.mark.parametrize(
    "target",
    [
        "http://intranet/a.png",
        "http://wiki.corp/a.png",
        "http://db.internal./a.png",
        "http://printer.local/a.png",
        "http://10.1.2.3/a.png",
        "http://inside.example/a.png",
        "http://0x0a.1/a.png",
    ],
)
def test_a_proxy_is_not_led_into_a_private_network(
    proxied: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    resolve(monkeypatch, {"inside.example": "192.168.1.1", "0x0a.1": "10.0.0.1"})
    proxied.pages["http://pictures.example/a.png"] = lambda *_: (302, {"Location": target}, b"")
    with pytest.raises(MediaError, match="redirects to a private address"):
        fetch(fetcher, "http://pictures.example/a.png")
    assert proxied.asked == ["http://pictures.example/a.png"]


@pytest.mark.parametrize("target", ["http://elsewhere.example/b.png", "http://nobody.example/b.png", "/b.png"])
def test_a_proxy_is_asked_for_what_is_public_or_known_to_it_alone(
    proxied: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """A name that the user gives may be of a private network, and redirect to itself."""
    resolve(monkeypatch, {"elsewhere.example": "93.184.215.14"})
    proxied.pages["http://intranet/a.png"] = lambda *_: (302, {"Location": target}, b"")
    proxied.pages[f"http://intranet{target}" if target[0] == "/" else target] = lambda *_: (200, {}, png(1))
    assert fetch(fetcher, "http://intranet/a.png").known.size == len(png(1))


def resolve(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    """Only these names have addresses."""

    async def found(_: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, str]]:
        if host not in names:
            raise OSError(f"no such host: {host}")
        return [{"host": names[host]}]

    monkeypatch.setattr(web.DefaultResolver, "resolve", found)


def test_a_proxy_is_heeded(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", site.url)
    site.pages["http://pictures.example/a.png"] = lambda *_: (200, {}, png(1))
    assert fetch(fetcher, "http://pictures.example/a.png").known.size == len(png(1))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert fetch(fetcher, site.put("/b.png", png(2))).known.size == len(png(2))
    assert site.asked == ["http://pictures.example/a.png", "/b.png"]


def test_the_proxy_of_a_host_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("urllib.request.proxy_bypass", asked.append)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "http://one", "https": "http://two"})
    urls = [f"{scheme}://once.example/{number}.jpg" for scheme in ("http", "https") for number in range(3)]
    assert [proxy_of(url) for url in urls] == ["http://one"] * 3 + ["http://two"] * 3
    assert asked == ["once.example"] * 2


@pytest.mark.parametrize("url", ["http://[::1/a.png", "http://127.0.0.1:99999/a.png"])
def test_what_is_no_url_costs_its_own_file(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(MediaError, match="cannot be fetched: no http URL"):
        fetch(fetcher, url)


def test_a_server_that_is_not_there(fetcher: Fetcher) -> None:
    with pytest.raises(MediaError, match=r"cannot be fetched: .*5 attempts"):
        fetch(fetcher, "http://127.0.0.1:9/a.png")
