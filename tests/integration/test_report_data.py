"""The report's page: data of a prompt with a schema are changed, exported, brought into the ledger; sound is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from browsers import chromium, violations
from report_ledgers import Shown, thumbnail_of, write_shown
from report_page import Report
from sound_files import tones, write

from client.media.content import Facts
from client.media.kinds import Kind
from client.media.waveform import WIDTH
from client.report.apply import Applied, apply_edits
from client.report.missing import make_thumbnails
from client.report.write import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

FACTS = {
    "is_ad": True, "brand": "Sol", "product": "Tea", "offer": None, "price": "2 €", "call_to_action": None,
    "audience": "all", "format": "product shot",
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_data_are_checked_by_their_schema_and_come_into_the_ledger(browser: Browser, tmp_path: Path) -> None:
    output = tmp_path / "out"
    tea = Shown(
        "/ads/tea.png",
        answers={"ad_facts": (json.dumps(FACTS), {"spa_Latn": ["Té", "todos"]})},
        thumbnail=thumbnail_of(9),
    )
    seen = json.dumps({"brands": ["Sol"], "products": [], "people": [], "texts": [], "places": []})
    film = Shown("/ads/film.mp4", Kind.VIDEO, Facts(64, 48, 4.0), windows={"elements": [(0, 4, seen, {})]})
    write_shown(output, [tea, film], ["ad_facts", "elements"], ("spa_Latn",))
    report = Report(browser, write_report(output))
    page = report.open("#q=brand:sol")
    report.has("tea.png", "film.mp4")  # also of a film's windows
    page = report.open("#1")
    page.get_by_role("button", name="Edit Ad facts").click()
    field = page.get_by_label("ad_facts, as JSON")
    assert json.loads(field.input_value()) == FACTS
    for wrong, problem in (
        ('{"is_ad": true', "This is no JSON"),
        (json.dumps({**FACTS, "price": 3}), "price: "),
        (json.dumps({**FACTS, "format": "poem"}), "format: "),
        (json.dumps({**FACTS, "colour": "red"}), "colour"),
    ):
        field.fill(wrong)
        page.keyboard.press("Control+Enter")
        page.get_by_role("alert").get_by_text(problem).wait_for()
    assert not violations(page)
    field.fill(json.dumps({**FACTS, "price": "3 €"}))
    page.keyboard.press("Control+Enter")
    page.locator(".answer-body", has_text="3 €").wait_for()
    page.get_by_text("The model's own words").click()
    page.locator("details", has_text="2 €").wait_for()
    line, _ = report.saved("JSONL").splitlines()
    said = json.loads(line)["tasks"]["ad_facts"]
    assert said["data"]["price"] == "3 €"
    assert said["edited"] == {"eng_Latn": FACTS}
    page.get_by_label("Language").select_option("spa_Latn")
    page.locator(".answer-body", has_text="Té").wait_for()
    assert page.get_by_role("button", name="Edit Ad facts").count() == 0
    changes = tmp_path / "edits.json"
    changes.write_text(report.saved("Save 1 change"))
    assert apply_edits(output, changes) == Applied(0, 1, [])
    write_report(output)
    page = report.open("#1")
    page.get_by_role("button", name="Save").wait_for(state="detached")
    page.get_by_label("Language").select_option("eng_Latn")
    page.locator(".answer-body", has_text="3 €").wait_for()
    page.get_by_role("button", name="Edit Ad facts").click()
    page.get_by_role("button", name="The model's words").click()
    page.get_by_role("button", name="Keep").click()
    page.locator(".answer-body", has_text="2 €").wait_for()
    page.get_by_role("button", name="Save 1 change").wait_for()
    assert not report.problems
    report.context.close()


def test_sound_shows_how_loud_it_is_and_a_click_goes_there(browser: Browser, tmp_path: Path) -> None:
    talk = Shown(str(write(tmp_path / "talk.wav", [tones([(1, 2)], 4.0)])), Kind.AUDIO, Facts(0, 0, 4.0))
    write_shown(tmp_path / "out", [talk], ["transcript"], ())
    assert make_thumbnails(tmp_path / "out") == (1, 0)
    report = Report(browser, write_report(tmp_path / "out"))
    page = report.open()
    assert page.locator(".card img").evaluate("it => it.decode().then(() => it.naturalWidth)") == WIDTH
    page.locator(".card a").click()
    page.locator(".wave").click(position={"x": 1, "y": 20})
    page.wait_for_url("**#1&t=0")
    width = page.locator(".wave").bounding_box()["width"]  # type: ignore[index]
    page.locator(".wave").click(position={"x": width / 2, "y": 20})
    page.wait_for_url("**#1&t=2")
    assert not report.problems
    report.context.close()


@pytest.fixture
def alike(browser: Browser, tmp_path: Path) -> Iterator[Report]:
    """Two files of which similar things are said."""
    pictures = [
        Shown(
            f"/ads/{name}.png",
            answers={
                "describe": (f"A {name} car on a road.", {"spa_Latn": ["Un coche."]} if name == "red" else {}),
                "tags": (json.dumps(["car", *more]), {}),
                "sentiment": ("Positive.", {}),
            },
            thumbnail=thumbnail_of(hue),
        )
        for name, hue, more in (("red", 0, ["dust", "road", "sky"]), ("blue", 200, ["road"]))
    ]
    write_shown(tmp_path / "out", pictures, ["describe", "tags", "sentiment"], ("spa_Latn",))
    report = Report(browser, write_report(tmp_path / "out"))
    yield report
    report.context.close()


def test_what_differs_is_marked_and_accepted_side_by_side(alike: Report) -> None:
    page = alike.open("#compare=1,2")
    red = page.get_by_role("region", name="red.png")
    alike.says("section.side[aria-label='red.png'] .answer-body .text .apart", "red")
    alike.says("section.side[aria-label='blue.png'] .answer-body .text .apart", "blue")
    assert red.locator(".tags .apart").all_inner_texts() == ["dust", "sky"]
    heads = red.locator(".answer-head").all_inner_texts()
    assert [" ".join(head.split()) for head in heads] == [
        "Describe differs Edit",
        "Tags differs Edit",
        "Sentiment the same positive Edit",
    ]
    red.get_by_role("button", name="Accept").click()
    page.get_by_role("button", name="Accept", pressed=True).wait_for()
    assert page.get_by_role("button", name="Accept", pressed=True).count() == 1
    assert not violations(page)
    assert not alike.problems


def test_any_change_can_be_undone(alike: Report) -> None:
    page = alike.open()
    assert page.get_by_role("button", name="Undo").count() == 0
    page.keyboard.press("u")
    alike.says(".told", "There is nothing to undo.")
    page.keyboard.press("Tab")
    page.locator(".card a").first.focus()
    page.keyboard.press("a")
    page.keyboard.press("f")
    alike.says(".changes .main", "Save 2 changes")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Discard").click()
    alike.says(".told", "All changes are discarded. Undo brings them back.")
    page.get_by_role("button", name="Undo").click()
    alike.says(".changes .main", "Save 2 changes")
    page.keyboard.press("u")
    alike.says(".changes .main", "Save 1 change")
    page.locator(".card.accepted").wait_for()
    assert page.locator(".card.flagged").count() == 0
    page.keyboard.press("u")
    page.locator(".card.accepted").wait_for(state="detached")
    page.get_by_role("button", name="Undo").wait_for(state="detached")
    assert not alike.problems


def test_more_tags_than_there_is_room_for_open_the_file(alike: Report) -> None:
    page = alike.open()
    more = page.locator(".card").first.get_by_text("4 tags")
    assert more.get_attribute("title") == "car, dust, road, sky"
    more.click()
    page.locator(".item .title", has_text="red.png").wait_for()


def test_what_is_not_translated_is_edited_in_english(alike: Report) -> None:
    page = alike.open("#2")
    page.get_by_label("Language").select_option("spa_Latn")
    button = page.get_by_role("article", name="Describe").get_by_role("button", name="Edit in English")
    assert "not translated" in (button.get_attribute("title") or "")
    button.click()
    page.get_by_role("button", name="Edit describe").click()
    page.locator(".editor textarea").wait_for()
    assert not alike.problems


def test_a_pack_that_is_not_there_is_said(alike: Report) -> None:
    (alike.index.parent / "thumbnails" / "0.js").unlink()
    page = alike.open()
    page.get_by_role("alert").get_by_text("thumbnails/0.js is missing").wait_for()
    alike.says(".card .lead", "A red car on a road.", "A blue car on a road.")


def test_a_pack_of_thumbnails_that_cannot_be_read_is_told(browser: Browser, tmp_path: Path) -> None:
    write_shown(tmp_path / "out", [Shown("/ads/tea.png", thumbnail=thumbnail_of(9))], ["describe"], ())
    report = Report(browser, write_report(tmp_path / "out"))
    pack = report.index.parent / "thumbnails" / "0.js"
    whole = pack.read_bytes()
    pack.write_bytes(whole[:-9])
    page = report.open()
    page.get_by_text("thumbnails/0.js cannot be read").wait_for()
    pack.write_bytes(whole)
    page = report.open()
    page.locator(".card img").wait_for()
    assert page.get_by_text("cannot be read").count() == 0
    report.context.close()


def test_results_of_a_cluster_take_no_changes(browser: Browser, tmp_path: Path) -> None:
    """Nothing brings them in there."""
    files = [
        Shown(f"/ads/{name}.png", answers={"describe": ("A car.", {})}, thumbnail=thumbnail_of(9)) for name in "abc"
    ]
    write_shown(tmp_path / "out", files, ["describe"], ())
    report = Report(browser, write_report(tmp_path / "out", tmp_path / "page", copy_of="s3://bucket/out"))
    page = report.open()
    for key in "afneus":
        page.keyboard.press(key)
        page.get_by_role("status").get_by_text("results of a cluster, which take no changes").wait_for()
        page.keyboard.press("j")  # which takes the word back
        page.get_by_role("status").get_by_text("cluster").wait_for(state="detached")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("they take no changes").wait_for()
    assert not set("afneus") & set(page.get_by_role("dialog").locator("kbd").all_inner_texts())
    page.keyboard.press("Escape")
    for where in ("#1", "#compare=1,2"):
        page = report.open(where)
        page.get_by_text("A car.").first.wait_for()
        for word in ("Accept", "Flag", "Edit", "Save"):
            assert page.get_by_role("button", name=word).count() == 0
    assert not violations(page)
    assert not report.problems
    report.context.close()
