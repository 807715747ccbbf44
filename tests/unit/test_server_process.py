"""Parts start with a safe path: what lies in the current folder is not imported instead of our own packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import babelview_vllm
from server.parts import open_gateway_socket, stack_parts
from server.policy import Policy
from server.profile import load_profile
from server.supervision.logs import PartLog
from server.supervision.part import PYTHON
from server.supervision.process import ROOT, Process, child_environment

if TYPE_CHECKING:
    from pathlib import Path

    from server.supervision.part import Part

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
    assert len(parts) == 3 + len(profile.engines)
    assert {part.command[:2] for part in parts} == {(sys.executable, "-P")}


KEYS = {
    "BABELVIEW_API_KEYS", "BABELVIEW_API_KEY", "OPENAI_API_KEY", "BABELVIEW_TRANSLATOR_API_KEY", "VLLM_API_KEY",
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "KEY_OF_THE_OTHERS",
}  # fmt: skip
WITH_KEYS = """
[translator]
model = "{translator}"
[captioner]
[[engines]]
name = "local"
model = "demo:llama-3.2-11b-vision"
max_model_len = 512
[[engines]]
name = "hub"
model = "org/model"
max_model_len = 512
urls = ["http://elsewhere"]
url_key_variable = "KEY_OF_THE_OTHERS"
"""
HUB = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """All variables that hold keys, and options of the translator, in our environment."""
    for name in KEYS:
        monkeypatch.setenv(name, f"secret-of-{name.lower()}")
    monkeypatch.setenv("BABELVIEW_TRANSLATOR_DEVICE", "cuda")


def parts_with_keys(folder: Path, translator: str = "demo") -> dict[str, Part]:
    path = folder / "keys.toml"
    path.write_text(WITH_KEYS.format(translator=translator))
    profile = load_profile(str(path)).with_settings(port=0, translator_port=0)
    with open_gateway_socket(profile.gateway) as listener:
        return {part.name: part for part in stack_parts(profile, folder, listener)}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("name", "translator", "sees"),
    [
        ("gateway", "demo", {"BABELVIEW_API_KEYS", "BABELVIEW_TRANSLATOR_API_KEY", "KEY_OF_THE_OTHERS"}),
        ("vllm-local", "demo", set()),
        ("captioner", "demo", set()),
        ("vllm-hub", "demo", HUB),
        ("translator", "demo", {"BABELVIEW_TRANSLATOR_API_KEY"}),
        ("translator", "facebook/nllb-200-distilled-600M", {"BABELVIEW_TRANSLATOR_API_KEY", *HUB}),
    ],
)
async def test_a_part_gets_the_keys_that_it_needs_alone(
    tmp_path: Path, name: str, translator: str, sees: set[str]
) -> None:
    part = parts_with_keys(tmp_path, translator)[name]
    log = PartLog(tmp_path / "part.log", Policy())
    command = (*PYTHON, "-c", "import os; print(*os.environ)")
    process = await Process.start(command, env=part.env, hidden=part.hidden, log=log)
    await process.wait()
    await process.kill()
    seen = set((tmp_path / "part.log").read_text().split())
    assert "PYTHONSAFEPATH" in seen
    assert seen & KEYS == sees


@pytest.mark.usefixtures("keys")
def test_the_translators_options_in_the_environment_do_not_reach_the_stacks(tmp_path: Path) -> None:
    part = parts_with_keys(tmp_path)["translator"]
    translators = {name for name in child_environment(part.env, part.hidden) if name.startswith("BABELVIEW_TRANSLATOR")}
    assert translators == {"BABELVIEW_TRANSLATOR_API_KEY"}


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


SPY = """
import sys
class Spy:
    def find_spec(self, name, path=None, target=None):
        assert sys.path == expected, (name, sys.path)
import babelview_vllm
expected = list(sys.path)
sys.meta_path.insert(0, Spy())
babelview_vllm.plugin()
import server.llama_vision.geometry, server.errors
print(server.__path__[0])
"""


def test_the_plugin_leaves_the_path_alone() -> None:
    """Else, from a wheel, all of site-packages would stand before the standard library."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SPY], env=environment, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.stdout.split() == [str(ROOT / "server")], done.stderr


def test_the_plugin_is_found_as_it_is_installed(tmp_path: Path) -> None:
    """An editable install that copied the entry point's file would leave our `server` behind."""
    code = "import babelview_vllm; print(babelview_vllm.plugin().__name__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["server.llama_vision"], done.stderr


def test_another_server_that_was_imported_before_the_plugin_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = ModuleType("server")
    theirs.__file__ = str(tmp_path / "server.py")
    monkeypatch.setitem(sys.modules, "server", theirs)
    with pytest.raises(ImportError, match=rf"imported `server` from {tmp_path}/server.py: give that module another"):
        babelview_vllm.plugin()


def test_ours_that_was_imported_before_the_plugin_will_do() -> None:
    assert babelview_vllm.plugin() is sys.modules["server.llama_vision"]


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
