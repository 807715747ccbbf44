"""Stores, and runs over URLs and stores with local files between them."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from batch_runs import pictures, results, run
from fsspec.registry import _registry
from web_site import Reply, Site, png

from client.errors import UsageError
from client.sources.gather import gather

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_servers import FakeServers


@pytest.fixture
def bucket() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    for name, number in (("a.png", 1), ("more/b.png", 2), ("more/c.txt", 3), (".hidden/d.png", 4), ("@eaDir/e.png", 5)):
        store.pipe(f"/bucket/{name}", png(number))
    yield store
    store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("memory://bucket", ["a.png", "more/b.png"]),
        ("memory://bucket/more/", ["more/b.png"]),
        ("memory://bucket/**/*.png", ["a.png", "more/b.png"]),
        ("memory://bucket/m*/*", ["more/b.png"]),
        ("memory://bucket/more/c.txt", ["more/c.txt"]),
    ],
)
def test_stores_are_listed(bucket: Any, given: str, names: list[str]) -> None:
    found = gather([given])
    assert [source.name.partition("bucket/")[2] for source in found] == names
    assert all(source.remote for source in found)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("memory://nowhere", "no such file or folder: memory://nowhere"),
        ("gopher://x/y.png", "no way known to read gopher:// URLs"),
        ("memory::http://x/y", "no such file or folder"),
        ("zip://a::memory://bucket", "chained URLs are not taken"),
    ],
)
def test_urls_that_lead_nowhere(given: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        gather([given])


@pytest.mark.parametrize(
    ("package", "url", "extra"),
    [("s3fs", "s3://b/a.png", "s3"), ("gcsfs", "gs://b/a.png", "gs"), ("adlfs", "az://b/a.png", "az")],
)
def test_a_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, url: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(_registry, extra, raising=False)  # which another test may have found there
    (tmp_path / "list.csv").write_text(f"file\n{url}\n")
    for given in (url, str(tmp_path / "list.csv")):
        with pytest.raises(UsageError, match=rf"{extra}:// needs the package {package}: pip install -e '.\[{extra}\]'"):
            gather([given])


@pytest.mark.parametrize(("url", "extra"), [("s3://b/a.png", "s3"), ("memory://b/a.png", "remote")])
def test_missing_fsspec_is_named(monkeypatch: pytest.MonkeyPatch, url: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=rf"needs the package fsspec: pip install -e '.\[{extra}\]'"):
        gather([url])


def test_a_run_over_everything_at_once(servers: FakeServers, site: Site, bucket: Any, tmp_path: Path) -> None:
    """A folder, URLs, a store; one content in all of them is asked once; a second run fetches and asks nothing."""
    pictures(tmp_path / "ads", 2)
    site.put("/one.png", png(1), {"ETag": "x"})
    site.put("/seven.png", png(7), {"ETag": "y"})
    (tmp_path / "list.jsonl").write_text(
        "\n".join(
            json.dumps(row)
            for row in (
                {"url": f"{site.url}/seven.png", "campaign": "spring", "budget": 7},
                {"url": f"{site.url}/gone.png", "campaign": "autumn"},
                {"url": "missing.png", "campaign": "winter"},
                {"url": "ads/0000.png", "campaign": "summer"},
            )
        )
    )
    given = ["ads", f"{site.url}/one.png", "memory://bucket", "list.jsonl"]
    done = run(servers, *given, "--languages", "", cwd=tmp_path)
    assert done.returncode == 1
    records = results(tmp_path)["files"]
    assert [
        (record["file"].rpartition("/")[2], record["tasks"].get("describe", {}).get("text"), record.get("manifest"))
        for record in records
    ] == [
        ("0000.png", "I see 0", None),
        ("0001.png", "I see 1", None),
        ("one.png", "I see 1", None),
        ("a.png", "I see 1", None),
        ("b.png", "I see 2", None),
        ("seven.png", "I see 7", {"campaign": "spring", "budget": 7}),
        ("gone.png", None, {"campaign": "autumn"}),
        ("missing.png", None, {"campaign": "winter"}),
        ("0000.png", "I see 0", {"campaign": "summer"}),
    ]
    assert "404" in records[6]["error"]
    assert "No such file" in records[7]["error"]
    assert len(servers.asked) == 4
    assert [path.name for path in (tmp_path / "captions").iterdir() if path.name[0] == "."] == [".thumbnails"]
    asked = len(site.asked)
    assert run(servers, *given, "--languages", "", cwd=tmp_path).returncode == 1
    assert len(servers.asked) == 4
    assert len(site.asked) == asked + 3
    assert results(tmp_path)["files"] == records


def test_a_slow_site_holds_up_nothing_else(servers: FakeServers, site: Site, tmp_path: Path) -> None:
    release = threading.Event()

    def slowly(*_: Any) -> Reply:
        assert release.wait(30)
        return 200, {}, png(99)

    site.pages["/slow.png"] = slowly
    urls = [f"{site.url}/slow.png?{number}" for number in range(12)]
    pictures(tmp_path / "ads", 20)

    async def note(*_: Any) -> None:
        if len(servers.asked) == 20:
            release.set()

    servers.on_ask = note
    assert run(servers, *urls, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 21


def test_a_name_cannot_speak_to_the_terminal(servers: FakeServers, tmp_path: Path) -> None:
    name = "a\x1b[2J\nb.png"
    pictures(tmp_path / "ads", 1)
    (tmp_path / "ads" / name).write_bytes(b"no picture")
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert "failed: ads/a\\x1b[2J\\x0ab.png: " in done.stderr
    assert results(tmp_path)["files"][1]["file"] == f"ads/{name}"
    assert "ads/a\\x1b[2J\\x0ab.png: " in run(servers, "ads", "--languages", "", "--dry-run", cwd=tmp_path).stdout


def test_few_files_lie_on_the_disk_at_once(servers: FakeServers, site: Site, tmp_path: Path) -> None:
    """A model that does not answer holds up the fetching: what is not yet needed is not fetched."""
    release = threading.Event()
    most = 0

    def give(number: int, *_: Any) -> Reply:
        nonlocal most
        most = max(most, len(list((tmp_path / "captions" / ".downloads").glob("*"))))
        return 200, {}, png(number)  # each another one: what is there twice waits for nothing

    for number in range(60):
        site.pages[f"/{number}.png"] = partial(give, number)

    async def wait(*_: Any) -> None:
        await asyncio.to_thread(release.wait)

    servers.on_ask = wait
    urls = [f"{site.url}/{number}.png" for number in range(60)]
    # No more is asked for within half a second: all queues are full.
    seen: list[int] = []
    watch = threading.Timer(0, _until_still, (site, seen, release))
    watch.start()
    assert run(servers, *urls, "--concurrency", "1", "--loaders", "1", "--languages", "", cwd=tmp_path).returncode == 0
    watch.join()
    assert seen[-1] < 20
    assert most <= 8 + 2
    assert len(site.asked) == 60


def _until_still(site: Site, seen: list[int], release: threading.Event) -> None:
    while not (len(seen) > 5 and seen[-6] == seen[-1] > 0):
        time.sleep(0.1)
        seen.append(len(site.asked))
    release.set()
