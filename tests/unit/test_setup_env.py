"""`make setup`: what it decides and what it says, without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import setup_env

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment that runs the tests stands for `.venv`; the log goes elsewhere."""
    monkeypatch.setattr(setup_env, "ROOT", tmp_path)
    monkeypatch.setattr(setup_env, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    return tmp_path


def test_imports_are_tried_in_a_process_of_their_own(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env, "VENV", venv)
    tried = setup_env.try_imports("json:loads", "json:no_such_thing", "no_such_module")
    assert tried["json:loads"] is None
    assert "no_such_thing" in str(tried["json:no_such_thing"])
    assert "no_such_module" in str(tried["no_such_module"])
    assert "no_such_module" not in sys.modules


def test_an_index_that_does_not_answer_is_left_out() -> None:
    assert not setup_env.index_answers("http://127.0.0.1:9")
    assert not setup_env.index_answers("not an address")


def test_a_full_disk_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env, "PYTHON", tmp_path / "none")
    monkeypatch.setitem(setup_env.FREE_GB, "cpu", 10**9)
    with pytest.raises(setup_env.SetupError, match="GB of free disk"):
        setup_env.check_machine("cpu")


def test_no_driver_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not setup_env.gpu_answers()
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA Something (UUID: GPU-1)'\n")
    driver.chmod(0o755)
    assert setup_env.gpu_answers()
    driver.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver'\nexit 9\n")
    assert not setup_env.gpu_answers()


def test_the_import_hook_declares_what_torchvision_misses(tmp_path: Path) -> None:
    """A stand-in for torchvision that does what the CUDA build does first: it gives an operator a fake."""
    (tmp_path / f"{setup_env.HOOK_NAME}.py").write_text(setup_env.HOOK)
    fake = tmp_path / "torchvision"
    fake.mkdir()
    (fake / "__init__.py").write_text(
        "import torch\n@torch.library.register_fake('torchvision::qnms')\ndef f(dets, scores, threshold): return dets\n"
    )

    def run(code: str) -> subprocess.CompletedProcess[str]:
        # -S: without the site-packages' own hook, where there is one.
        paths = os.pathsep.join([str(tmp_path), str(Path(os.__file__).parent), *sys.path])
        return subprocess.run(
            [sys.executable, "-S", "-c", code], env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
        )

    assert "does not exist" in run("import torchvision").stderr
    assert run(f"import {setup_env.HOOK_NAME}, sys; assert 'torch' not in sys.modules; import torchvision").stderr == ""


def test_make_finds_the_scripts_and_keeps_what_is_compiled_whatever_python_is_told(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "scripts" / "demo").mkdir(parents=True)
    (tmp_path / "scripts" / "setup_env.py").write_text("import sys; print('set-up', sys.dont_write_bytecode)")
    (tmp_path / "scripts" / "demo" / "__main__.py").write_text("import sys; print('demo', sys.dont_write_bytecode)")
    # Without site-packages: nothing of an installed Babelview is found.
    bare = tmp_path / ".venv" / "bin" / "python"
    bare.parent.mkdir(parents=True)
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    # Those of make are there where make runs the tests: it would tell of the folders that it enters.
    unwanted = ("PYTHONPATH", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    done = subprocess.run(
        ["make", "demo", f"PYTHON={bare}"],
        cwd=tmp_path,
        env={**environment, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["set-up False", "demo False"], done.stderr


def test_a_second_run_changes_nothing() -> None:
    """Where `make setup` made the environment that runs the tests, as `make test` does."""
    if Path(sys.prefix) != ROOT / ".venv" or not setup_env.STAMP.exists():
        pytest.skip("the tests run in an environment that `make setup` did not make")
    before = (setup_env.STAMP.read_bytes(), setup_env.STAMP.stat().st_mtime_ns)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.setup_env"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "is ready" in done.stdout
    assert (setup_env.STAMP.read_bytes(), setup_env.STAMP.stat().st_mtime_ns) == before


def test_setup_goes_on_where_the_report_s_page_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Error: the page cannot be built: npm ci: no network' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(setup_env, "PYTHON", python)
    setup_env.build_report()
    said = "setup: the page cannot be built: npm ci: no network; all but babelview report and the studio works"
    assert capsys.readouterr().out == f"{said} without it\n"
    python.write_text("#!/bin/sh\n")
    setup_env.build_report()
    assert capsys.readouterr().out == ""
