"""Commands whose output nobody reads any more, as behind `| head -1`: they end without a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_runs import pictures
from closed_pipe import CLOSED
from ledgers import plan_of, write_run
from media_files import write_video

from server.cli import main as server

if TYPE_CHECKING:
    from fake_servers import FakeServers

ROOT = Path(__file__).resolve().parents[2]


ENDING = "import click; from {runs} as run; exit(run(click.Command('it', callback=lambda: {what}), [], 'it'))"


@pytest.fixture
def folder(servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a picture, a film, what was said about the picture, a profile; and the servers."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BABELVIEW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BABELVIEW_BASE_URL", servers.url)
    monkeypatch.setenv("BABELVIEW_TRANSLATOR", servers.url)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is printed is written at the end, as for users
    pictures(tmp_path / "ads", 1)
    write_run(tmp_path / "captions", plan_of(["describe"]), ["ads/0000.png"], {"describe": "A red car."})
    return tmp_path


def unread(*arguments: str, module: str = "client.cli.main") -> tuple[int, str]:
    """Exit code and standard error of a command, the other end of whose output is closed."""
    return python_unread("-m", module, *arguments)


def python_unread(*arguments: str) -> tuple[int, str]:
    """The same of Python."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        line = [sys.executable, *arguments]
        done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=100, check=False)
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("export", "captions"),
        ("search", "car", "captions", "--json"),
        ("ask", "ads/0000.png", "What?", "--json"),
        ("batch", "ads", "--dry-run"),
        ("models", "--profile", "demo"),
    ],
    ids=" ".join,
)
def test_it_ends_quietly(folder: Path, arguments: tuple[str, ...]) -> None:
    assert (folder / "captions").is_dir()
    code, errors = unread(*arguments)
    errors = "\n".join(line for line in errors.splitlines() if not line.endswith(" files"))  # what search counts
    assert (code, errors) == (CLOSED, "")


def test_a_live_session_ends_quietly(folder: Path) -> None:
    write_video(folder / "film.mp4", 40, rate=20)
    arguments = ("film.mp4", "--realtime", "--every", "0.4", "--frames", "2", "--max-lag", "1000", "--json")
    assert unread("live", *arguments) == (CLOSED, "")


def test_the_commands_of_server_and_translator_by_their_own_name(folder: Path) -> None:
    assert unread("models", module="server") == (CLOSED, "")
    assert unread("--help", module="translator") == (CLOSED, "")
    assert server(["models"]) == 0


def test_a_stack_goes_on_without_a_word() -> None:
    code = (
        "from server.display import Output; o = Output(goes_on=True); o.print('a'); o.print('b'); raise SystemExit(7)"
    )
    assert python_unread("-c", code) == (7, "")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "runs", ["client.cli.command import invoke", "server.command import run", "translator.command import run"]
)
def test_what_ends_for_another_reason_says_that(runs: str) -> None:
    assert python_unread("-c", ENDING.format(runs=runs, what="exit(2)")) == (2, "")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("runs", ["client.cli.command import invoke", "server.command import run"])
def test_what_is_written_at_the_end_alone_counts_too(runs: str) -> None:
    assert python_unread("-c", ENDING.format(runs=runs, what="print('a')")) == (CLOSED, "")
