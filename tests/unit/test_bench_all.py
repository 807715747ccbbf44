"""The runner of all benchmarks: goes on, says what failed, and writes the page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from programs import exit_code

import scripts.benchmarks.__main__ as bench_all
from scripts.benchmarks.__main__ import BENCHMARKS, Benchmark, main

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
import json, sys
report = {"title": "Good <one>", "figures": [{"name": "speed", "value": 7.5, "unit": "1/s"}],
          "series": [{"plot": "Speed", "name": "s", "x_label": "x", "y_label": "y", "x": [1, 2], "y": [3, 4],
                      "log_x": False, "log_y": False}]}
with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
    json.dump(report, file)
"""


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for scripts, of which `bad` fails and `good` does not."""
    package = tmp_path / "made_up_benchmarks"
    package.mkdir()
    (package / "bad.py").write_text("raise SystemExit(3)")
    (package / "good.py").write_text(GOOD)
    monkeypatch.setattr(bench_all, "PACKAGE", "made_up_benchmarks")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    monkeypatch.setattr(bench_all, "BENCHMARKS", (Benchmark("bad"), Benchmark("good")))
    return tmp_path


def test_one_that_fails_does_not_stop_the_others(scripts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = scripts / "results"
    results.mkdir()
    (results / "bad.json").write_text('{"title": "Of yesterday", "figures": []}')
    assert main(["--output", str(results), "--only", "bad,good"]) == 1
    assert "failed: bad: exit code 3" in capfd.readouterr().out
    page = (results / "index.html").read_text()
    assert "Good &lt;one&gt;" in page
    assert "Of yesterday" not in page
    assert sorted(path.name for path in (results / "plots").iterdir()) == ["good-1-speed.png", "good-1-speed.svg"]


def test_all_well_is_0(scripts: Path) -> None:
    assert main(["--output", str(scripts / "results"), "--only", "good"]) == 0


def test_without_any_result_there_is_no_page(scripts: Path) -> None:
    results = scripts / "results"
    assert main(["--output", str(results), "--only", "bad"]) == 1
    assert not (results / "index.html").exists()


def test_unknown_names_are_refused_before_anything_runs(scripts: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--output", str(scripts / "results"), "--only", "good,speed"])
    assert ended.value.code == 2
    assert not (scripts / "results").exists()


def test_the_list_runs_nothing(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(scripts / "results"), "--only", "good", "--list"]) == 0
    assert "-m made_up_benchmarks.good --quick --json" in capsys.readouterr().out
    assert not (scripts / "results").exists()


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_every_script_takes_its_arguments_and_refuses_others(
    benchmark: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python, dash_m, module, *arguments = benchmark.command(tmp_path)
    assert (python, dash_m) == (sys.executable, "-m")
    assert exit_code(module, *arguments, "--no-such-flag") == 2
    assert capsys.readouterr().err.rstrip().endswith("unrecognized arguments: --no-such-flag")
    assert not list(tmp_path.iterdir())
