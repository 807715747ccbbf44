"""bench_server: what it sends, how it reads what came back, and what it refuses."""

from __future__ import annotations

import base64
import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from rich.console import Console

from scripts.benchmarks.common.report import Report
from scripts.benchmarks.server.__main__ import add_figures, add_lines, main, parse, table
from scripts.benchmarks.server.check import cross_check, find_command, guidellm_command, vllm_command
from scripts.benchmarks.server.load import LATENCIES, Level, Load, LoadError, Requests, Sent, Target, read_result

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("http://127.0.0.1:8000/v1", "a-model", 16)
RESULT: dict[str, Any] = {
    "duration": 2.0,
    "completed": 2,
    "total_input_tokens": 30,
    "total_output_tokens": 8,
    "request_goodput": 0.5,
    "ttfts": [0.1, 0.3, 0.0],
    "latencies": [0.4, 0.9, 0.0],
    "itls": [[0.0, 0.1, 0.1, 0.1], [0.0, 0.2, 0.2, 0.2], []],
    "output_lens": [4, 4, 0],
    "errors": ["", "", "Traceback\nTimeoutError: too late\n"],
}


@pytest.mark.parametrize(("sent", "frames", "size"), [(Sent.IMAGE, 1, (1120, 630)), (Sent.VIDEO, 8, (597, 336))])
def test_requests_are_those_of_the_client(sent: Sent, frames: int, size: tuple[int, int]) -> None:
    (message,), (other,) = Requests(sent).take(2)
    media, text = message["content"]
    assert message["role"] == "user"
    assert text["text"].startswith("Describe this ")
    kind = f"{'video' if sent is Sent.VIDEO else 'image'}_url"
    head, _, data = media[kind]["url"].partition(",")
    assert head == f"data:{kind.removesuffix('_url')}/jpeg;base64"
    pictures = [Image.open(io.BytesIO(base64.b64decode(part))) for part in data.split(",")]
    assert [picture.size for picture in pictures] == [size] * frames
    assert len({picture.tobytes() for picture in pictures}) == frames
    assert other["content"][0] != media


def test_texts_differ_from_their_first_word_on_and_from_run_to_run() -> None:
    def first_words(requests: Requests) -> list[str]:
        return [message["content"][0]["text"].split()[0] for (message,) in requests.take(50)]

    requests = Requests(Sent.TEXT)
    seen = first_words(requests) + first_words(requests) + first_words(Requests(Sent.TEXT, seed=1))
    assert len(set(seen)) == 150


def test_a_result_is_read_as_its_server_counted_it() -> None:
    level = read_result(RESULT)
    assert (level.completed, level.input_tokens, level.output_tokens) == (2, 30, 8)
    assert (level.requests_per_s, level.tokens_per_s, level.goodput) == (1.0, 4.0, 0.5)
    assert level.errors == ["TimeoutError: too late"]
    assert level.milliseconds["TTFT"] == pytest.approx([100, 300])
    assert level.milliseconds["TPOT"] == pytest.approx([100, 200])
    assert level.milliseconds["ITL"] == pytest.approx([100] * 3 + [200] * 3)  # without the piece that says who speaks
    assert level.percentile("E2EL", 50) == pytest.approx(650)


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(LoadError, match="no request was answered: Bad Request"):
        read_result(RESULT | {"completed": 0, "ttfts": [0.0] * 3, "errors": ["Bad Request"] * 3})
    with pytest.raises(LoadError, match="include_usage"):
        read_result(RESULT | {"output_lens": [1, 1, 0]})


def test_every_figure_is_in_the_report_and_the_table_is_short() -> None:
    level = read_result(RESULT)
    report, objectives = Report("A sweep"), {"ttft": 200.0}
    done = {1: [level, level], 8: [level, level]}
    add_figures(report, done, objectives)
    add_lines(report, done, objectives)
    figures = {figure.name: figure for figure in report.figures}
    assert figures["throughput, 8 at a time"].value == 1.0
    assert figures["goodput, 1 at a time"].value == 0.5
    assert figures["ITL p99, 8 at a time"].value == pytest.approx(200)
    assert figures["requests failed, 8 at a time"].value == 1
    assert {series.plot for series in report.series} == {"Requests", "Output", "TTFT", "TPOT", "ITL", "E2EL"}
    assert all(series.x == [1, 8] and series.log_x for series in report.series)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(done, objectives, "A sweep"))
    lines = console.export_text().splitlines()
    assert not any("…" in line for line in lines)  # nothing is cut
    assert lines[-2].split() == ["8", "1", "0", "%", "4", "0.5", "200", "290", "150", "195", "200", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurrency", "1,x"], "--concurrency: must be a whole number above 0, not 'x'"),
        (["--goodput", "itl:5"], "write ttft, tpot or e2el"),
        (["--goodput", "ttft"], "write ttft, tpot or e2el"),
        (["--send", "audio"], "--send"),
        (["--output-tokens", "0"], "above 0"),
        (["--json", "/nowhere/figures.json"], "there is no folder"),
        (["--guidellm", "/nowhere/guidellm"], "cannot be run"),
        (["--profile", "demo", "--base-url", "http://127.0.0.1:1/v1"], "not allowed with"),
    ],
)
def test_a_wrong_flag_ends_before_anything_starts(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_guidellm_would_show_a_key_and_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    level = Level(1, [], 10, 5, 1.0, None, {name: [1.0] for name in LATENCIES})
    monkeypatch.setattr("scripts.benchmarks.server.check.measure", lambda *_: level)
    monkeypatch.setattr("scripts.benchmarks.server.check.run_vllm", lambda *_: level)
    monkeypatch.setenv("BABELVIEW_API_KEY", "secret")
    report = Report("cross-check")
    load = Load(Target("http://127.0.0.1:9/v1", "stills", 5), Requests(Sent.TEXT), 1, 1)
    assert cross_check(report, load, 1, "/no/such/guidellm") == 0
    assert "BABELVIEW_API_KEY" in report.notes[0]
    assert not any("guidellm" in figure.name for figure in report.figures)


def test_goodput_is_written_as_vllm_takes_it() -> None:
    assert parse(["--goodput", "ttft:500", "tpot:50.5"]).goodput == {"ttft": 500.0, "tpot": 50.5}
    assert parse(["--slo", "e2el:1000"]).goodput == {"e2el": 1000.0}
    assert parse(["--quick"]).concurrency == (1, 4, 16)
    assert parse([]).concurrency[-1] == 256


def test_the_commands_name_endpoint_model_and_load(tmp_path: Path) -> None:
    load = Load(TARGET, Requests(Sent.TEXT), 4, 12)
    command = vllm_command(load, tmp_path / "in.jsonl", tmp_path / "out.json")
    options = dict(itertools.pairwise(command))
    assert (options["--base-url"], options["--model"]) == ("http://127.0.0.1:8000", "a-model")
    assert (options["--max-concurrency"], options["--num-prompts"], options["--custom-output-len"]) == ("4", "12", "16")
    command = guidellm_command("guidellm", load, tmp_path / "in.jsonl", tmp_path / "out.json")
    options = dict(itertools.pairwise(command))
    assert json.loads(options["--profile"]) == {"kind": "concurrent", "streams": [4]}
    assert json.loads(options["--constraint"])["count"] == 12


def test_a_command_beside_the_interpreter_is_found() -> None:
    assert find_command("python") is not None
    assert find_command("no-such-command") is None
