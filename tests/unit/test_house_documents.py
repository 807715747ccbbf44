"""CONTRIBUTING.md, SECURITY.md, CHANGELOG.md and the workflow of CI: true to the tree."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = re.compile(r"`([\w.-]+/[\w./*-]+|[\w-]+\.(?:py|md|toml))`")
PLACES = ("", "server/engines", "server/gateway", "scripts/demo/world")
"""Where a file stands that is named without its folder, after one that has it."""


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md"])
def test_the_files_that_a_document_names_are_there(document: str) -> None:
    text = (ROOT / document).read_text()
    text = re.sub(r"^\| \[.*$", "", text, flags=re.MULTILINE)  # the map of the tree: test_docs.py checks it
    named = {name for name in PATH.findall(text) if "<" not in name}
    assert len(named) > 10
    missing = {name for name in named if not any(list((ROOT / place).glob(name.rstrip("/"))) for place in PLACES)}
    assert not missing


def test_the_tests_that_a_contributor_is_told_to_run_are_there() -> None:
    told = re.findall(r"tests/\w+/test_[\w*]+\.py", (ROOT / "CONTRIBUTING.md").read_text())
    assert told
    assert all(list(ROOT.glob(pattern)) for pattern in told)


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[?([\w.]+)\]?", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", version]


def test_the_changelog_tells_where_commands_have_moved_to() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    gone = [f"{name.replace('.', '/')}.py" for name in re.findall(r"`python -m ([\w.]+)` to `", text)]
    gone += re.findall(r"`python (scripts/\w+\.py)`\s+to\s+`", text)
    there = re.findall(r"\bto\s+`python -m ([\w.]+[a-z])`", text)
    assert len(gone) > 4
    assert len(there) > 6
    assert not [path for path in gone if (ROOT / path).exists()]
    assert not [name for name in there if importlib.util.find_spec(name) is None]


def test_the_workflow_is_valid_and_runs_what_runs_here() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "run: .ci/run" in workflow.read_text()
