"""bench_server against the demo stack, and the load generators that others use, as docs/benchmarks.md shows them."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from scripts.benchmarks.fakes.scripted import free_port
from scripts.benchmarks.server.__main__ import main
from scripts.benchmarks.server.check import find_command
from scripts.run_docs import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.demo.stack import Stack

PICTURES, VIDEOS = "llama-3.2-11b-vision", "llava-next-video-7b"
GUIDELLM = find_command("guidellm")
DOCUMENTATION = ROOT / "docs" / "benchmarks.md"


def figures(path: Path) -> dict[str, dict[str, Any]]:
    return {figure["name"]: figure for figure in json.loads(path.read_text())["figures"]}


@pytest.mark.parametrize(
    ("model", "sent", "least_in"), [(PICTURES, "image", 1), (VIDEOS, "video", 100), (VIDEOS, "text", 1)]
)
def test_a_sweep_sends_what_it_says(stack: Stack, tmp_path: Path, model: str, sent: str, least_in: int) -> None:
    output = tmp_path / "sweep.json"
    options = ["--concurrency", "1,4", "--waves", "1", "--runs", "1", "--output-tokens", "8", "--goodput", "e2el:60000"]
    where = ["--base-url", stack.endpoint, "--model", model, "--send", sent]
    assert main([*where, *options, "--json", str(output)]) == 0
    found = figures(output)
    for level in (1, 4):
        assert found[f"requests answered, {level} at a time"]["value"] == 8
        assert found[f"requests failed, {level} at a time"]["value"] == 0
        assert found[f"tokens out, {level} at a time"]["value"] == 64
        assert found[f"tokens in, {level} at a time"]["value"] > 8 * least_in
        throughput = found[f"throughput, {level} at a time"]["value"]
        assert found[f"goodput, {level} at a time"]["value"] == throughput
        assert found[f"output, {level} at a time"]["value"] == pytest.approx(8 * throughput, rel=0.02)
        ttft, e2el = (found[f"{latency} p50, {level} at a time"]["value"] for latency in ("TTFT", "E2EL"))
        assert 0 < ttft <= e2el  # on a busy machine the pieces of an answer come together


@pytest.fixture
def vllm_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """`vllm bench serve` runs as a function of this process, which has imported what a new one would in ten seconds."""

    def run(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        if command[1:3] != ["bench", "serve"]:
            return subprocess_run(command, **settings)
        bench_serve(command[3:])
        return subprocess.CompletedProcess(command, 0, "", "")

    subprocess_run = subprocess.run
    monkeypatch.setattr("scripts.benchmarks.server.check.subprocess.run", run)


def bench_serve(options: list[str], **other: Any) -> Any:
    """What it measures; `other`: in the place of what the options say."""
    from vllm.benchmarks import serve  # noqa: PLC0415 - workers that run other modules do without
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415

    parser = FlexibleArgumentParser()
    serve.add_cli_args(parser)
    arguments = parser.parse_args(options)
    vars(arguments).update(other)
    return serve.main(arguments)


@pytest.mark.usefixtures("vllm_here")
def test_other_load_generators_count_the_same(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUIDELLM__MAX_WORKER_PROCESSES", "1")  # each would import for seconds what it needs
    others = ["vllm bench serve", *(["guidellm"] if GUIDELLM else [])]
    output = tmp_path / "check.json"
    where = ["--base-url", stack.endpoint, "--model", PICTURES, "--send", "image"]
    options = ["--cross-check", "4", "--waves", "1", "--runs", "1", "--output-tokens", "8"]
    assert main([*where, *options, "--json", str(output)]) == 0
    found = figures(output)
    for name in others:
        assert found[f"requests answered, beside {name}"]["value"] == 8
        for what in ("requests answered", "tokens in, a request", "tokens out, a request"):
            figure = found[f"{what}, beside {name}"]
            assert figure["value"] == figure["baseline"] > 0
        assert found[f"TTFT p50, beside {name}"]["baseline"] > 0


def test_vllm_bench_serve_as_the_documentation_shows_it(stack: Stack) -> None:
    commands = [command for block in blocks(DOCUMENTATION) for _, command in block.commands()]
    (shown,) = (command for command in commands if command.startswith("vllm bench serve "))
    options = shlex.split(shown.replace("\\\n", ""))[3:]
    tokenizer = str(ROOT / options[options.index("--tokenizer") + 1])
    result = bench_serve(options, base_url=stack.endpoint.removesuffix("/v1"), tokenizer=tokenizer, num_prompts=8)
    assert (result["completed"], result["failed"], result["total_output_tokens"]) == (8, 0, 8 * 16)
    assert result["median_ttft_ms"] > 0


def test_an_endpoint_that_is_not_there_or_serves_other_models_is_named(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--base-url", stack.endpoint, "--model", "gpt-9"]) == 1
    assert "does not list gpt-9" in capsys.readouterr().err
    monkeypatch.setattr("scripts.benchmarks.server.load.CHECK_S", 0.1)
    url = f"http://127.0.0.1:{free_port()}/v1"
    assert main(["--base-url", url]) == 1
    assert url in capsys.readouterr().err


def test_a_request_that_is_refused_is_told(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # The video model takes no pictures.
    assert main(["--base-url", stack.endpoint, "--model", VIDEOS, "--send", "image", "--concurrency", "1"]) == 1
    said = capsys.readouterr().err
    assert "a first request was refused: 400 Bad Request" in said
    assert "takes a video, no pictures" in said  # why
