"""The studio's page in a real browser: what it asks, and what it makes of answers, refusals and attacks."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from browsers import chromium, violations
from media_files import write_video
from report_ledgers import ATTACK, jpeg_of
from studio_page import KEY, Captioner, Desk, after, answer, event, progress, record, refuses, tells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

HINDI, SAID = "एक लाल कार तट पर चलती है।", "A red car drives along the coast."
PICTURE = record(
    "image",
    {
        "describe": answer(
            text=SAID, translations={"hin_Deva": HINDI}, translation_verdicts={"hin_Deva": {"ok": 0, "doubtful": 1}}
        ),
        "tags": answer(tags=["car", "coast"], raw='["car", "coast"]', translations={"hin_Deva": ["कार", "तट"]}),
    },
    warnings=["describe: hin_Deva: doubtful translation: “एक लाल कार”: a word is missing"],
)
SEGMENTS = [
    {"start": 0.0, "end": 2.0, "text": "The road is empty.", "translations": {"hin_Deva": "सड़क खाली है।"}},
    {"start": 2.0, "end": 4.0, "text": "The logo appears.", "translations": {}},
]
VIDEO = record("video", {"captions": answer(segments=SEGMENTS)})


def done(value: dict[str, Any]) -> bytes:
    return event("record", record=0, value=value)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "car.jpg").write_bytes(jpeg_of(10))
    (folder / "rain.jpg").write_bytes(jpeg_of(200))
    write_video(folder / "road #1.mp4", 100)
    return folder


@pytest.fixture
def captioner() -> Iterator[Captioner]:
    with Captioner().running() as running:
        yield running


@pytest.fixture
def desk(browser: Browser, captioner: Captioner) -> Iterator[Desk]:
    made = Desk(browser, captioner)
    yield made
    made.context.close()
    assert not made.problems
    assert all(url.startswith((captioner.url, f"blob:{captioner.url}")) for url in made.urls)


def test_answers_stream_in_and_become_the_record(desk: Desk, captioner: Captioner, files: Path) -> None:
    gate = threading.Event()
    pieces = [
        progress(0.25, 12),
        event("delta", record=0, task="describe", text="A blue "),
        event("retry", record=0, task="describe"),
        event("delta", record=0, task="describe", text="A red "),
        event("delta", record=0, task="describe", text="car"),
        event("delta", record=0, task="tags", text='["car", "co'),
    ]
    captioner.plays = [after(gate, b"".join(pieces), done(PICTURE))]
    page = desk.page
    desk.add(files / "car.jpg")
    page.get_by_label("Add a language").fill("hindi")
    page.keyboard.press("Enter")
    page.get_by_label("Add a language").fill("Klingon")
    page.keyboard.press("Tab")
    page.get_by_text("does not translate into “Klingon”").wait_for()
    desk.ask()
    desk.is_(0, "25 %, 12 tokens")
    desk.says(".coming .answer-body", "A red car", "car, co")
    assert page.locator(".said").get_attribute("aria-busy") == "true"
    assert captioner.asked == [
        {"tasks": ["describe,tags"], "languages": ["hin_Deva"], "stream": ["true"], "file": ["car.jpg"]}
    ]
    gate.set()
    desk.is_(0, "done")
    desk.says(".answer-body", SAID, "carcoast")
    assert page.locator(".coming").count() == 0
    page.get_by_role("button", name="Hindi", exact=True).click()  # of "The translation is doubtful in"
    desk.says(".answer-body", HINDI, "कारतट")
    assert page.locator(".answer-body").first.get_attribute("lang") == "hi"
    page.locator(".doubts", has_text="a word is missing").wait_for()
    captioner.plays = [tells(done(record("image", {"ask": answer(text="Red.", question="Which colour?")})))] * 2
    for number in (1, 2):
        page.get_by_label("Ask more about this file").fill("Which colour?")
        page.keyboard.press("Enter")
        page.locator(".answer h3", has_text="Ask").nth(number - 1).wait_for()
        desk.is_(0, "done")
    (history,) = captioner.asked[-1].pop("history")
    assert captioner.asked[-1] == {
        "questions": ["Which colour?"],
        "languages": ["hin_Deva"],
        "stream": ["true"],
        "file": ["car.jpg"],
    }
    described, earlier = json.loads(history)
    assert described["task"] == "describe"
    assert earlier == {"question": "Which colour?", "answer": "Red."}
    assert page.locator(".answer h3").all_inner_texts()[:4] == ["Describe", "Tags", "Ask", "Ask 2"]


def test_a_moment_on_the_seek_bar_leads_there(desk: Desk, captioner: Captioner, files: Path) -> None:
    captioner.plays = [tells(done(VIDEO))]
    page = desk.page
    page.get_by_label("Captions", exact=True).check()
    desk.add(files / "road #1.mp4")
    desk.ask()
    desk.is_(0, "done")
    page.get_by_role("group", name="captions by time").get_by_role("button", name="The logo appears.").click()
    desk.says(".segments li[aria-current]", "0:02The logo appears.")
    assert page.locator(".player video").evaluate("it => it.currentTime") == 2


def test_moments_stand_alone_and_what_else_there_is_beside_them(desk: Desk, captioner: Captioner, files: Path) -> None:
    data = {"parts": [{"start": 0, "what": "A road"}]}
    said = [{**each, "data": {"language": "spa_Latn"}} for each in SEGMENTS]
    timed = {"chapters": answer(data=data, segments=SEGMENTS), "transcript": answer(segments=said)}
    more = {"highlights": answer(data={**data, "best": "The logo"}, segments=SEGMENTS)}
    captioner.plays = [tells(done(record("video", timed | more)))]
    desk.add(files / "road #1.mp4")
    desk.ask()
    desk.says(".answer-body", "BestThe logo")
    desk.says("[aria-labelledby^=answer-tran] li > div", "The road is empty.spoken in Spanish", "The logo appears.")
    chapters = desk.page.get_by_role("article", name="Chapters")
    assert not chapters.get_by_text("A road").is_visible()
    chapters.get_by_text("The same as data").click()
    chapters.get_by_text("A road").wait_for()


def test_files_of_any_name_stay_within_the_tray(desk: Desk, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number} {'long ' * 20}.jpg" for number in range(7)]
    for path in paths:
        path.write_bytes(jpeg_of(9))
    desk.add(*paths)
    for width in (390, 1280):
        desk.page.set_viewport_size({"width": width, "height": 800})
        boxes = [small.bounding_box() for small in desk.page.locator(".tray > li").all()]
        assert all(box and box["width"] < 200 and box["x"] + box["width"] <= width for box in boxes)


def test_what_is_asked_suits_the_file_and_is_asked_once(desk: Desk, captioner: Captioner, files: Path) -> None:
    page = desk.page
    page.get_by_label("Captions", exact=True).check()
    page.get_by_label("Transcript").check()
    for task in ("Describe", "Tags"):
        page.get_by_label(task).uncheck()
    desk.add(files / "car.jpg", files / "road #1.mp4")
    page.get_by_text("How videos are looked at").click()
    page.get_by_label("Seconds of a window").fill("2")
    page.get_by_text("One file is left out: nothing that is chosen is about its kind.").wait_for()
    captioner.plays = [tells(done(record("video", {"captions": answer(segments=SEGMENTS), "transcript": answer()})))]
    desk.ask()
    desk.is_(1, "done")
    desk.is_(0, "ready")
    page.get_by_label("Describe").check()
    captioner.plays = [tells(done(record("image", {"describe": answer(text="It is.")})))] * 2
    desk.ask(2)
    desk.is_(0, "done")
    desk.is_(1, "done")
    asked = [(*form["file"], *form["tasks"]) for form in captioner.asked]
    assert asked[0] == ("road #1.mp4", "captions,transcript")
    assert sorted(asked[1:]) == [("car.jpg", "describe"), ("road #1.mp4", "describe")]
    # A window is for tasks over time: without one it would be refused.
    assert [form.get("window") for form in captioner.asked] == [["2"], None, None]
    page.get_by_text("All of this is asked.").wait_for()


def test_a_full_server_is_asked_again(desk: Desk, captioner: Captioner, files: Path) -> None:
    captioner.plays = [refuses(429, "the captioner is full", 50), tells(done(PICTURE))]
    desk.page.clock.install()  # so that nobody waits for what a clock says
    desk.page.reload()
    desk.add(files / "car.jpg")
    desk.ask()
    desk.is_(0, "the server is busy, trying again")
    desk.page.clock.fast_forward(51_000)
    desk.is_(0, "done")
    assert len(captioner.asked) == 2


def test_a_refusal_and_a_broken_answer_are_told(desk: Desk, captioner: Captioner, files: Path) -> None:
    page = desk.page
    told = event("error", error={"message": "no question was answered"})
    captioner.plays = [
        refuses(413, "the file is too large"),
        tells(progress(0.5), end=False),
        tells(told),
        tells(done(record("image", {}, error="describe: the picture is too small"))),
    ]
    desk.add(files / "car.jpg")
    desk.ask()
    for reason in ("the file is too large", "The answer broke off", "no question was answered"):
        page.get_by_role("alert").get_by_text(reason).wait_for()
        desk.is_(0, "failed")
        page.get_by_role("button", name="Try again: car.jpg").click()
    desk.is_(0, "done, with problems")
    page.locator(".problems", has_text="describe: the picture is too small").wait_for()
    page.get_by_role("button", name="Ask about 1 file").wait_for()  # what failed may be asked again


def test_who_stops_hangs_up(desk: Desk, captioner: Captioner, files: Path) -> None:
    captioner.plays = [after(threading.Event(), progress(0.5, 3))]
    desk.add(files / "car.jpg")
    desk.ask()
    desk.is_(0, "50 %, 3 tokens")
    desk.page.get_by_role("button", name="Stop car.jpg").click()
    desk.is_(0, "stopped")
    assert captioner.gone.wait(30)
    desk.page.get_by_role("button", name="Remove car.jpg").click()
    desk.page.get_by_text("Add a file, choose what to ask").wait_for()


def test_a_dropped_file_and_a_pasted_one_are_taken(desk: Desk) -> None:
    for kind, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        desk.page.evaluate(
            """([kind, field]) => {
                const data = new DataTransfer();
                data.items.add(new File(["x"], `${kind}.png`, {type: "image/png"}));
                const made = kind === "drop" ? DragEvent : ClipboardEvent;
                document.body.dispatchEvent(new made(kind, {[field]: data, bubbles: true, cancelable: true}));
            }""",
            [kind, field],
        )
        desk.page.locator(".tray .open", has_text=f"{kind}.png").wait_for()


def test_the_key_is_asked_for_and_stays_in_the_tab(browser: Browser, captioner: Captioner, files: Path) -> None:
    captioner.keyed = True
    desk = Desk(browser, captioner)
    page = desk.page
    field = page.get_by_label("This server wants an API key")
    for wrong in ("a-key-that-is-not-known", "ключ"):
        field.fill(wrong)
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("The server does not know this key.").wait_for()
    assert page.get_by_role("button", name="Ask", exact=True).is_disabled()
    field.fill(KEY)
    page.keyboard.press("Enter")
    field.wait_for(state="detached")
    page.reload()
    desk.add(files / "car.jpg")
    captioner.plays = [tells(done(PICTURE))]
    desk.ask()
    desk.is_(0, "done")
    page.get_by_text("Do the same elsewhere").click()
    assert "$BABELVIEW_API_KEY" in page.get_by_label("The text for curl").inner_text()
    assert KEY not in page.content()
    assert not any(KEY in url for url in desk.urls)
    assert KEY not in json.dumps(page.evaluate("[{...localStorage}, document.cookie]"))
    page.get_by_role("button", name="Forget the key").click()
    field.wait_for()
    assert not desk.problems
    desk.context.close()


def test_a_server_without_a_captioner_says_so(browser: Browser, captioner: Captioner) -> None:
    captioner.parts = {"translator": "ok"}
    desk = Desk(browser, captioner)
    desk.page.get_by_role("alert").get_by_text("This server has no captioner").wait_for()
    desk.context.close()


def test_attacks_stay_texts(desk: Desk, captioner: Captioner, files: Path, tmp_path: Path) -> None:
    hostile = tmp_path / f"{ATTACK.replace('/', '')}.jpg"
    hostile.write_bytes((files / "car.jpg").read_bytes())
    gate = threading.Event()
    tasks = {
        "describe": answer(text=ATTACK, question=ATTACK, verdict="doubtful", reasons=[ATTACK], reasoning=ATTACK),
        "tags": answer(tags=[ATTACK], raw=ATTACK),
        ATTACK: answer(segments=[{"start": 0, "end": 2, "title": ATTACK, "text": ATTACK}], label=ATTACK),
        "__proto__x": answer(data={"__proto__": ATTACK, ATTACK: [ATTACK]}, raw="{}"),
    }
    value = record("image", tasks, warnings=[ATTACK], error=ATTACK, model=ATTACK)
    captioner.plays = [
        after(gate, event("delta", record=0, task=ATTACK, text=ATTACK), done(value)),
        refuses(400, ATTACK),
    ]
    page = desk.page
    desk.add(hostile)
    desk.ask()
    page.locator(".coming .answer-body", has_text="<img src=x onerror=").wait_for()
    gate.set()
    desk.is_(0, "done, with problems")
    page.get_by_text("Do the same elsewhere").click()
    page.get_by_label("Sentiment").check()
    desk.ask()
    page.get_by_role("alert").get_by_text("<img src=x onerror=").wait_for()
    assert page.evaluate("window.attacked") is None
    assert page.locator("#app script, #app img[onerror], #app [onclick]").count() == 0
    from playwright.sync_api import Error  # noqa: PLC0415

    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>'")
    assert all("TrustedHTML" in problem for problem in desk.problems)
    desk.problems.clear()


@pytest.mark.parametrize("name", ["car.jpg", 'it\'s "one"; a,b\\c $HOME `id` ü.jpg', "-d @x.jpg"])
def test_the_copied_curl_asks_the_same(
    desk: Desk, captioner: Captioner, files: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes((files / "car.jpg").read_bytes())
    captioner.plays = [tells(done(PICTURE))] * 2
    page = desk.page
    desk.add(tmp_path / name)
    page.get_by_label("Your own question").fill('@What\'s <there>?\n"$(id)" & more; of 5 %')
    desk.ask()
    desk.is_(0, "done")
    page.get_by_text("Do the same elsewhere").click()
    command = page.get_by_label("The text for curl").inner_text()
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    asked, again = captioner.asked
    assert asked.pop("stream") == ["true"]
    assert asked == again
    assert len(again["file"]) == 1


def test_a_follow_up_is_copied_with_what_was_asked_before(desk: Desk, captioner: Captioner, files: Path) -> None:
    captioner.plays = [tells(done(PICTURE)), *[tells(done(record("image", {"ask": answer(text="Red.")})))] * 5]
    page = desk.page
    desk.add(files / "car.jpg")
    desk.ask()
    desk.is_(0, "done")
    for number, question in enumerate(("Which colour?", "/Where? 'There'"), 1):
        page.get_by_label("Ask more about this file").fill(question)
        page.keyboard.press("Enter")
        page.locator(".answer h3", has_text="Ask").nth(number - 1).wait_for()
        desk.is_(0, "done")
    page.get_by_text("Do the same elsewhere").click()
    command = page.get_by_label("The text for curl").inner_text()
    subprocess.run(["bash", "-c", command], cwd=files, check=True, capture_output=True)
    *asked, first, second, third = captioner.asked
    assert [each.pop("stream") for each in asked] == [["true"]] * 3
    assert asked == [first, second, third]
    assert "history" not in first
    assert json.loads(second["history"][0]) == [{"task": "describe", "answer": SAID}]
    program = page.get_by_label("The text for Python").inner_text()
    assert program.count("bv.caption(") == 1
    assert 'chat.ask(task="describe")' in program
    compile(program, "copied", "exec")
    line = page.get_by_label("The text for Command line").inner_text().rpartition("printf")
    lines = subprocess.run(
        ["bash", "-c", line[1] + line[2].partition("|")[0]], check=True, capture_output=True, text=True
    )
    assert lines.stdout.splitlines()[0] == "/task describe"
    assert lines.stdout.splitlines()[-1] == "Question: /Where? 'There'"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(browser: Browser, captioner: Captioner, files: Path, scheme: str, width: int) -> None:
    desk = Desk(browser, captioner, color_scheme=scheme, viewport={"width": width, "height": 800})
    page, gate = desk.page, threading.Event()
    assert not violations(page)
    desk.add(files / "car.jpg", files / "road #1.mp4")
    assert not violations(page)
    first = progress(0.5, 1) + event("delta", record=0, task="describe", text="A red")
    captioner.plays = [after(gate, first, done(PICTURE)), after(gate, first, done(VIDEO)), refuses(400, "no")]
    desk.ask(2)
    page.locator(".coming").wait_for()
    assert not violations(page)
    gate.set()
    for number in (0, 1):
        desk.is_(number, "done")
        page.locator(".tray .open").nth(number).click()
        page.get_by_text("Do the same elsewhere").click()
        assert not violations(page)
    page.get_by_label("Sentiment").check()
    captioner.plays = [refuses(400, "no"), refuses(400, "no")]
    desk.ask(2)
    desk.is_(0, "failed")
    desk.is_(1, "failed")
    assert not violations(page)
    captioner.keyed = True
    page.reload()
    page.get_by_label("This server wants an API key").wait_for()
    assert not violations(page)
    desk.context.close()
