"""A batch on a cluster, before there is one: an endpoint that is away is told at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from batch_runs import tree
from fake_servers import FakeServers, free_port

from client.api.options import plan_of
from client.api.session import Session
from client.cli import ray_run
from client.cli.settings import Settings, read_settings
from client.cluster.objects import Objects
from client.endpoints import retry
from client.errors import ServiceLostError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an endpoint that is not there; a second of that is long enough to be told."""
    monkeypatch.setattr(retry, "NOTED_S", 0.0)
    return f"http://127.0.0.1:{free_port()}/v1"


def settings_for(folder: Path, url: str, *more: str) -> Settings:
    ads = tree(folder / "ads", "a.mp4")
    return read_settings([str(ads), "--ray", "local", "--output", str(folder / "out"), "--base-url", url, *more])


@pytest.mark.parametrize("others", ["", "translator", "two"])
def test_it_is_told_what_is_waited_for_and_the_cluster_is_started(
    away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], others: str
) -> None:
    url = f"{away},{away.replace('127.0.0.1', 'localhost')}" if others == "two" else away
    more = ["--translator", away] if others == "translator" else ["--languages", ""]
    settings = settings_for(tmp_path, url, "--no-hear", *more)
    asked = plan_of(settings.options(), settings.session(Session).models)
    asyncio.run(ray_run._look_at_servers(settings, asked))
    (line,) = capsys.readouterr().err.splitlines()
    assert f"endpoint {away}: cannot be reached (Connection refused)" in line
    assert "waiting up to 10 min" in line
    assert "(is it running? babelview up starts it)" in line


def test_it_is_told_too_while_it_has_to_be_asked_what_it_serves(
    away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(tmp_path, away, "--languages", "", "--wait", "0.5")
    with pytest.raises(ServiceLostError):
        ray_run._prepare(settings, Objects(settings.output_uri))
    assert f"endpoint {away}: cannot be reached (Connection refused); waiting up to 0.5 s" in capsys.readouterr().err


def test_of_one_that_is_there_nothing_is_told(
    servers: FakeServers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(tmp_path, f"{servers.url}/v1", "--no-hear", "--languages", "")
    asked = plan_of(settings.options(), settings.session(Session).models)
    asyncio.run(ray_run._look_at_servers(settings, asked))
    assert capsys.readouterr().err == ""
