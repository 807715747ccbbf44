"""`python -m server up` where nothing can start: one clear line, exit code 1, nothing left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server import stack
from server.errors import PreflightError

ROOT = Path(__file__).parents[2]
PROFILE = """
[gateway]
port = 0
[[engines]]
name = "m"
model = "{model}"
max_model_len = 512
memory_gib = {memory}
"""


def up(
    folder: Path, *arguments: str, model: str | None = None, memory: float = 0.1
) -> subprocess.CompletedProcess[str]:
    """Run it to its end with a profile whose model is there but holds nothing."""
    there = folder / "model"
    there.mkdir()
    (there / "config.json").write_text("{}")
    profile = folder / "p.toml"
    profile.write_text(PROFILE.format(model=model or there, memory=memory))
    command = [
        sys.executable,
        "-m",
        "server",
        "up",
        "--profile",
        str(profile),
        "--log-dir",
        str(folder / "logs"),
    ]
    environment = {**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], folder: Path, *says: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    for words in says:
        assert words in done.stderr
    assert not list(folder.glob("babelview-*"))


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_one_line(up(tmp_path, "--port", port), tmp_path, "gateway", port, "in use (--port names another one")


def test_beside_a_running_stack() -> None:
    """It is told before the memory that it takes."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as short,  # a socket's path has 107 characters at most
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.socket(socket.AF_UNIX) as status,
    ):
        folder, port = Path(short), taken.getsockname()[1]
        path = folder / "run" / f"babelview-{os.getuid()}" / f"{port}.sock"
        path.parent.mkdir(parents=True)
        status.bind(str(path))
        status.listen()

        def tell() -> None:
            status.accept()[0].sendall(b'{"pid": 77}')

        threading.Thread(target=tell, daemon=True).start()
        done = up(folder, "--port", str(port), memory=10_000.0)
        assert_one_line(done, folder, f"runs behind port {port} already (process 77): babelview status", "--port")


def test_an_address_that_is_not_ours_is_told_also_beside_a_running_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "ask", lambda _: {"pid": 77})
    elsewhere: Any = SimpleNamespace(host="192.0.2.1", port=0)
    with pytest.raises(PreflightError, match=r"cannot listen on 192\.0\.2\.1"):
        stack._gateway_socket(elsewhere)


def test_a_missing_model(tmp_path: Path) -> None:
    assert_one_line(up(tmp_path, model="/no/such/model"), tmp_path, "/no/such/model", "missing")


def test_a_folder_that_cannot_be_made_for_logs(tmp_path: Path) -> None:
    done = up(tmp_path, "--port", "0", "--log-dir", "/proc/nope/x")
    assert_one_line(done, tmp_path, "/proc/nope/x", "--log-dir", "No such file")


@pytest.mark.parametrize(("name", "why"), [("missing/ready.json", "No such file"), ("model", "Is a directory")])
def test_a_ready_file_that_cannot_be_written_is_told_before_anything_starts(
    tmp_path: Path, name: str, why: str
) -> None:
    path = str(tmp_path / name)
    assert_one_line(up(tmp_path, "--port", "0", "--ready-file", path), tmp_path, path, "--ready-file", why)
    assert not list((tmp_path / "logs").glob("vllm-*"))


def test_too_little_memory(tmp_path: Path) -> None:
    assert_one_line(up(tmp_path, memory=1e6), tmp_path, "too little memory", "1000000.0 GiB")


def test_a_missing_profile(tmp_path: Path) -> None:
    assert_one_line(up(tmp_path, "--profile", "nope"), tmp_path, "nope", "demo")


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "x"], ["--what"]])
def test_usage_errors_are_2(tmp_path: Path, arguments: list[str]) -> None:
    assert up(tmp_path, *arguments).returncode == 2
