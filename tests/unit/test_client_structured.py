"""Answers by a JSON schema: asked for, checked, asked again, translated, and placed in time."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, results, run
from fake_servers import completion, error
from hypothesis import given
from hypothesis import strategies as st
from media_files import write_video

from client.tasks import structured
from client.tasks.prompt import read_prompt
from client.tasks.structured import Timed, placed
from client.tasks.tasks import BUILT_IN

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

FACTS = {
    "is_ad": True,
    "brand": "Solvo",
    "product": "A red car",
    "offer": None,
    "price": "$9",
    "call_to_action": "Drive it",
    "audience": None,
    "format": "lifestyle",
}
OPTIONS = ("ads", "--languages", "fra_Latn", "--concurrency", "1")


@pytest.fixture
def ads(servers: FakeServers, tmp_path: Path) -> FakeServers:
    (tmp_path / "ads").mkdir()
    return servers


def schema_in(body: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = body["response_format"]["json_schema"]["schema"]
    return schema


# -- asking ------------------------------------------------------------------------------------------------------


def test_data_stands_in_the_record_with_its_texts_translated(ads: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)

    async def state(_: web.Request, __: dict[str, Any], ___: int) -> web.StreamResponse | None:
        return completion("```json\n" + json.dumps(FACTS) + "\n```")

    ads.on_ask = state
    assert run(ads, *OPTIONS, "--tasks", "ad_facts", cwd=tmp_path).returncode == 0
    schema = schema_in(ads.asked[0])
    assert (schema["properties"]["brand"]["maxLength"], "x-translate" in json.dumps(schema)) == (60, False)
    (record,) = results(tmp_path)["files"]
    facts = record["tasks"]["ad_facts"]
    assert (facts["data"], json.loads(facts["raw"].strip("`json\n"))) == (FACTS, FACTS)
    assert "text" not in facts
    # Brands, prices and fixed words stay what they are.
    french = {"product": "fra_Latn: A red car", "call_to_action": "fra_Latn: Drive it"}
    assert facts["translations"] == {"fra_Latn": FACTS | french}
    assert (facts["verdict"], record["error"], record["warnings"]) == ("ok", None, [])
    assert run(ads, *OPTIONS, "--tasks", "ad_facts", cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 1


@pytest.mark.parametrize("wrong", ["It is an ad.", json.dumps(FACTS | {"format": "poster"}), '{"is_ad": true'])
def test_what_is_not_by_the_schema_is_asked_once_more(ads: FakeServers, tmp_path: Path, wrong: str) -> None:
    pictures(tmp_path / "ads", 1)

    async def state(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
        return completion(wrong if number == 1 else json.dumps(FACTS))

    ads.on_ask = state
    assert run(ads, *OPTIONS, "--tasks", "ad_facts", cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 2
    facts = results(tmp_path)["files"][0]["tasks"]["ad_facts"]
    assert (facts["data"], facts["verdict"]) == (FACTS, "retried")
    assert facts["reasons"][0].startswith("invalid: it is no")


def test_what_stays_wrong_is_kept_as_text_and_doubtful(ads: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)

    async def state(_: web.Request, __: dict[str, Any], ___: int) -> web.StreamResponse | None:
        return completion('{"is_ad": "perhaps"}')

    ads.on_ask = state
    assert run(ads, *OPTIONS, "--tasks", "ad_facts", cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 2
    (record,) = results(tmp_path)["files"]
    facts = record["tasks"]["ad_facts"]
    assert (facts["text"], "data" in facts, facts["verdict"]) == ('{"is_ad": "perhaps"}', False, "doubtful")
    assert facts["translations"] == {}
    assert any("is kept as text" in warning for warning in record["warnings"])
    assert run(ads, *OPTIONS, "--tasks", "ad_facts", cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 2


def test_an_endpoint_without_schemas_is_asked_without(ads: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 3)

    async def state(_: web.Request, body: dict[str, Any], ___: int) -> web.StreamResponse | None:
        if "response_format" in body:
            return error(400, "Unknown parameter: response_format")
        return completion(json.dumps(FACTS))

    ads.on_ask = state
    assert run(ads, *OPTIONS, "--tasks", "ad_facts", cwd=tmp_path).returncode == 0
    assert ["response_format" in body for body in ads.asked] == [True, False, False, False]


def test_requests_in_flight_together_learn_each_what_the_endpoint_does_not_take(
    ads: FakeServers, tmp_path: Path
) -> None:
    """Both at once: neither the schema nor the older name of the limit."""
    pictures(tmp_path / "ads", 4)
    together = asyncio.Barrier(4)

    async def state(_: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number <= 4:
            await together.wait()
        if "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "response_format" in body:
            await asyncio.sleep(0.1)
            return error(400, "Unknown parameter: response_format")
        return completion(json.dumps(FACTS))

    ads.on_ask = state
    done = run(ads, *OPTIONS, "--tasks", "ad_facts", "--concurrency", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(ads.asked) == 12


# -- over time ---------------------------------------------------------------------------------------------------

CHAPTERS = {"chapters": [{"start": 0.4, "title": "The car"}, {"start": 1.9, "title": "The logo"}]}


def test_chapters_tile_the_video_and_begin_with_windows(ads: FakeServers, tmp_path: Path) -> None:
    write_video(tmp_path / "ads" / "a.mp4", 100)

    async def tell(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return completion(json.dumps(CHAPTERS)) if "response_format" in body else None

    ads.on_ask = tell
    options = (*OPTIONS, "--tasks", "chapters", "--window", "1", "--format", "json,vtt,ffmetadata")
    assert run(ads, *options, cwd=tmp_path).returncode == 0
    (record,) = results(tmp_path)["files"]
    assert record["tasks"]["chapters"]["segments"] == [
        {
            "start": 0.0,
            "end": 2.0,
            "text": "The car",
            "title": "The car",
            "translations": {"fra_Latn": "fra_Latn: The car"},
        },
        {
            "start": 2.0,
            "end": 4.0,
            "text": "The logo",
            "title": "The logo",
            "translations": {"fra_Latn": "fra_Latn: The logo"},
        },
    ]
    written = tmp_path / "captions" / "subtitles" / "ads"
    assert "START=2000\nEND=4000\ntitle=The logo" in (written / "a.mp4.chapters.eng_Latn.ffmeta").read_text()
    assert "00:00:02.000 --> 00:00:04.000\nfra_Latn: The logo" in (written / "a.mp4.chapters.fra_Latn.vtt").read_text()


def test_events_lie_in_the_video_and_in_their_windows(ads: FakeServers, tmp_path: Path) -> None:
    write_video(tmp_path / "ads" / "a.mp4", 100)
    said = [
        [{"start": 0.5, "end": 1.5, "what": "A car", "confidence": 0.9}],
        [{"start": 0.0, "end": 1.0, "what": "A logo", "confidence": 0.5}],  # counted from the window's beginning
    ]
    said[0].append({"start": 7.0, "end": 8.0, "what": "Nothing", "confidence": 0.5})

    async def tell(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
        return completion(json.dumps({"events": said[number - 1]}))

    ads.on_ask = tell
    assert run(ads, *OPTIONS, "--tasks", "events", "--window", "2", cwd=tmp_path).returncode == 0
    (record,) = results(tmp_path)["files"]
    segments = record["tasks"]["events"]["segments"]
    assert record["warnings"] == [
        "events, 0.000-2.000 s: 1 of 2 parts left out: they are not within 0.000-2.000 s, or are doubled"
    ]
    assert [(s["start"], s["end"], s["text"], s["score"]) for s in segments] == [
        (0.5, 1.5, "A car", 0.9),
        (2.0, 3.0, "A logo", 0.5),
    ]
    assert segments[1]["translations"] == {"fra_Latn": "fra_Latn: A logo"}


def test_data_about_a_window_is_a_segment(ads: FakeServers, tmp_path: Path) -> None:
    write_video(tmp_path / "ads" / "a.mp4", 100)
    data = {"brands": ["Solvo"], "products": ["a car"], "people": [], "texts": ["GO"], "places": []}

    async def tell(_: web.Request, __: dict[str, Any], ___: int) -> web.StreamResponse | None:
        return completion(json.dumps(data))

    ads.on_ask = tell
    options = (*OPTIONS, "--tasks", "elements", "--window", "2", "--format", "json,csv,reference,vtt")
    assert run(ads, *options, cwd=tmp_path).returncode == 0
    first, _ = results(tmp_path)["files"][0]["tasks"]["elements"]["segments"]
    assert (first["start"], first["end"], first["data"]) == (0.0, 2.0, data)
    assert first["translations"] == {"fra_Latn": data | {"products": ["fra_Latn: a car"]}}


titled = st.builds(
    lambda start, title: {"start": start, "title": title}, st.floats(-10, 200, allow_nan=False), st.text(min_size=1)
)


@given(st.lists(titled, min_size=1, max_size=12), st.integers(1, 12), st.floats(0.5, 30))
def test_chapters_have_neither_gap_nor_overlap(items: list[dict[str, Any]], count: int, length: float) -> None:
    windows = [(number * length, (number + 1) * length) for number in range(count)]
    duration = count * length - length / 3
    parts = structured.timed(CHAPTER_READER, {"chapters": items})
    assert parts is not None
    found = list(placed(parts, windows, duration))
    assert found[0].start_s == 0
    assert found[-1].end_s == duration
    assert all(before.end_s == after.start_s for before, after in itertools.pairwise(found))
    assert all(part.start_s in {0.0, *(start for start, _ in windows)} for part in found)


CHAPTER_READER = read_prompt(BUILT_IN / "chapters" / "merge.md").answer


def test_a_moment_without_an_end_lasts_as_long_as_its_window() -> None:
    parts = [Timed(12.0, None, "wow", None, 9.0, 0), Timed(99.0, None, "outside", None, 1.0, 1)]
    assert list(placed(parts, [(0, 10), (10, 20)], 20)) == [Timed(12.0, 20, "wow", None, 9.0, 0)]
