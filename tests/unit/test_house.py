"""The rules of the house: who may import whom, how long a file may be, and words that were given up.

The layers stand in pyproject.toml, under `[tool.importlinter]`; here is what import-linter has no contract for.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("client", "server", "translator")
LONGEST_FILE = 400
LONGER_FOR_A_REASON: dict[str, str] = {}
"""File -> why it is longer than `LONGEST_FILE` lines."""

GIVEN_UP_WORDS = {
    "card", "cards", "deaf", "fault", "faults", "guard", "guards", "keeper", "keepers", "lifeline", "lifelines",
    "nursery", "obituary", "patience", "reception", "seeker", "sides", "tally", "verbatim",
}  # fmt: skip
"""Private words for what the field has words for: no name has one of them in it."""
GIVEN_UP_NAMES = {
    "": {
        "Camera", "Condition", "Exchange", "KeptOutError", "Known", "Light", "Screen", "Standing", "mid_stack",
        "settle", "take_stock",
    },
    "client/endpoints": {"Service"},
    "client/sources": {"place", "stamp"},
    "scripts/benchmarks": {"light"},
    "server": {"turn", "turns"},
    "server/gateway": {"Record"},
    "server/supervision": {"door", "whole"},
}  # fmt: skip
"""Folder -> names that were given up there, and that mean what they say elsewhere."""
GIVEN_UP_MODULES = {
    "damage", "exchange", "mid_stack", "standing", "store", "stored", "turns", "waiting",
}  # fmt: skip
WORDS_OF_OTHERS = {
    ("translator/model/engine.py", "_PATIENCE"),  # beam search's, in CTranslate2
    ("server/check.py", "turn"),  # which of several models that take turns; not renamed yet
}
LONG_SUFFIX = re.compile(r"(^_*|[a-z]_)(sec|secs|seconds)$", re.IGNORECASE)
PUBLISHED = {
    "duration_sec", "generation_time_sec", "total_processing_time_sec", "mean_time_per_file_sec", "wall_time_sec",
    "tokens_per_sec", "files_per_sec", "request_seconds", "batch_seconds",
}  # fmt: skip
"""Names of the record, of its statistics and of metrics, which users' programs read."""
SECONDS_STILL = {
    "client/cli/progress.py", "client/cli/stats.py", "client/endpoints/chat.py",
    "client/endpoints/retry.py", "client/export/interim.py", "client/ledger/events.py", "client/media/sampling.py",
    "client/media/video.py", "client/record.py", "client/sources/download.py",
    "server/gateway/metrics.py",
}  # fmt: skip
"""Files in which a bare `seconds` is not renamed yet."""


def sources(*folders: str) -> list[Path]:
    """All Python files of these folders."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


@dataclass
class Names:
    """What a file gives names to."""

    values: set[str] = field(default_factory=set)
    """Parameters, fields, properties and variables."""
    classes: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    """Functions, and what is imported by another name."""

    @property
    def all(self) -> set[str]:
        return self.values | self.classes | self.others


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a tree that say something, in any order: in half the time of `ast.walk`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST) and not isinstance(child, ast.expr_context):
                    waiting.append(child)  # noqa: PERF401 - a comprehension for each field takes longer


@cache
def names(path: Path) -> Names:
    """The names in a file, which several rules are about."""
    found = Names()
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.arg):
            found.values.add(node.arg)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                found.values.add(node.id)
        elif isinstance(node, ast.Attribute):
            if isinstance(node.ctx, ast.Store):
                found.values.add(node.attr)
        elif isinstance(node, ast.ClassDef):
            found.classes.add(node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.others.add(node.name)
            if "property" in {ast.unparse(each) for each in node.decorator_list}:
                found.values.add(node.name)
        elif isinstance(node, ast.alias) and node.asname:
            found.others.add(node.asname)
    return found


def given_up(path: Path, folder: Path = ROOT) -> set[str]:
    """Names in a file of `folder` that were given up."""
    place = path.relative_to(folder).as_posix()
    forbidden = set().union(*(names for start, names in GIVEN_UP_NAMES.items() if place.startswith(start)))
    found = {path.stem} & GIVEN_UP_MODULES
    for name in {path.stem, *names(path).all}:
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
        if name.lstrip("_") in forbidden or GIVEN_UP_WORDS & {word.lower() for word in words}:
            found.add(name)
    return {name for name in found if (place, name) not in WORDS_OF_OTHERS}


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
        for path in sources(*PACKAGES, "scripts", "tests")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long.keys() == LONGER_FOR_A_REASON.keys(), long


@pytest.mark.parametrize("package", [*PACKAGES, "scripts", "tests"])
def test_words_that_were_given_up_do_not_come_back(package: str) -> None:
    back = {str(path.relative_to(ROOT)): names for path in sources(package) if (names := given_up(path))}
    assert not back


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("class GpuCard: ...", "GpuCard"),
        ("def f(patience): ...", "patience"),
        ("self.sides = 2", "sides"),
        ("PATIENCE_S = 3", "PATIENCE_S"),
        ("import reaper as lifeline", "lifeline"),
        ("for keeper in (): ...", "keeper"),
        ("def _settle(): ...", "_settle"),
        ("with open(x) as stamp: ...", "stamp"),
    ],
)
def test_a_word_that_was_given_up_would_be_found(tmp_path: Path, code: str, name: str) -> None:
    (tmp_path / "client" / "sources").mkdir(parents=True)
    file = tmp_path / "client" / "sources" / "source.py"
    file.write_text(f"{code}\nasyncio.Condition()\nstored = unguarded = known = discard()\n")
    assert given_up(file, tmp_path) == {name}


@pytest.mark.parametrize("package", [*PACKAGES, "scripts", "tests"])
def test_seconds_end_in_one_suffix(package: str) -> None:
    other = {
        (str(path.relative_to(ROOT)), name)
        for path in sources(package)
        if str(path.relative_to(ROOT)) not in SECONDS_STILL
        for name in names(path).values
        if LONG_SUFFIX.search(name) and name.lstrip("_") not in PUBLISHED
    }
    assert not other


@pytest.mark.parametrize("code", ["def f(seconds): ...", "x.seconds = 1", "_SECONDS = 1", "@property\ndef secs(): ..."])
def test_seconds_without_the_suffix_would_be_found(tmp_path: Path, code: str) -> None:
    (tmp_path / "file.py").write_text(code)
    assert [name for name in names(tmp_path / "file.py").values if LONG_SUFFIX.search(name)]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_errors_of_a_package_stand_in_one_file(package: str) -> None:
    elsewhere = {
        (str(path.relative_to(ROOT)), name)
        for path in sources(package)
        if path != ROOT / package / "errors.py"
        for name in names(path).classes
        if re.search(r"^[A-Za-z]\w*Error$", name)
    }
    assert not elsewhere
