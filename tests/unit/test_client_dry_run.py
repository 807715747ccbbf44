"""What a run would do and cost, before it; what it costs, while it goes on."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import old_ledgers
import pytest
from batch_runs import pictures, results, run
from ledgers import plan_of

from client.cli.estimate import Tokens, estimate
from client.cli.progress import Progress
from client.media.kinds import SEEN, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

PRICES = ["--price-in", "2000", "--price-out", "10000"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_before_the_first_run(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    shutil.copy(ads / "a.mp4", ads / "copy.mp4")
    (ads / "bad.jpg").write_text("<html>")
    (tmp_path / "list.csv").write_text(f"file\nads/missing.png\n{servers.url}/x.mp4\n")
    before = contents(tmp_path)
    arguments = ["ads", "list.csv", "--languages", "fra_Latn", "--log-file", "log.txt", "--dry-run"]
    done = run(servers, *arguments, *PRICES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == before
    assert servers.asked == []
    said = done.stdout.splitlines()
    assert said[:4] == [
        "8 files: 1 pictures, 5 videos, 2 unreadable",
        "2 others passed over: 1 hidden, 1 .txt",
        "1 are copies of others, 0 are done already, 0 failed before",
        "1 have yet to be fetched: their kind is taken from their names, copies are not known",
    ]
    assert "unreadable: ads/missing.png: cannot be read: No such file or directory" in said
    assert any(line.startswith("unreadable: ads/bad.jpg: this is an HTML page") for line in said)
    assert "to translate: 5 answers into fra_Latn" in said
    requests = {kind: plan_of(["describe"]).requests[kind][0] for kind in SEEN}
    text = {kind: len(request.prompt) / 4 + 20 for kind, request in requests.items()}
    (videos,) = (line for line in said if line.startswith("to ask: describe of 4 videos"))
    most = requests[Kind.VIDEO].max_tokens
    assert videos.endswith(f"about {4 * (text[Kind.VIDEO] + 8 * 144):,.0f} tokens in and {4 * most:,.0f} out")
    # Of one tile: 160 x 96 pixels.
    (picture,) = (line for line in said if line.startswith("to ask: describe of 1 image,"))
    tokens_in = text[Kind.IMAGE] + 1
    assert picture.endswith(f"about {tokens_in:,.0f} tokens in, 1,601 more for pictures, and 512 out")
    tiles = "1,601 tokens for each tile of a picture, uncounted by the server"
    assert f"  describe of images: {tiles}, at most 512 tokens of answer" in said
    assert any(line.startswith("in all: 5 requests") and "1,601 more for pictures" in line for line in said)
    assert said[-1] == "a dry run: nothing was asked, nothing was written"


def test_after_a_run_its_own_answers_are_the_guide(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    pictures(ads, 1)
    first = ["ads", "--include", "*.png", "--include", "a.*"]
    assert run(servers, *first, "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    before = contents(tmp_path)
    done = run(servers, "ads", "--languages", "fra_Latn,spa_Latn", "--dry-run", *PRICES, cwd=tmp_path)
    assert done.returncode == 0
    assert contents(tmp_path) == before
    said = done.stdout.splitlines()
    assert "to ask: describe of 2 videos, about 200 tokens in and 14 out" in said
    assert "to translate: 2 answers into fra_Latn" in said
    assert "to translate: 5 answers into spa_Latn" in said
    assert "in all: 2 requests, about 200 tokens in and 14 out, cost about 0.5400" in said
    assert "  describe of videos: the mean of earlier answers" in said
    asked = len(servers.asked)
    assert run(servers, "ads", "--languages", "fra_Latn,spa_Latn", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == asked + 2
    again = run(servers, "ads", "--languages", "fra_Latn,spa_Latn", "--dry-run", cwd=tmp_path).stdout.splitlines()
    assert "0 are copies of others, 5 are done already, 0 failed before" in again
    assert "in all: 0 requests, about 0 tokens in and 0 out" in again
    redo = run(servers, "ads", "--languages", "", "--redo", "all", "--dry-run", cwd=tmp_path).stdout
    assert "in all: 5 requests" in redo


def test_what_is_known_to_be_no_picture_is_not_counted_as_one(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    (tmp_path / "ads" / "empty.jpg").touch()
    (tmp_path / "ads" / "page.jpg").write_text("<html>")
    options = ("ads", "--languages", "", "--redo", "failed", "--dry-run")
    fresh = run(servers, *options, cwd=tmp_path).stdout.splitlines()
    assert fresh[0] == "3 files: 1 pictures, 0 videos, 2 unreadable"
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 1
    later = run(servers, *options, cwd=tmp_path).stdout.splitlines()
    assert [line for line in later if line.startswith("unreadable")] == [
        line for line in fresh if line.startswith("unreadable")
    ]
    assert later[:2] == [fresh[0], "0 are copies of others, 1 are done already, 0 failed before"]
    assert any(line.startswith("in all: 0 requests") for line in later)


def test_pictures_are_counted_by_their_tiles(servers: FakeServers, tmp_path: Path) -> None:
    sizes = [(1000, 500), (2500, 2000), (300, 300)]  # 2, 4 and 1 tiles
    for number, size in enumerate(sizes):
        pictures(tmp_path / "ads", 1, first=number, size=size)
    arguments = ["ads", f"{servers.url}/x.jpg", "--tasks", "describe,tags", "--languages", "", "--dry-run"]
    said = run(servers, *arguments, cwd=tmp_path).stdout.splitlines()
    beside = f"{1601 * (2 + 4 + 1 + 4):,} more for pictures"  # of what is not here, as many as can be
    assert sum(beside in line for line in said if line.startswith("to ask: ")) == 2
    assert any(f"{2 * 1601 * 11:,} more for pictures" in line for line in said if line.startswith("in all: "))
    other = run(servers, *arguments, "--model", "gpt-4o-mini", cwd=tmp_path).stdout
    assert "beside" not in other
    assert "what media cost gpt-4o-mini is not known and NOT counted" in other


def test_files_without_a_prompt_are_told(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "haiku").mkdir(parents=True)
    (tmp_path / "mine" / "haiku" / "image.md").write_text("Write a haiku.")
    said = run(servers, "ads", "--tasks", "haiku", "--prompts", "mine", "--dry-run", cwd=tmp_path).stdout.splitlines()
    assert "3 videos about which no task of this run asks anything" in said
    assert "0 are copies of others, 0 are done already, 0 failed before" in said


def test_an_unknown_model_is_said_to_be_unknown() -> None:
    (request,) = plan_of(["describe"]).requests[Kind.VIDEO]
    guess = estimate(request, Kind.VIDEO, 2, {}, frames=8)
    assert "what media cost watches is not known and NOT counted" in guess.basis
    known = estimate(request, Kind.VIDEO, 2, {request.identity: (1200.0, 90.5)}, frames=8)
    assert known.tokens == Tokens(2400.0, 181.0)


def test_prices_are_shown_and_kept(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 4)
    done = run(servers, "ads", "--languages", "", *PRICES, cwd=tmp_path)
    assert "400 tokens in and 28 out, cost 1.08" in done.stderr
    assert results(tmp_path)["stats"]["cost"] == pytest.approx((400 * 2000 + 28 * 10000) / 1e6)
    assert results(tmp_path)["stats"]["prices_per_million"] == [2000, 10000]
    free = run(servers, "ads", "--languages", "", "--redo", "all", cwd=tmp_path)
    assert "400 tokens in and 28 out\n" in free.stderr
    assert "cost" not in results(tmp_path)["stats"]


def test_the_cost_of_the_whole_run_is_projected_from_what_it_did() -> None:
    progress = Progress(
        files=100, done=30, reused=20, prompt_tokens=5_000_000, generated_tokens=1_000_000, prices=(0.5, 2)
    )
    assert progress.cost == pytest.approx(4.5)
    assert progress.projected_cost == pytest.approx(4.5 * (1 + 70 / 10))
    assert "; ".join(progress.lines()).endswith("5,000,000 tokens in and 1,000,000 out, cost 4.50 of about 36.00")
    assert "cost" not in "".join(Progress(files=1).lines())
    assert Progress(files=1, prices=(1, 1)).projected_cost is None


def test_ctrl_c_while_files_are_looked_for(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    pictures(tmp_path / "ads", 1)
    monkeypatch.setattr("os.scandir", interrupted)
    for more in ([], ["--dry-run"]):
        done = run(servers, "ads", *more, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("version", old_ledgers.VERSIONS)
def test_a_ledger_of_an_earlier_version_is_counted_and_left_as_it_is(
    servers: FakeServers, tmp_path: Path, version: int
) -> None:
    old_ledgers.write_inputs(tmp_path)
    old_ledgers.write_ledger(version, tmp_path)
    before = contents(tmp_path)
    done = run(servers, *old_ledgers.OPTIONS, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[1] == "0 are copies of others, 3 are done already, 1 failed before"
    assert any(line.startswith("in all: 0 requests") for line in said)
    assert contents(tmp_path) == before


def test_a_ledger_of_a_newer_version_is_refused(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    (tmp_path / "captions").mkdir()
    connection = sqlite3.connect(tmp_path / "captions" / "ledger.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    done = run(servers, "ads", "--dry-run", cwd=tmp_path)
    assert done.returncode == 1
    assert "version 99" in done.stderr
