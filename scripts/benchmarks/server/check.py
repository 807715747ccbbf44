"""Cross-check of `benchmarks.server`: the same load sent by `vllm bench serve` and by guidellm, as a user runs them.

The commands are given files of requests that are made as ours are, with pictures that the server has not seen. The
three take turns. Where they call different things by one name, what means the same is compared: guidellm's ITL is our
TPOT (time per token after the first), for its own TPOT spreads the whole request over all tokens.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.endpoints.keys import API_KEY
from scripts.benchmarks.server.load import LoadError, Sent, measure, read_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.benchmarks.common.report import Report
    from scripts.benchmarks.server.load import Level, Load

COMPARED = (
    ("throughput", "requests/s"),
    ("output", "tokens/s"),
    ("TTFT p50", "ms"),
    ("TPOT p50", "ms"),
    ("requests answered", "requests"),
    ("tokens in, a request", "tokens"),
    ("tokens out, a request", "tokens"),
)
MORE_IS_BETTER = {"throughput", "output", "requests answered"}

Values = dict[str, float]
"""Of one run: a value for each of `COMPARED`."""


def find_command(name: str) -> str | None:
    """Its path: beside the interpreter, or else on PATH."""
    return shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)


def cross_check(report: Report, load: Load, rounds: int, guidellm: str | None) -> int:
    """Add what each way measures of a load, `rounds` times in turn.

    Args:
        report: Gets ours beside each other way's.
        load: What each way sends in each round.
        rounds: How often.
        guidellm: Its command; None leaves it out.

    Returns:
        How many requests failed, of all ways.

    Raises:
        LoadError: One of them could not measure.
    """
    ways: dict[str, list[Values]] = defaultdict(list)
    failed = 0
    videos = load.requests.sent is Sent.VIDEO
    if guidellm and os.environ.get(API_KEY):
        # It takes a key on its command line alone, which every user of the machine can read.
        report.notes.append(f"guidellm is left out: it would show {API_KEY} to all users of this machine.")
        guidellm = None
    elif not guidellm:
        report.notes.append("guidellm is left out: it is not installed (pip install guidellm), or see --guidellm.")
    measure(replace(load, count=load.concurrency), {})
    for _ in range(rounds):
        level = measure(load, {})
        ways["ours"].append(_values(level))
        failed += len(level.errors)
        if not videos:
            level = run_vllm(load)
            ways["vllm bench serve"].append(_values(level))
            failed += len(level.errors)
        if guidellm:
            values = run_guidellm(guidellm, load)
            ways["guidellm"].append(values)
            failed += load.count - round(values["requests answered"])
    if videos:
        report.notes.append("vllm bench serve is left out: its command does not send videos as frames (video/jpeg).")
    ours = ways.pop("ours")
    for way, theirs in ways.items():
        for name, unit in COMPARED:
            compared = ([values[name] for values in system] for system in (ours, theirs))
            report.add(f"{name}, beside {way}", unit, *compared, more_is_better=name in MORE_IS_BETTER)
    return failed


def _values(level: Level) -> Values:
    each = max(1, level.completed)
    values = (
        *(level.requests_per_s, level.tokens_per_s, level.percentile("TTFT", 50), level.percentile("TPOT", 50)),
        *(level.completed, level.input_tokens / each, level.output_tokens / each),
    )
    return dict(zip([name for name, _ in COMPARED], values, strict=True))


def vllm_command(load: Load, dataset: Path, result: Path) -> list[str]:
    """`vllm bench serve` on a file of requests; no tokenizer is needed, for the server counts tokens."""
    target = load.target
    command = [find_command("vllm") or "vllm", "bench", "serve", "--backend", "openai-chat", "--base-url", target.root]
    command += ["--endpoint", "/v1/chat/completions", "--model", target.model, "--skip-tokenizer-init"]
    command += ["--dataset-name", "custom_image", "--dataset-path", str(dataset), "--num-prompts", str(load.count)]
    command += ["--custom-output-len", str(target.output_tokens), "--max-concurrency", str(load.concurrency)]
    command += ["--temperature", "0", "--disable-tqdm", *(["--ignore-eos"] if target.ignore_eos else [])]
    command += ["--ready-check-timeout-sec", "0", "--save-result", "--save-detailed"]
    return [*command, "--result-dir", str(result.parent), "--result-filename", result.name]


def run_vllm(load: Load) -> Level:
    """Send pictures or texts with the command.

    Raises:
        LoadError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        dataset, result = Path(folder) / "requests.jsonl", Path(folder) / "result.json"
        write_lines(dataset, [{"content": message["content"]} for (message,) in load.requests.take(load.count)])
        _run(vllm_command(load, dataset, result), result)
        return read_result(json.loads(result.read_text()))


def guidellm_command(guidellm: str, load: Load, dataset: Path, result: Path) -> list[str]:
    """`guidellm run` on a file of requests."""
    backend = {"kind": "openai_http", "target": load.target.root, "model": load.target.model}
    settings = (
        ("--backend", backend | {"extras": {"body": {"temperature": 0}}}),
        ("--data", {"kind": "json_file", "path": str(dataset)}),
        ("--profile", {"kind": "concurrent", "streams": [load.concurrency]}),
        ("--constraint", {"kind": "max_requests", "count": load.count}),
        ("--output", {"kind": "json", "path": str(result)}),
    )
    options = [part for option, value in settings for part in (option, json.dumps(value))]
    return [guidellm, "run", "--disable-console", *options]


def run_guidellm(guidellm: str, load: Load) -> Values:
    """Send requests of any kind with guidellm.

    Raises:
        LoadError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        dataset, result = Path(folder) / "requests.jsonl", Path(folder) / "result.json"
        length = {"output_tokens_count": load.target.output_tokens}
        write_lines(dataset, [{"messages": messages, **length} for messages in load.requests.take(load.count)])
        _run(guidellm_command(guidellm, load, dataset, result), result)
        benchmark = json.loads(result.read_text())["benchmarks"][0]
    metrics = benchmark["metrics"]
    answered = metrics["request_totals"]["successful"]
    if not answered:
        raise LoadError("guidellm: no request was answered")
    found = {
        name: metrics[metric]["successful"]
        for name, metric in (
            ("in", "prompt_token_count"),
            ("out", "output_token_count"),
            ("first", "time_to_first_token_ms"),
            ("each", "inter_token_latency_ms"),
        )
    }
    values = (
        *(answered / benchmark["duration"], found["out"]["total_sum"] / benchmark["duration"]),
        *(found["first"]["median"], found["each"]["median"], answered, found["in"]["mean"], found["out"]["mean"]),
    )
    return dict(zip([name for name, _ in COMPARED], values, strict=True))


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _run(command: list[str], result: Path) -> None:
    key = os.environ.get(API_KEY)
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | ({"OPENAI_API_KEY": key} if key else {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode or not result.exists():
        reason = (done.stderr.strip() or done.stdout.strip() or "no result").splitlines()[-1]
        raise LoadError(f"{reason}\nof: {shlex.join(command)}")
