"""The console script: its commands, what they load, and where they can be run."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from batch_runs import command, pictures, results

from client.cli.commands import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

HEAVY = ("numpy", "av", "PIL", "aiohttp", "torch", "vllm", "ctranslate2", "transformers", "rich")
SCRIPT = "import sys\nfrom client.cli.main import main\nsys.exit(main())\n"
"""What pip makes of our entry in pyproject.toml."""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script, as pip writes it into a `bin` folder, without the need that this tree is installed."""
    path = tmp_path / "bin" / "babelview"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return path


def loaded_by(*arguments: str) -> set[str]:
    """The modules that are loaded when the console script has done this."""
    code = (
        "import json, sys\nfrom client.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    line = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def babelview(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "client.cli.main", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, check=False)


def test_the_package_brings_the_console_script() -> None:
    (entry,) = entry_points(group="console_scripts", name="babelview")
    assert entry.value == "client.cli.main:main"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_nothing_heavy(name: str) -> None:
    assert loaded_by(name, "--help") & set(HEAVY) == set()


def test_the_list_of_commands_loads_none_of_them() -> None:
    loaded = loaded_by("--help")
    assert not {module for module in loaded if module.partition(".")[0] in ("server", "translator")}
    assert "client.batch" not in loaded


def test_every_command_is_listed() -> None:
    shown = babelview("--help").stdout
    for name, (_, does) in COMMANDS.items():
        assert f"  {name} " in shown
        assert does in shown


def test_typos_are_understood() -> None:
    done = babelview("bacth", "./ads")
    assert done.returncode == 2
    assert "No such command 'bacth'. Did you mean 'batch'?" in done.stderr
    done = babelview("batch", "./ads", "--concurency", "3")
    assert done.returncode == 2
    assert "No such option '--concurency'. (Did you mean one of: '--column', '--concurrency'?)" in done.stderr


def test_without_a_command_the_help_is_shown() -> None:
    done = babelview()
    assert done.returncode == 2
    assert "Commands:" in done.stdout + done.stderr


def test_the_version_is_told() -> None:
    assert babelview("--version").stdout.startswith("babelview 0.")


def test_a_folder_with_modules_of_the_users_own_breaks_nothing(
    servers: FakeServers, tmp_path: Path, script: Path
) -> None:
    for name in ("client", "server", "translator", "prompts", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('this is the {name}.py of the user')\n")
    (tmp_path / "prompts").mkdir()
    pictures(tmp_path / "ads", 2)
    _, environment = command(servers)
    for arguments in (["batch", "ads", "--languages", "fra_Latn"], ["export", "captions", "--format", "csv"]):
        line = [sys.executable, str(script), *arguments]
        done = subprocess.run(
            line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
        )
        assert (done.returncode, "of the user" in done.stdout + done.stderr) == (0, False), done.stderr
    for name in COMMANDS:
        line = [sys.executable, str(script), name, "--help"]
        done = subprocess.run(
            line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
        )
        assert (done.returncode, "of the user" in done.stdout + done.stderr) == (0, False), done.stderr
        assert f"babelview {name}" in done.stdout
    texts = [record["tasks"]["describe"]["text"] for record in results(tmp_path)["files"]]
    assert texts == ["I see 0", "I see 1"]
    assert (tmp_path / "captions" / "results.csv").exists()
