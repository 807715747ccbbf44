"""The commands in the documentation are understood, and its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from server.cli import cli
from server.profile import available_profiles

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "deployment.md", ROOT / "docs" / "operations.md"]


def commands() -> list[str]:
    text = "\n".join(page.read_text() for page in PAGES).replace("\\\n", " ")
    found = re.findall(r"(?:python -m server|babelview) ((?:up|check|status|models|engine|gateway)\b[^\n`]*)", text)
    return [command.partition("#")[0].strip() for command in found]


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str) -> None:
    name, *arguments = shlex.split(command.removesuffix(":"))
    with cli.commands[name].make_context(name, arguments) as context:
        assert context.command.name == name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).resolve().exists(), link


def test_every_profile_is_described() -> None:
    described = re.findall(r"^\| `([\w-]+)`", PAGES[0].read_text(), re.MULTILINE)
    assert sorted(described) == available_profiles()
