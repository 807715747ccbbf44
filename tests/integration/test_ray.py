"""A batch on a real Ray cluster with files and results in S3, one of whose machines is lost.

`python -m scripts.benchmarks.cluster` does so with more files, and kills the driver, too.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures
from clusters import without_times

from client.cluster.local_copy import local_folder
from client.export.formats import export
from scripts.benchmarks.cluster.rig import Endpoint, Raylets, batch, client, s3_server, upload, wait_until, who_holds

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

FILES, BEFORE, AT_ONCE = 64, 3, 4
"""Pictures; requests to an endpoint that are answered before it holds the others; the bound of each."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Raylets, dict[str, str], Path]]:
    """Two raylets of one CPU each, and a bucket with pictures."""
    folder = tmp_path_factory.mktemp("cluster")
    before = dict(os.environ)
    with s3_server(folder) as environment:
        upload(environment, pictures(folder / "in", FILES))
        raylets = Raylets(2, 1, environment)
        try:
            yield raylets, environment, folder
        finally:
            raylets.close()
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def endpoints() -> Iterator[list[Endpoint]]:
    """Two, which hold what comes after some requests."""
    both = [Endpoint(), Endpoint()]
    for endpoint in both:
        endpoint.holds_after = BEFORE
    yield both
    for endpoint in both:
        endpoint.close()


def all_held(endpoints: list[Endpoint]) -> bool:
    return all(len(endpoint.held) == AT_ONCE for endpoint in endpoints)


def release(endpoints: list[Endpoint]) -> None:
    for endpoint in endpoints:
        endpoint.holds_after = None


def asked(endpoints: list[Endpoint]) -> Counter[str]:
    return Counter(content for endpoint in endpoints for content in endpoint.contents())


def stored(environment: dict[str, str], output: str) -> int:
    """Answers in the journal of an output."""
    found = client(environment).list_objects_v2(Bucket="ads", Prefix=f"{output}/journal/").get("Contents", ())
    return sum(not entry["Key"].endswith("/media.json") for entry in found)


def arguments(raylets: Raylets, output: str) -> list[str]:
    return [
        "s3://ads/in",
        "--ray",
        raylets.address,
        "--output",
        output,
        "--loaders",
        "1",
        "--concurrency",
        str(AT_ONCE),
    ]


def ended(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.wait(300) == 0, log.read_text()[-4000:]


def records(folder: str) -> Any:
    with local_folder(folder, write=False) as here:
        export(here, ["json"])
        found = json.loads((here / "results.json").read_text())["files"]
    return [{"name": it["file"].rpartition("/")[2], **without_times(it)} for it in found]


@pytest.mark.timeout(600)
def test_a_machine_is_lost_with_requests_in_flight(
    rig: tuple[Raylets, dict[str, str], Path], endpoints: list[Endpoint]
) -> None:
    """Its requests, and no others, are asked again; the records are those of one machine."""
    raylets, environment, folder = rig
    log = folder / "lost.log"
    running = batch(environment, endpoints, log, *arguments(raylets, "s3://ads/lost"))
    wait_until(lambda: all_held(endpoints) or running.poll() is not None, "requests in flight at both endpoints")
    assert all_held(endpoints), log.read_text()[-4000:]
    # The next requests are sent, but the last answers may yet be on their way to the store.
    wait_until(lambda: stored(environment, "lost") == 2 * BEFORE, "all answers in the store")
    lost = {content for pid in raylets.processes(0) for it in endpoints for content in who_holds(it).get(pid, ())}
    assert len(lost) == AT_ONCE  # half of what is in flight stands on this machine
    raylets.kill(0)
    wait_until(lambda: sum(len(it.held) for it in endpoints) == 2 * AT_ONCE - len(lost), "the end of its requests")
    release(endpoints)
    ended(running, log)
    counts = asked(endpoints)
    assert len(counts) == FILES
    assert {content for content, count in counts.items() if count > 1} == lost
    assert max(counts.values()) == 2
    ended(batch(environment, endpoints, log, "in", "--output", "one"), log)
    assert records("s3://ads/lost") == records(str(folder / "one"))
