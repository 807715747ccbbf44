"""A cluster of raylets on this machine, an S3 server, and endpoints that can hold requests and tell who sent them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil

from scripts.benchmarks.client import ROOT
from scripts.benchmarks.common.cli import start
from scripts.benchmarks.fakes.scripted import FakeServers, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiohttp import web

BUCKET = "ads"
OF_RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    # Else it ends workers where others fill the memory, and stops where the disk is nearly full.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_local_fs_capacity_threshold": "1",
}
"""Settings of the test cluster, which shares its machine with other programs."""
PATIENT_S = 400.0


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENT_S) -> None:
    """Wait for something that will come.

    Raises:
        TimeoutError: it did not.
    """
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.05)


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Moto's S3 in a process of its own, with a bucket; gives the environment that names it."""
    port = free_port()
    with (folder / "s3.log").open("wb") as log:
        server = start(
            [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        wait_until(lambda: _listens(port), "the S3 server")
        client(environment).create_bucket(Bucket=BUCKET)
        yield environment
    finally:
        server.kill()
        server.wait()


def client(environment: dict[str, str]) -> Any:
    """boto3's client of the S3 server."""
    import boto3  # noqa: PLC0415

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106
        region_name="us-east-1",
    )


def upload(environment: dict[str, str], folder: Path, prefix: str = "in") -> None:
    """Bring the files of a folder into the bucket."""
    store = client(environment)
    for path in sorted(folder.iterdir()):
        store.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.name}", Body=path.read_bytes())


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def content_of(body: dict[str, Any]) -> str:
    """What stands for the media of a request."""
    return hashlib.sha256(json.dumps(body["messages"][0]["content"][:-1]).encode()).hexdigest()[:16]


class Endpoint(FakeServers):
    """Says the same of the same media; what comes after `holds_after` requests it holds, while that is set."""

    def __init__(self) -> None:
        """It answers at once."""
        super().__init__(lambda body: f"I see {content_of(body)}")
        self.holds_after: int | None = None
        self.held: dict[int, str] = {}
        """Port of the client's side -> content, of each request that is held."""
        self.begun = 0
        self.on_ask = self._hold

    async def _hold(self, request: web.Request, body: dict[str, Any], _: int) -> None:
        self.begun += 1
        if self.holds_after is None or self.begun <= self.holds_after:
            return
        peer = request.transport.get_extra_info("peername")[1] if request.transport else 0
        self.held[peer] = content_of(body)
        try:
            while self.holds_after is not None:  # noqa: ASYNC110  # another thread ends it
                await asyncio.sleep(0.02)
        finally:
            del self.held[peer]

    def contents(self) -> list[str]:
        """What was asked about, in the order in which it came."""
        return [content_of(body) for body in self.asked]


class Raylets:
    """Ray's test cluster: several raylets, each a machine with CPUs of its own as far as Ray knows."""

    def __init__(self, count: int, cpus: int, environment: dict[str, str]) -> None:
        """Start the head without CPUs, and `count` others."""
        from ray._private import services  # noqa: PLC0415
        from ray.cluster_utils import Cluster  # noqa: PLC0415

        services.get_node = _patient(services.get_node)
        os.environ.update(environment | OF_RAY)
        # The raylets give it to their workers.
        os.environ["PYTHONPATH"] = str(ROOT)
        os.environ.setdefault("RAY_TMPDIR", tempfile.gettempdir())
        settings: dict[str, Any] = {"object_store_memory": 80 << 20}
        head = {"num_cpus": 0, "include_dashboard": False, "wait": False, **settings}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(wait=False, num_cpus=cpus, **settings) for _ in range(count)]
        self.cluster.wait_for_nodes(PATIENT_S)
        self.alive = count

    @property
    def address(self) -> str:
        """What `--ray` takes."""
        return str(self.cluster.address)

    def processes(self, number: int) -> set[int]:
        """The ids of all processes of a raylet."""
        raylet = self.nodes[number].all_processes["raylet"][0].process.pid
        with suppress(psutil.NoSuchProcess):
            return {raylet, *(child.pid for child in psutil.Process(raylet).children(recursive=True))}
        return set()

    def kill(self, number: int) -> None:
        """Kill a raylet and all of its workers at once, as a machine that loses power does."""
        self.alive -= 1
        for pid in self.processes(number):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End all."""
        self.cluster.shutdown()


def _patient(look: Callable[..., Any]) -> Callable[..., Any]:
    """Ray's look for a node that starts, which gives up after 30 s: on a busy machine it takes longer."""

    def get_node(*arguments: Any) -> Any:
        until = time.monotonic() + PATIENT_S
        while True:
            try:
                return look(*arguments)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    return get_node


def who_holds(endpoint: Endpoint) -> dict[int, list[str]]:
    """Process -> the contents of the requests that it has in flight at an endpoint that holds them."""
    ports: dict[int, int] = {}
    for connection in psutil.net_connections("tcp4"):
        if connection.laddr and connection.raddr and connection.raddr.port == endpoint.port and connection.pid:
            ports[connection.laddr.port] = connection.pid
    found: dict[int, list[str]] = {}
    for port, content in list(endpoint.held.items()):
        if pid := ports.get(port):
            found.setdefault(pid, []).append(content)
    return found


def batch(
    environment: dict[str, str], endpoints: list[Endpoint], log: Path, *arguments: str
) -> subprocess.Popen[bytes]:
    """`babelview batch` as a process of its own, which writes to a log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    ours = {
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",
        "BABELVIEW_BASE_URL": ",".join(f"{endpoint.url}/v1" for endpoint in endpoints),
        "BABELVIEW_TRANSLATOR": endpoints[0].url,
    }
    command = [sys.executable, "-P", "-m", "client.batch", *arguments, "--languages", "spa_Latn", "--no-hear"]
    with log.open("ab") as file:
        return start(command, env=kept | environment | ours, cwd=log.parent, stdout=file, stderr=file)
