"""deploy/Dockerfile: pinned, not root, and everything that it copies is there."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", " ", (ROOT / "deploy" / "Dockerfile").read_text())
INSTRUCTIONS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage, those of the stage that it builds on included."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in INSTRUCTIONS:
        if word == "FROM":
            base, _, name = rest.split()
            found[name] = list(found.get(base, []))
        found[name].append((word, rest))
    return found


TARGETS = ["gateway", "translator", "engine", "engine-cpu"]


def test_every_target_that_compose_builds_is_there() -> None:
    built = re.findall(
        r"target: ([\w-]+)", (ROOT / "compose.yaml").read_text() + (ROOT / "compose.cpu.yaml").read_text()
    )
    assert set(built) == set(TARGETS) <= stages().keys()


@pytest.mark.parametrize("target", TARGETS)
def test_it_does_not_run_as_root(target: str) -> None:
    users = [rest for word, rest in stages()[target] if word == "USER"]
    assert users[-1] == "babelview"


def test_bases_are_pinned() -> None:
    known = set(stages())
    bases = {rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"} - known
    assert "vllm/vllm-openai:v0.32.0" in bases
    assert all(re.search(r":v?\d+\.\d+\.\d+", base) for base in bases)


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for word, rest in INSTRUCTIONS:
        if word != "COPY" or "--from" in rest:
            continue
        *sources, _ = rest.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(f"!{source}", pattern) for pattern in ignored), source


def test_stages_that_are_copied_from_exist() -> None:
    for name in re.findall(r"(?:--from=|from=)([\w-]+)", TEXT):
        assert name in stages()


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_container_starts_is_one_of_our_programs(target: str) -> None:
    entry = [rest for word, rest in stages()[target] if word == "ENTRYPOINT"][-1]
    *python, flag, module = yaml.safe_load(entry)
    assert python[0].startswith("python")
    assert flag == "-m"
    assert (ROOT / module / "__main__.py").is_file()
