"""Parts alone, as containers run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from fake_servers import free_port

from server.alone import at_urls
from server.cli import EXAMPLES, main
from server.errors import ProfileError
from server.profile import load_profile

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
ENGINES = (
    *("--engine", "llava-next-video-7b=http://video:8000", "--engine", "llama-3.2-11b-vision=http://vision:8000"),
    *("--engine", "whisper-large-v3-turbo=http://speech:8000"),
)


def test_an_engine_takes_the_place_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, tuple[str, ...], dict[str, str]]] = []

    def replace_us(program: str, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        started.append((program, arguments, environment))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execvpe", replace_us)
    for name in ("BABELVIEW_API_KEYS", "BABELVIEW_TRANSLATOR_API_KEY", "HF_TOKEN", "VLLM_API_KEY"):
        monkeypatch.setenv(name, "secret")
    with pytest.raises(SystemExit):
        main(["engine", "llava-next-video-7b", "--profile", "demo", "--host", "0.0.0.0", "--port", "8000"])
    ((program, arguments, environment),) = started
    assert program == arguments[0] == sys.executable
    assert arguments[arguments.index("--host") :][:4] == ("--host", "0.0.0.0", "--port", "8000")
    assert "--uds" not in arguments
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
    assert {name for name, value in environment.items() if value == "secret"} == {"VLLM_API_KEY"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["engine", "gpt-4o", "--profile", "demo"], "no model 'gpt-4o' in this profile: llava-next-video-7b"),
        (["engine", "llama-3.2-11b-vision", "--profile", "gpu-16gb"], "shares its GPU with others"),
        (["gateway", "--profile", "demo", "--port", "0", *ENGINES[:4]], "where is whisper-large-v3-turbo served?"),
        (["gateway", "--profile", "demo", "--port", "0", "--engine", "x=http://x"], "no model 'x'"),
        (
            ["gateway", "--profile", "demo", "--port", "0", *ENGINES[:3], "llama-3.2-11b-vision=ftp://x", *ENGINES[4:]],
            "ftp://x",
        ),
        (["gateway", "--profile", "demo", "--port", "0", "--host", "0.0.0.0", *ENGINES], "without API keys"),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("text", [EXAMPLES, (ROOT / "docs" / "deployment.md").read_text()], ids=["help", "docs"])
def test_the_gateway_that_is_shown_alone_has_every_model(text: str) -> None:
    told = re.search(r"babelview gateway --profile (\S+) (.*?[^\\])\n", text, re.DOTALL)
    assert told is not None
    engines = dict(re.findall(r"--engine ([^=\s]+)=(\S+)", told[2]))
    at_urls(load_profile(told[1]), engines, "http://translator:8003")  # raises where one has no address


def test_the_profile_stays_but_for_the_addresses() -> None:
    profile = at_urls(load_profile("demo"), dict(pair.split("=") for pair in ENGINES[1::2]), "http://translator:8003")  # type: ignore[misc]
    assert [engine.urls for engine in profile.engines] == [
        (f"http://{part}:8000",) for part in ("video", "vision", "speech")
    ]
    assert {engine.replicas for engine in profile.engines} == {0}
    assert profile.translator is not None
    assert (profile.translator.url, profile.translator.model) == ("http://translator:8003", None)


def test_a_translator_is_either_here_or_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        '[translator]\nmodel = "demo"\nurl = "http://t"\n[[engines]]\nname="m"\nmodel="x"\nmax_model_len=1\n'
    )
    with pytest.raises(ProfileError, match="give a model, or the url"):
        load_profile(str(path))


def test_the_gateway_runs_alone() -> None:
    port = free_port()
    command = [sys.executable, "-m", "server", "gateway", "--profile", "demo", "--port", str(port), *ENGINES]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            models = wait_for(f"http://127.0.0.1:{port}/v1/models", process)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert {model["root"] for model in models["data"]} == {
        "llava-next-video-7b",
        "llama-3.2-11b-vision",
        "whisper-large-v3-turbo",
    }


def wait_for(url: str, process: subprocess.Popen[bytes]) -> dict[str, list[dict[str, str]]]:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                content: dict[str, list[dict[str, str]]] = json.load(answer)
                return content
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
