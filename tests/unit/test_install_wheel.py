"""`pip install .`: what the wheel holds, and that its commands work in any folder, without a checkout beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_THE_BASE_INSTALL = ["batch", "ask", "export", "report", "up", "check", "status", "models", "translate"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made with hatchling alone, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pip would lay it into `site-packages`."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def babelview(unpacked: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The console script of the unpacked wheel, run in `folder`."""
    entry = "import sys; from client.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-P", "-c", entry, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_what_is_needed_at_run_time_and_one_precision_of_the_demo_models(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("client", "server", "translator"):
        assert f"{package}/py.typed" in names
    prompts = {path.relative_to(ROOT).as_posix() for path in (ROOT / "prompts").glob("*/*.md")}
    assert prompts
    assert prompts <= names
    demo_models = {name.split("/")[2] for name in names if name.startswith("server/demo/")}
    assert demo_models == {"llama-3.2-11b-vision", "llava-next-video-7b", "whisper-large-v3-turbo"}
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "client/report/page/"))]
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "client" / "report" / "static").glob("*")}
    assert page <= names  # empty where it was not built


def test_the_version_and_every_help_are_there_in_any_folder(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("raise SystemExit('the user has a server of their own')\n")
    (tmp_path / "prompts").mkdir()
    version = babelview(unpacked, tmp_path, "--version")
    assert version.returncode == 0, version.stderr
    assert "0.1.0" in version.stdout
    for command in IN_THE_BASE_INSTALL:
        shown = babelview(unpacked, tmp_path, command, "--help")
        assert shown.returncode == 0, shown.stderr
        assert command in shown.stdout


def test_the_prompts_are_found(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    done = babelview(unpacked, tmp_path, "batch", "a.png", "--tasks", "describ", "--languages", "")
    assert done.returncode == 2
    assert "describe" in done.stderr
