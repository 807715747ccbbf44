"""What tests of many machines share: an S3 server, and what a driver does, without Ray."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from shared_decoders import SharedForkServer

from client.api.options import plan_of
from client.api.session import Session
from client.cluster import records
from client.cluster.listing import Wanted, blocks
from client.cluster.objects import Objects
from client.cluster.tables import Tables
from client.cluster.worker import Work, Worker
from client.sources.folders import Choice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fake_servers import FakeServers


@contextmanager
def s3_server() -> Iterator[str]:
    """moto's, in this process, with an empty bucket `ads`; the environment names it meanwhile."""
    import boto3  # noqa: PLC0415  # a second
    import s3fs  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        boto3.client("s3").create_bucket(Bucket="ads")
        yield os.environ["AWS_ENDPOINT_URL"]
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()


def put_files(folder: Path, prefix: str = "in") -> None:
    """Bring the files of a folder into the bucket."""
    import boto3  # noqa: PLC0415

    client = boto3.client("s3")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.put_object(Bucket="ads", Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())


def asked_of(**options: Any) -> Any:
    return plan_of({"languages": ["spa_Latn"], **options}, Session("http://127.0.0.1:1").models)


def work_of(servers: FakeServers, output: str, *, redo: str | None = None, **options: Any) -> Work:
    """What a driver gives its actors for a new run."""
    objects = Objects(output)
    asked, runs, tables = asked_of(**options), records.runs_of(objects), Tables(objects)
    run = records.begin(objects, runs, asked.plan, redo)
    earlier = records.gone_on_with(runs, run)
    done = records.done_by(objects, tables, earlier)
    session = {"base_url": f"{servers.url}/v1", "translator": servers.url, "concurrency": 4, "loaders": 1}
    redo_run = earlier[-1]["id"] if redo and earlier else None
    return Work(
        asked, session, None, output, run["id"], redo, redo_run, tables.names, lambda: np.array(done), None, print
    )


def wanted_of(*paths: str, manifests: Sequence[str] = ()) -> Wanted:
    return Wanted(list(paths), list(manifests), None, Choice(), os.getcwd())  # noqa: PTH109


def do(work: Work, wanted: Wanted) -> list[dict[str, Any]]:
    """All blocks, one after the other, in one actor."""
    outcomes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("client.api.session.ForkServer", SharedForkServer)
        worker = Worker(work)
        for row in blocks(wanted, 1):
            batch = {name: [value] for name, value in row.items()}
            outcomes += [orjson.loads(each) for given in worker(batch) for each in given["outcome"]]
    return outcomes
