"""Runs of the batch client, as a function and as a process, and what they leave."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_servers import FakeServers, what_is_seen
from media_files import SIZE, numbered
from PIL import Image
from shared_decoders import SharedForkServer

from client.batch import main

ROOT = Path(__file__).resolve().parents[2]


def pictures(folder: Path, count: int, first: int = 0, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        Image.fromarray(numbered(number, size)).save(folder / f"{number:04d}.png")
    return folder


def tree(folder: Path, *names: str) -> Path:
    """A folder with files of these names, whose content is nothing that could be decoded."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
    return folder


def command(servers: FakeServers | str, *arguments: str | Path) -> tuple[list[str], dict[str, str]]:
    url = servers if isinstance(servers, str) else servers.url
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BABELVIEW_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "BABELVIEW_BASE_URL": f"{url}/v1",
        "BABELVIEW_TRANSLATOR": url,
        "BABELVIEW_API_KEY": "secret",
    }
    return [sys.executable, "-m", "client.batch", *map(str, arguments)], environment


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(servers: FakeServers | str, *arguments: str | Path, cwd: Path) -> Done:
    """A run within this process: the same in all but the second that a process and its decoders take to start."""
    line, environment = command(servers, *arguments)
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.chdir(cwd)
        patch.setattr("client.media.loaders.ForkServer", SharedForkServer)
        patch.setattr("client.media.fork_server.ForkServer", SharedForkServer)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = main(line[3:])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, output.getvalue(), errors.getvalue())


def run_process(servers: FakeServers | str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    line, environment = command(servers, *arguments)
    return subprocess.run(line, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)


def start(servers: FakeServers, *arguments: str | Path, cwd: Path) -> subprocess.Popen[Any]:
    line, environment = command(servers, *arguments)
    return subprocess.Popen(line, env=environment, cwd=cwd, stderr=subprocess.PIPE, text=True, start_new_session=True)


def results(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "captions" / "results.json").read_text())
    return loaded


def wait_until(condition: Any, timeout_s: float = 100.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            pytest.fail("it did not happen")
        time.sleep(0.02)


def seen_in(asked: list[dict[str, Any]]) -> list[str]:
    return [what_is_seen(body) for body in asked]
