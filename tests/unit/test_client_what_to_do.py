"""Messages that say what to do next: of too many arguments, a folder without a ledger, decoders that somebody ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from batch_runs import pictures, run
from ledgers import plan_of, write_run

from client.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "a", "b", "--format", "csv", "c d"], "takes one DIR, not 3 (a, b, c d): run it once for each"),
        (["report", "a", "b"], "takes one DIR, not 2 (a, b)"),
        (["clips", "a", "b"], "takes one DIR, not 2 (a, b)"),
        (["live", "a", "b"], "takes one SOURCE, not 2 (a, b)"),
        (["captioner", "a"], "takes no argument a"),
    ],
)
def test_all_arguments_that_are_too_many_are_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_folders_with_a_ledger_below_one_without_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, plan_of(["describe"]), ["a.png"], {"describe": "A car."})
    assert main(["export", str(tmp_path)]) == 1
    assert f"; there is one in {tmp_path / 'one'}, {tmp_path / 'two'}\n" in capsys.readouterr().err


def test_a_run_whose_decoders_somebody_ends_says_how_to_go_on(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.media.loaders.TRIES", 0)
    pictures(tmp_path / "ads", 2)
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 1
    assert "ended from outside, again and again: by SIGTERM" in done.stderr
    assert "to go on: " in done.stderr
    monkeypatch.undo()
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
