"""The rows about a GPU: what is run for them, and how they get into the documentation."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

import scripts.benchmarks.server.__main__ as bench_server
from scripts.benchmarks import gpu
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.pipeline.__main__ import read_arguments
from server.cli import cli
from server.profile import load_profile
from server.selftest.outcome import failed, not_run, passed
from server.selftest.report import as_json
from server.selftest.run import Result
from server.shipped_profiles import available_profiles

if TYPE_CHECKING:
    from pathlib import Path

GPU = "Accelerator 9000"
MODEL = "llava-next-video-7b"


def results() -> list[Result]:
    """Of a selftest."""
    rate = passed("300.0, 30 % of 1000.0 (bandwidth)", tokens_per_s=300.0, limit_per_s=1000.0, share=0.3)
    memory = passed("", taken_bytes=2.0 * 2**30, computed_bytes=3.0 * 2**30)
    return [
        Result("a-model", "tokens a second", rate),
        Result("a-model", "memory", memory),
        Result("a-model", "pictures a second", failed("5 of 10 failed", limit_per_s=1.0, share=0.5)),
        Result("two named", "tensor parallel", not_run("needs 2 GPUs")),
    ]


def measured(gpu_name: str) -> dict[str, Any]:
    """What the programs write, made by what makes it in them."""
    load, pipeline = Report("load", "vllm"), Report("pipeline", "vllm")
    for level, rate in ((1, 2.0), (16, 20.0), (64, 10.0)):
        load.add(f"throughput, {level} at a time", "requests/s", [rate])
        load.add(f"output, {level} at a time", "tokens/s", [64 * rate])
        load.add(f"TTFT p50, {level} at a time", "ms", [10.0 * level])
    pipeline.add("pictures, beside the speed of light", "files/s", [9.5], [10.0], more_is_better=True)
    pipeline.notes.append("stack: gpu-80gb, random weights; files: drawn")
    found = {
        "selftest": json.loads(as_json("gpu-80gb", results(), 61.0)) | {"gpus": [gpu_name] if gpu_name else []},
        f"server-{MODEL}": load.content(),
        "pipeline": pipeline.content(),
    }
    for name in (f"server-{MODEL}", "pipeline"):
        found[name]["machine"]["gpu"] = gpu_name
    return found


def write_results(folder: Path, found: dict[str, Any]) -> None:
    """As the programs leave them."""
    folder.mkdir(exist_ok=True)
    for name, report in found.items():
        (folder / f"{name}.json").write_text(json.dumps(report))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the documentation that the rows go into."""
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/benchmarks.md"):
        shutil.copy(gpu.ROOT / page, tmp_path / page)
    return tmp_path


def test_rows_say_how_much_and_beside_what() -> None:
    assert gpu.rows(measured(GPU)) == [
        ("`babelview selftest --profile gpu-80gb`", "2 pass, 1 fail, 1 not run", "61 s"),
        ("a-model, tokens a second", "300", "30 % of what the card can do at most"),
        ("a-model, memory", "2.00 GiB", "3.00 GiB, computed by `babelview check`"),
        (f"{MODEL}, at most", "20 requests/s, 1,280 tokens/s", "16 at a time; first token after 160 ms (median)"),
        ("pictures to captions: files/s", "9.5", "0.95 of the speed of light (10)"),
    ]


def test_rows_are_written_where_the_documentation_has_their_place(root: Path) -> None:
    results = root / "results"
    of_another = measured(GPU)["pipeline"]
    write_results(results, measured(GPU) | {"server-stranger": of_another, "server-llama-3.2-11b-vision": [1]})
    for _ in range(2):  # the second time over the first
        assert gpu.main(["--rows", "--output", str(results)], root) == 0
    told = (root / "docs/benchmarks.md").read_text()
    assert "stranger" not in told
    assert told.count("| a-model, tokens a second | 300 | 30 % of what the card can do at most |") == 1
    assert f"On {GPU} (vllm" in told
    assert "stack: gpu-80gb, random weights; files: drawn" in told
    assert f"- On {GPU}: a-model, tokens a second 300 (30 %" in (root / "README.md").read_text()
    assert "not yet measured" not in (root / "README.md").read_text()


@pytest.mark.parametrize("named", [("", ""), (GPU, ""), (GPU, "another card")])
def test_what_is_not_of_one_machine_with_a_gpu_is_not_written(root: Path, named: tuple[str, str]) -> None:
    found = measured(named[0]) | {"pipeline": measured(named[1])["pipeline"]}
    before = (root / "README.md").read_text()
    console = Console(record=True, width=200)
    gpu.write(found, root, console)
    assert (root / "README.md").read_text() == before
    assert "not written into the documentation" in console.export_text()


@pytest.mark.parametrize("profile", available_profiles())
def test_every_program_takes_the_flags_that_it_gets(profile: str, tmp_path: Path) -> None:
    planned = gpu.steps(profile, load_profile(profile), dummy=True, quick=True)
    selftest, *servers, pipeline = (step.command(tmp_path)[2:] for step in planned)
    assert cli.commands["selftest"].make_context("selftest", selftest[2:]).params["as_json"]
    assert len(servers) == sum(engine.task == "generate" for engine in load_profile(profile).engines)
    for command in servers:
        assert bench_server.parse(command[1:]).dummy_weights
    assert read_arguments(pipeline[1:]).quick


def test_one_that_fails_is_named_and_the_others_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    results = root / "results"
    write_results(results, measured(GPU))
    told = json.dumps(measured(GPU)["selftest"])
    made_up = f"import sys; print({told!r}); sys.exit(1)"
    monkeypatch.setattr(gpu.Step, "command", lambda step, _: [sys.executable, "-c", made_up if step.prints else ""])
    assert gpu.main(["--profile", "demo", "--output", str(results)], root) == 1
    assert "failed: selftest: exit code 1" in capfd.readouterr().out
    assert not (results / "pipeline.json").exists()  # that of an earlier run
    assert "a-model, memory" in (root / "docs/benchmarks.md").read_text()


def test_a_page_without_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Nothing\n")
    with pytest.raises(ValueError, match=r"page\.md has no line"):
        gpu.fill(tmp_path / "page.md", gpu.OWNER, "text")
