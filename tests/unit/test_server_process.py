"""Parts start with a safe path: what lies in the current folder is not imported instead of our own packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from server.parts import open_gateway_socket, stack_parts
from server.profile import load_profile
from server.supervision.part import PYTHON
from server.supervision.process import ROOT, child_environment

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("server", "client", "translator", "prompts")
GRANDCHILD = """
import subprocess, sys
import {name}
print({name}.__path__[0], flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, "-c", sys.stdin.read(), "no further"], check=True)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_part_and_what_it_starts_import_our_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", ":")  # an empty entry is the current folder
    program = GRANDCHILD.format(name=name)
    done = subprocess.run(
        [*PYTHON, "-c", program],
        cwd=tmp_path,
        env=child_environment({}),
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [str(ROOT / name)] * 2, done.stderr


def test_every_part_is_started_so(tmp_path: Path) -> None:
    profile = load_profile("demo").with_settings(port=0, translator_port=0)
    with open_gateway_socket(profile.gateway) as listener:
        parts = stack_parts(profile, tmp_path, listener)
    assert len(parts) == 4
    assert {part.command[:2] for part in parts} == {(sys.executable, "-P")}


def test_what_a_part_sets_wins_over_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    environment = child_environment({"OMP_NUM_THREADS": "1"})
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PYTHONPATH"] == f"{ROOT}:/theirs"


def test_vllm_loads_our_plugin_where_the_current_folder_is_on_the_path(tmp_path: Path) -> None:
    module, _, function = pyproject()["project"]["entry-points"]["vllm.general_plugins"][
        "babelview_llama_vision"
    ].partition(":")
    assert function == "register"
    (tmp_path / "server.py").write_text("raise ImportError('the wrong one')")
    program = f"import {module}, sys; print({module}.plugin().register.__module__, sys.modules['server'].__path__[0])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["server.llama_vision", str(ROOT / "server")], done.stderr


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
