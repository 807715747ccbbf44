"""Results as files: of a run that goes on, was killed, or has ended; and the command that writes them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import ROOT, pictures, results, run, start, wait_until
from ledgers import plan_of, write_run
from test_client_export import read_csv

from client.cli.export import main
from client.errors import LedgerError, UsageError
from client.export import interim, xlsx_file
from client.export.formats import export
from client.record import UNFINISHED

if TYPE_CHECKING:
    from fake_servers import FakeServers


def test_a_run_writes_the_formats_it_is_told(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 2)
    done = run(servers, "ads", "--format", "csv,parquet", "--languages", "fra_Latn", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "captions").glob("results*")) == ["results.csv", "results.parquet"]
    assert "results: captions/results.csv, captions/results.parquet" in done.stderr
    assert [row["describe_fra_Latn"] for row in read_csv(tmp_path / "captions" / "results.csv")] == [
        "fra_Latn: I see 0",
        "fra_Latn: I see 1",
    ]


@pytest.mark.parametrize(
    ("format_", "reason"),
    [
        ("json,docx", "unknown format 'docx'; there are: json, jsonl, csv, parquet, xlsx, reference"),
        ("parquet", "needs the package pyarrow: pip install -e '.[parquet]' in Babelview's own folder"),
    ],
)
def test_formats_are_checked_before_anything_starts(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--format", format_, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert servers.asked == []
    assert not (tmp_path / "captions").exists()


@pytest.mark.parametrize("formats", [["xlsx", "json", "csv", "txt", "vtt"], ["json", "csv", "xlsx", "txt", "vtt"]])
def test_a_format_that_cannot_be_written_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: list[str]
) -> None:
    monkeypatch.setattr(xlsx_file, "COLUMNS", 3)
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "Words."})
    with pytest.raises(UsageError, match="columns do not fit on a sheet"):
        export(tmp_path, formats)
    found = sorted(path.name for path in tmp_path.iterdir() if "ledger" not in path.name)
    assert found == ["results.csv", "results.json", "subtitles", "txt"]
    assert len(json.loads((tmp_path / "results.json").read_bytes())["files"]) == 1


def test_of_several_that_cannot_be_written_the_first_is_told(tmp_path: Path) -> None:
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "Words."})
    for name in ("results.jsonl", "results.csv"):
        (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=r"results\.jsonl"):
        export(tmp_path, ["jsonl", "json", "csv"])
    assert (tmp_path / "results.json").is_file()


def test_results_are_renewed_again_after_a_format_could_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interim, "FIRST_S", 0.0)
    monkeypatch.setattr(interim, "EVERY_S", 0.0)
    tries = threading.Semaphore(0)

    def write() -> None:
        tries.release()
        raise UsageError("--format xlsx: 20,000 columns do not fit on a sheet")

    async def run() -> None:
        async with interim.kept_up_to_date(write):
            for _ in range(2):
                assert await asyncio.to_thread(tries.acquire, timeout=60)

    asyncio.run(run())


def test_what_a_killed_run_has_done_can_be_had(
    servers: FakeServers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also while it runs; and a run that is killed before it comes to a file does not lose what is known of it."""
    pictures(tmp_path / "ads", 30)
    process = start(servers, "ads", "--concurrency", "1", "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) >= 8)
    # The run itself writes results.json now and then, maybe just now.
    assert main([str(tmp_path / "captions"), "--format", "jsonl"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/captions/results.jsonl\n"
    early = [json.loads(line) for line in (tmp_path / "captions" / "results.jsonl").read_text().splitlines()]
    assert sum("describe" in record["tasks"] for record in early) >= 6
    process.kill()
    process.communicate()
    assert main([str(tmp_path / "captions"), "--format", "json,jsonl"]) == 0
    before = results(tmp_path)["files"]
    assert [record["error"] for record in before if not record["tasks"]] == [UNFINISHED] * sum(
        not record["tasks"] for record in before
    )
    released = threading.Event()

    async def never(*_: Any) -> None:
        await asyncio.to_thread(released.wait)

    servers.on_ask = never
    process = start(servers, "ads", "--concurrency", "1", "--languages", "", cwd=tmp_path)
    asked = len(servers.asked)
    wait_until(lambda: len(servers.asked) > asked)
    process.kill()
    process.communicate()
    released.set()
    assert main([str(tmp_path / "captions")]) == 0
    after = {record["file"]: record["tasks"] for record in results(tmp_path)["files"]}
    assert all(after[record["file"]] == record["tasks"] for record in before if record["tasks"])


def test_results_are_kept_up_to_date_while_a_run_goes_on(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interim, "EVERY_S", 0.05)
    monkeypatch.setattr(interim, "SHARE", 1000.0)  # else a slow write makes the next pause long
    pictures(tmp_path / "ads", 3)
    meanwhile: list[dict[str, Any]] = []

    def look() -> None:  # the ledger may have an answer before the run has counted its file
        wait_until((tmp_path / "captions" / "results.json").exists)
        wait_until(lambda: results(tmp_path)["stats"]["done"] == 2)
        meanwhile.append(results(tmp_path))

    async def wait_for_the_last(*_: Any) -> None:
        if len(servers.asked) == 3:
            await asyncio.to_thread(look)

    servers.on_ask = wait_for_the_last
    assert run(servers, "ads", "--concurrency", "1", "--languages", "", cwd=tmp_path).returncode == 0
    stats = meanwhile[0]["stats"]
    assert (stats["files"], stats["done"], stats["unfinished"]) == (3, 2, 1)
    assert sum(bool(record["tasks"]) for record in meanwhile[0]["files"]) == 2
    assert sum(bool(record["tasks"]) for record in results(tmp_path)["files"]) == 3


def test_export_is_a_module_too(tmp_path: Path) -> None:
    write_run(tmp_path, plan_of(["describe"], ()), ["a.png"], {"describe": "Words."})
    command = [sys.executable, "-m", "client.export", str(tmp_path), "--format", "csv,jsonl"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (
        0,
        [str(tmp_path / "results.csv"), str(tmp_path / "results.jsonl")],
        "",
    )


def test_export_without_a_ledger_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert f"Error: there is no ledger.db in {tmp_path}" in capsys.readouterr().err
    assert main([str(tmp_path), "--format", "word"]) == 2
    with pytest.raises(LedgerError):
        export(tmp_path / "nowhere", ["json"])


def test_export_and_batch_give_the_last_run_alone(
    servers: FakeServers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / "ads", 2)
    output = tmp_path / "captions"

    def files() -> list[str]:
        return [Path(record["file"]).name for record in results(tmp_path)["files"]]

    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert run(servers, "ads/0001.png", "--languages", "", cwd=tmp_path).returncode == 0
    assert files() == ["0000.png", "0001.png"]
    assert run(servers, "ads/0001.png", "--languages", "", "--only-run", cwd=tmp_path).returncode == 0
    assert files() == ["0001.png"]
    assert main([str(output)]) == 0
    assert files() == ["0000.png", "0001.png"]
    assert main([str(output), "--only-run"]) == 0
    assert files() == ["0001.png"]
    assert capsys.readouterr().out == f"{output}/results.json\n" * 2
