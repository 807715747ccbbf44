"""The command line of the server: where settings come from, typos, and how light its help is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import server
from server.cli import cli, main
from server.quantize import main as quantize
from server.supervision.process import child_environment

if TYPE_CHECKING:
    from server.profile import Profile

PROFILE = """
[gateway]
host = "127.0.0.5"
port = 81
[translator]
model = "demo"
[[engines]]
name = "m"
model = "demo:m"
max_model_len = 512
"""


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE)
    return str(path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """The profiles of gateways that would have been run."""
    profiles: list[Profile] = []
    monkeypatch.setattr("server.alone.run_gateway", lambda profile, *_: profiles.append(profile))
    for name in ("PROFILE", "HOST", "PORT", "TRANSLATOR_PORT", "CORS"):
        monkeypatch.delenv(f"BABELVIEW_{name}", raising=False)
    return profiles


def test_origins_come_from_the_command_line_the_environment_or_the_profile(
    started: list[Profile], profile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = "https://one.example", "https://two.example"
    Path(profile).write_text(PROFILE.replace("port = 81", f'port = 81\ncors = ["{one}"]'))
    assert main(["gateway", "--profile", profile]) == 0
    assert main(["gateway", "--profile", profile, "--cors", two, "--cors", "*"]) == 0
    monkeypatch.setenv("BABELVIEW_CORS", f"{one} {two}")
    assert main(["gateway", "--profile", profile]) == 0
    assert [p.gateway.cors for p in started] == [(one,), (two, "*"), (one, two)]
    assert main(["gateway", "--cors", "one.example"]) == 2
    assert "not an origin such as https://chat.example.org" in capsys.readouterr().err
    Path(profile).write_text(PROFILE.replace("port = 81", 'cors = ["one.example"]'))
    assert main(["gateway", "--profile", profile]) == 1
    assert "mine.toml: gateway: not an origin such as" in capsys.readouterr().err


def test_the_command_line_wins_over_the_environment_and_that_over_the_profile(
    started: list[Profile], profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["gateway", "--profile", profile]) == 0
    monkeypatch.setenv("BABELVIEW_PROFILE", profile)
    monkeypatch.setenv("BABELVIEW_PORT", "82")
    monkeypatch.setenv("BABELVIEW_TRANSLATOR_PORT", "92")
    assert main(["gateway"]) == 0
    assert main(["gateway", "--port", "83", "--translator-port", "93", "--host", "127.0.0.6"]) == 0
    found = [(p.gateway.host, p.gateway.port, p.translator and p.translator.port) for p in started]
    assert found == [("127.0.0.5", 81, 8003), ("127.0.0.5", 82, 92), ("127.0.0.6", 83, 93)]


def test_without_anything_it_is_the_demo(started: list[Profile]) -> None:
    assert main(["gateway"]) == 0
    models = ["llava-next-video-7b", "llama-3.2-11b-vision", "whisper-large-v3-turbo"]
    assert [engine.model for engine in started[0].engines] == [f"demo:{model}" for model in models]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chek"], "No such command 'chek'. Did you mean 'check'?"),
        (["up", "--profil", "demo"], "--profile"),
        (["up", "--port", "65536"], "65536 is not in the range 0<=x<=65535"),
        (["gateway", "--engine", "there"], "not NAME=URL: 'there'"),
        (["engine"], "Missing argument 'MODEL'"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_told(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_a_variable_that_is_not_right_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BABELVIEW_TRANSLATOR_PORT", "70000")
    assert main(["models"]) == 2
    assert "BABELVIEW_TRANSLATOR_PORT in the environment: 70000 is not in the range" in capsys.readouterr().err


def test_an_empty_variable_is_a_value_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BABELVIEW_PORT", "")
    assert main(["models"]) == 2
    assert "BABELVIEW_PORT in the environment: '' is not a valid integer" in capsys.readouterr().err


@pytest.mark.parametrize("name", [None, *cli.commands])
def test_help_imports_nothing_heavy(tmp_path: Path, name: str | None) -> None:
    program = (
        "import sys; from server.cli import main; code = main(sys.argv[1:]);"
        "print(sorted(sys.modules.keys() & {'torch', 'vllm', 'aiohttp', 'numpy', 'rich', 'msgspec', 'openai', 'PIL'}));"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", program, *filter(None, [name]), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=child_environment({}), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: python -m server")
    assert done.stdout.splitlines()[-1] == "[]"


def test_quantize_without_torch_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(server, "quantized_checkpoint", raising=False)  # of another test
    monkeypatch.delitem(sys.modules, "server.quantized_checkpoint", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert quantize([str(tmp_path), str(tmp_path / "fp8")]) == 1
    assert (
        "torch is not installed: pip install -e '.[gpu]' ('.[cpu]' without a GPU), or make setup, in Babelview's own "
        in capsys.readouterr().err
    )
