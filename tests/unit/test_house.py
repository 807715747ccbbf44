"""The rules of the house: who may import whom, how long a file may be, and words that were given up.

The layers stand in pyproject.toml, under `[tool.importlinter]`; here is what import-linter has no contract for.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("client", "server", "translator")
LONGEST_FILE = 400
LONGER_FOR_A_REASON: dict[str, str] = {}
"""File -> why it is longer than `LONGEST_FILE` lines."""

GIVEN_UP = {
    "Card", "Keeper", "Lifeline", "Reception", "Exchange", "Patience", "Standing", "Condition", "Known", "Tally",
    "Screen", "Seeker", "_Camera", "_Nursery", "_obituary", "take_stock", "settle", "KeptOutError", "Light", "Sides",
    "mid_stack", "deaf",
}  # fmt: skip
"""Private words for what the field has words for: no class, function or module is called so again."""
GIVEN_UP_MODULES = {
    "card", "damage", "deaf", "exchange", "faults", "guards", "keeper", "lifeline", "reception", "store", "stored",
    "tally", "turns", "verbatim", "waiting",
}  # fmt: skip
OTHER_SECONDS = re.compile(r"[a-z]_(sec|secs|seconds)$", re.IGNORECASE)
PUBLISHED = {
    "duration_sec", "generation_time_sec", "total_processing_time_sec", "mean_time_per_file_sec", "wall_time_sec",
    "tokens_per_sec", "files_per_sec", "request_seconds", "batch_seconds",
}  # fmt: skip
"""Names of the record, of its statistics and of metrics, which users' programs read."""


def sources(*folders: str) -> list[Path]:
    """All Python files of these folders."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def definitions(path: Path) -> set[str]:
    """Names of the classes and functions that a file defines."""
    defined = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, defined)}


def values(path: Path) -> set[str]:
    """Names of the parameters, fields and variables of a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return names


def test_the_layers_hold() -> None:
    linter = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_circle_also_for_types_alone(package: str) -> None:
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imported) > 10
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources(*PACKAGES, "scripts")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long.keys() == LONGER_FOR_A_REASON.keys(), long


@pytest.mark.parametrize("package", [*PACKAGES, "scripts"])
def test_words_that_were_given_up_do_not_come_back(package: str) -> None:
    back = {(path.name, name) for path in sources(package) for name in definitions(path) & GIVEN_UP}
    back |= {(path.name, path.stem) for path in sources(package) if path.stem in GIVEN_UP_MODULES}
    assert not back


@pytest.mark.parametrize("package", [*PACKAGES, "scripts"])
def test_seconds_end_in_one_suffix(package: str) -> None:
    other = {
        (str(path.relative_to(ROOT)), name)
        for path in sources(package)
        for name in values(path)
        if OTHER_SECONDS.search(name) and name.lstrip("_") not in PUBLISHED
    }
    assert not other


@pytest.mark.parametrize("package", PACKAGES)
def test_all_errors_of_a_package_stand_in_one_file(package: str) -> None:
    elsewhere = {
        (str(path.relative_to(ROOT)), node.name)
        for path in sources(package)
        if path != ROOT / package / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and re.search(r"^[A-Za-z]\w*Error$", node.name)
    }
    assert not elsewhere
