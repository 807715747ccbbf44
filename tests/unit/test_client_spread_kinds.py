"""Several endpoints of which one takes videos as vLLM does, and another as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, run
from test_client_spread import ask, both, said, session

from client.errors import UsageError
from client.media.content import Content, Facts, Frame
from client.media.kinds import Kind
from client.tasks.plan import IMAGE_MODEL, VIDEO_MODEL
from scripts.benchmarks.fakes.scripted import listing

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

__all__ = ["both", "said"]
TWO_FRAMES = Content(Kind.VIDEO, Facts(2, 2), [Frame(0, b"a"), Frame(1, b"b")])


def of(owner: str, *models: str) -> Any:
    """An endpoint of a kind that serves these models."""

    async def answer(*_: Any) -> Any:
        return listing(owner, *models)

    return answer


async def test_one_that_serves_other_models_is_no_matter(both: list[FakeServers], said: list[str]) -> None:
    both[0].on_models = of("somebody", "others")
    both[1].on_models = of("vllm", IMAGE_MODEL, VIDEO_MODEL)
    async with session(both, said) as opened:
        model = opened.opened.model
        await model.check({IMAGE_MODEL, VIDEO_MODEL})
        model.check_media(VIDEO_MODEL, Kind.VIDEO, 8)
        assert b"video_url" in model.parts(TWO_FRAMES)
        await ask(opened, 2, VIDEO_MODEL)
    assert [len(each.asked) for each in both] == [0, 2]


async def test_of_pictures_it_makes_no_difference(both: list[FakeServers], said: list[str]) -> None:
    both[0].on_models, both[1].on_models = of("somebody", IMAGE_MODEL), of("vllm", IMAGE_MODEL, VIDEO_MODEL)
    async with session(both, said) as opened:
        model = opened.opened.model
        await model.check({IMAGE_MODEL, VIDEO_MODEL})
        model.check_media(IMAGE_MODEL, Kind.IMAGE, 1)
        model.check_media(VIDEO_MODEL, Kind.VIDEO, 8)
        assert b"video_url" in model.parts(TWO_FRAMES)
        await ask(opened, 4)
    assert [len(each.asked) for each in both] == [2, 2]


async def test_where_both_are_asked_about_videos_it_is_told_what_to_do(
    both: list[FakeServers], said: list[str]
) -> None:
    both[0].on_models, both[1].on_models = of("somebody", VIDEO_MODEL), of("vllm", VIDEO_MODEL)
    async with session(both, said) as opened:
        await opened.opened.model.check({VIDEO_MODEL})
        with pytest.raises(UsageError, match="say --frames-as images, or leave one of them out") as told:
            opened.opened.model.check_media(VIDEO_MODEL, Kind.VIDEO, 8)
    urls = [f"{each.url}/v1" for each in both]
    assert f"{urls[1]} takes videos as vLLM does, {urls[0]} does not, and both serve {VIDEO_MODEL}" in str(told.value)
    async with session(both, said, frames_as="images") as opened:
        await opened.opened.model.check({VIDEO_MODEL})
        opened.opened.model.check_media(VIDEO_MODEL, Kind.VIDEO, 8)
        assert opened.opened.model.parts(TWO_FRAMES).count(b"image_url") == 4
    assert not said


async def test_one_that_comes_late_is_looked_at_first(both: list[FakeServers], said: list[str]) -> None:
    both[0].on_models, both[1].on_models = of("vllm", VIDEO_MODEL), of("somebody", VIDEO_MODEL)
    both[1].stop()
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        opened.opened.model.check_media(VIDEO_MODEL, Kind.VIDEO, 8)
        both[1].start()
        await ask(opened, 4, VIDEO_MODEL)
    assert [len(each.asked) for each in both] == [4, 0]
    assert "leave one of them out; others are asked instead" in said[-1]


def test_a_batch_goes_on_at_the_one_that_can(both: list[FakeServers], tmp_path: Path) -> None:
    both[0].on_models = of("somebody", "others")
    pictures(tmp_path / "ads", 3)
    urls = ",".join(f"{each.url}/v1" for each in both)
    done = run(both[1], "ads", "--languages", "", "--base-url", urls, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [len(each.asked) for each in both] == [0, 3]
    assert f"asked at other endpoints than {both[0].url}/v1, which do not list it" in done.stderr
