"""What the documentation names exists: commands with their options, modules, files, links, profiles."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest

from client.cli.commands import cli
from scripts.run_docs import Block, blocks, pages, server_port
from server.profile import load_profile
from server.shipped_profiles import available_profiles

ROOT = Path(__file__).parents[2]
PAGES = [*pages(), *(page for name in ("CONTRIBUTING", "SECURITY") if (page := ROOT / f"{name}.md").exists())]
LANGUAGES = {"sh", "python", "json", "toml", "yaml", "text", "console"}
OTHERS_OPTIONS = {
    "--chat-template",
    "--limit-mm-per-prompt",
    "--master-addr",
    "--max-model-len",
    "--max-num-batched-tokens",
    "--nnodes",
    "--node-rank",
    "--otlp-traces-endpoint",
    "--quantization",
    "--tensor-parallel-size",
}
"""Of vLLM, to which the server hands them."""
FOLDERS = ("client", "server", "translator", "scripts", "tests", "docs", "prompts", "deploy")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(start: str) -> list[str]:
    """Commands of all pages that begin so, in blocks and between backticks, without comments and what follows them."""
    found = []
    for page in PAGES:
        shell = [
            command for block in blocks(page) if block.language in ("sh", "text") for _, command in block.commands()
        ]
        shell += re.findall(r"^ {4}(\w.*)$", prose(page), re.MULTILINE)
        inline = [text.replace("\n", " ") for text in re.findall(r"`([^`]+)`", prose(page))]
        for command in [*shell, *inline]:
            bare = re.sub(r"^([A-Z_]+=\S+ )+", "", command.replace("\\\n", " ")).partition(" #")[0].rstrip()
            if bare.startswith(start) and "<" not in bare:  # `<name>` stands for any
                found.append(bare)
    return sorted(set(found))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which what the commands name exists."""
    for entry in (*FOLDERS, "models"):
        (tmp_path / entry).symlink_to(ROOT / entry)
    for made in ("ads", "captions", "LLaVA-NeXT-Video-7B-hf"):
        (tmp_path / made).mkdir()
    (tmp_path / "edits.json").touch()
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("BABELVIEW_")]:
        monkeypatch.delenv(variable)
    return tmp_path


def understood(words: list[str]) -> bool:
    """Whether `babelview` takes a command line; nothing is run."""
    with click.Context(cli, info_name="babelview") as context:
        _, command, arguments = cli.resolve_command(context, words)
        assert command is not None
        try:
            command.make_context(words[0], arguments, parent=context)
        except click.exceptions.Exit as end:  # --help
            return end.exit_code == 0
    return True


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", commands("babelview "))
def test_a_command_is_understood(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words == ["COMMAND", "--help"] or words[1:] == ["..."]:
        return
    # In a sentence a command may stand without what it is told.
    whole = len(words) > 1 or words[0] in ("status", "up", "check", "models", "translate")
    assert understood(words if whole else [*words, "--help"])


def examples() -> list[str]:
    """The commands that `--help` of any command shows, without what is said of them."""
    with click.Context(cli, info_name="babelview") as context:
        each = [cli.get_command(context, name) for name in cli.list_commands(context)]
    texts = [re.sub(r"\\\n *", "", f"{command.help}\n{command.epilog}") for command in each if command]
    return sorted(
        {found for text in texts for found in re.findall(r"^ {2,}(babelview \S+(?: \S+)*)", text, re.MULTILINE)}
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", examples())
def test_an_example_of_the_help_is_understood(command: str) -> None:
    assert understood(shlex.split(command)[1:])


def test_a_wrong_option_would_be_found() -> None:
    with pytest.raises(click.UsageError, match="profil"):
        understood(["up", "--profil", "demo"])


@cache
def our_options() -> set[str]:
    """Those of all commands, and of the scripts."""
    found: set[str] = set()
    with click.Context(cli, info_name="babelview") as context:
        for command in (cli, *(cli.get_command(context, name) for name in cli.list_commands(context))):
            assert command is not None
            found.update(
                flag for option in command.get_params(context) for flag in (*option.opts, *option.secondary_opts)
            )
    for path in (ROOT / "scripts").rglob("*.py"):
        found.update(re.findall(r"\"(--[a-z][a-z-]*)\"", path.read_text()))
    return found | OTHERS_OPTIONS


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_options_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"(?<![\w-])--[a-z][a-z-]*", prose(page))
    assert set(named) - our_options() == set()


@pytest.mark.parametrize("command", commands("python -m "))
def test_a_module_is_there(command: str) -> None:
    name = shlex.split(command, comments=True)[2]
    assert importlib.util.find_spec(name), command


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)", prose(page)):
        assert (ROOT / path).exists(), path


def test_the_map_of_the_tree_is_true() -> None:
    rows = dict(re.findall(r"^\| \[(\w+)/\]\(\w+\) \| (.*) \|$", prose(ROOT / "CONTRIBUTING.md"), re.MULTILINE))
    assert sorted(rows) == ["client", "scripts", "server", "tests", "translator"]
    for folder, row in rows.items():
        names = re.findall(r"`([\w./]+)`", row)
        assert len(names) > 1, folder
        for name in names:
            if name.rstrip("/") not in ("client", "server", "translator"):
                assert (ROOT / folder / name).exists(), f"{folder}/{name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{name_of(page)}:{block.line}"


def test_every_profile_is_described() -> None:
    described = re.findall(r"^\| `([\w-]+)`", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    assert sorted(described) == available_profiles()


def test_a_profile_has_the_main_memory_that_is_said() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    for name in available_profiles():
        profile = load_profile(name)
        parts = [*profile.engines, *filter(None, (profile.translator, profile.captioner))]
        needed = sum(part.memory_gib * getattr(part, "replicas_here", 1) for part in parts)
        told = re.search(rf"^\| `{name}` \| .*?(\d+) GiB", page, re.MULTILINE)
        assert told is not None, name
        assert needed <= int(told[1]) < needed + 5, name


def test_commands_of_a_block() -> None:
    block = Block(ROOT / "README.md", 10, "sh", "one --a \\\n    --b\n\n# a comment\ntwo\n")
    assert list(block.commands()) == [(10, "one --a \\\n    --b"), (14, "two")]
    assert block.needs is None
    assert Block(ROOT / "README.md", 1, "sh", "# needs a GPU\nx\n").needs == "a GPU"


@pytest.mark.parametrize(
    ("command", "port"),
    [
        ("babelview up --profile demo", 8000),
        ("babelview up --port 9000", 9000),
        ("vllm serve ./model --port 8100 \\\n    --max-model-len 2048", 8100),
        ("babelview translate --model demo", 8003),
        ("babelview up --help", None),
        ("babelview status", None),
    ],
)
def test_what_serves_is_known(command: str, port: int | None) -> None:
    assert server_port(command) == port
