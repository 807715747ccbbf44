"""Ctrl-C while a command still imports what it needs, and once it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ledgers import plan_of, write_run

ROOT = Path(__file__).resolve().parents[2]
LOST = """
import os, signal, sys

class Lost:
    def __del__(self):  # what is raised here goes nowhere, as in callbacks of imports
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            sys.meta_path.remove(self)
            Lost()

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests are started with `&`
sys.meta_path.insert(0, Interrupting())
"""
WRITING = """
import os, signal, sys
from client.cli.main import main
from client.export import csv_file

def cell(value):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100):
        pass

csv_file._cell = cell
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
BEGUN = """
import os, signal, sys
from importlib import import_module
from client.cli.main import main

def first(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100):
        pass

module, name = sys.argv.pop().split(":")
setattr(import_module(module), name, first)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
PROFILE = '[gateway]\nport = 0\n[[engines]]\nname = "m"\nmodel = "not/here"\nmax_model_len = 512\n'


def interrupted(folder: Path, module: str, *arguments: str, at: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS` in `folder` until it ends."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(LOST)
    environment = os.environ | {"PYTHONPATH": f"{folder / 'site'}:{ROOT}", "INTERRUPT_AT": at}
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    ("module", "arguments", "at"),
    [
        ("client.cli.main", ("status",), "click"),
        ("client.batch", ("ads",), "click"),
        ("client.export", ("captions",), "click"),
        ("client.captioner", (), "click"),
        ("server", ("status",), "click"),
        ("translator", (), "click"),
        ("client.cli.main", ("up", "--profile", "p.toml"), "server.profile"),
        ("client.cli.main", ("up", "--profile", "p.toml"), "server.stack"),
        ("server", ("up", "--profile", "p.toml"), "server.stack"),
        ("client.cli.main", ("models", "--profile", "p.toml"), "server.display"),
    ],
)
def test_it_ends_the_command_at_once(tmp_path: Path, module: str, arguments: tuple[str, ...], at: str) -> None:
    (tmp_path / "p.toml").write_text(PROFILE)
    done = interrupted(tmp_path, module, *arguments, at=at)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (("report", "captions"), "client.report.write:check_built"),
        (("search", "car", "captions"), "client.cluster.ownership:is_of_cluster"),
        (("selftest", "--profile", "demo"), "server.profile:load_profile"),
    ],
)
def test_it_is_raised_once_a_command_has_begun(tmp_path: Path, arguments: tuple[str, ...], first: str) -> None:
    line = [sys.executable, "-c", BEGUN, *arguments, first]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\ninterrupted\n"), "the first line is click's"


def test_what_has_begun_to_write_cleans_up(tmp_path: Path) -> None:
    write_run(tmp_path / "captions", plan_of(["describe"]), ["a.png"], {"describe": "A car."})
    before = sorted((tmp_path / "captions").iterdir())
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", WRITING, "export", "captions", "--format", "csv"]
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "interrupted")
    assert sorted((tmp_path / "captions").iterdir()) == before
