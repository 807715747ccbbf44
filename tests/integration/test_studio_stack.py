"""The studio at the real stack's own address: files are dropped, answers come, are translated, asked on, and copied."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsers import chromium, violations

from scripts.demo.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from scripts.demo.stack import Stack

WAIT_MS = 300_000
"""For what the models say, on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def ads(sample_ads: tuple[Path, dict[str, Any]]) -> tuple[Path, Path]:
    """A picture and a video."""
    return min(sample_ads[0].glob("*.jpg")), min(sample_ads[0].glob("*.mp4"))


def run(page: Page, name: str, folder: Path, *command: str) -> str:
    """What the text that the page copies for a shell or for Python prints."""
    text = page.get_by_label(f"The text for {name}").inner_text()
    ours = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, text], cwd=folder, env=os.environ | ours, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ended(page: Page, count: int) -> None:
    """Wait until so many files are done; where one failed, the page says why."""
    from playwright.sync_api import expect  # noqa: PLC0415

    badges = page.locator(".tray .badge")
    expect(badges).to_have_text([re.compile("done|failed|stopped")] * count, timeout=WAIT_MS)
    if badges.all_inner_texts() != ["done"] * count:
        shown = []
        for number in range(count):
            page.locator(".tray .open").nth(number).click()
            shown += page.locator(".problems").all_inner_texts()
        raise AssertionError(shown)


def test_from_a_drop_to_a_copied_command(
    stack: Stack, browser: Browser, ads: tuple[Path, Path], tmp_path: Path
) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415

    picture, video = ads
    shutil.copy(picture, tmp_path)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    problems: list[str] = []
    page.on("pageerror", lambda it: problems.append(str(it)))
    page.on("console", lambda it: problems.append(it.text) if it.type in ("error", "warning") else None)
    answer = page.goto(stack.endpoint.removesuffix("v1"))
    assert answer
    assert "script-src 'self'" in answer.headers["content-security-policy"]

    page.set_input_files("input[type=file]", [str(picture), str(video)])
    page.get_by_label("Captions", exact=True).check()
    page.get_by_text("How videos are looked at").click()
    page.get_by_label("Seconds of a window").fill("2")
    languages = page.get_by_label("Add a language")
    languages.fill("Spanish")
    page.keyboard.press("Enter")
    # Which the demo translator has not learned, as it tells the page.
    expect(page.locator("#language-names option[value=Welsh]")).to_have_count(0, timeout=WAIT_MS)
    languages.fill("Welsh")
    page.keyboard.press("Enter")
    page.get_by_text("does not translate into “Welsh”").wait_for()
    languages.fill("")
    page.get_by_role("button", name="Ask about 2 files").click()
    ended(page, 2)

    said = page.get_by_role("article", name="Describe").locator(".answer-body")
    english = said.inner_text()
    assert english
    page.locator("header select").first.select_option("spa_Latn")
    expect(said).not_to_have_text(english, timeout=WAIT_MS)
    expect(said).to_have_attribute("lang", "es", timeout=WAIT_MS)
    page.get_by_label("Ask more about this file").fill("What is at the top?")
    page.keyboard.press("Enter")
    page.locator("article.answer:not(.coming)", has_text="What is at the top?").wait_for()
    ended(page, 2)

    page.get_by_text("Do the same elsewhere").click()
    printed = run(page, "curl", picture.parent, "bash", "-c")
    first, end = json.JSONDecoder().raw_decode(printed)
    (record,), (followed,) = first["records"], json.loads(printed[end:])["records"]
    assert record["file"] == picture.name
    assert record["tasks"].keys() == {"describe", "tags"}
    assert record["tasks"]["describe"]["translations"].keys() == {"spa_Latn"}
    assert followed["tasks"].keys() == {"ask"}
    assert followed["tasks"]["ask"]["question"] == "What is at the top?"
    assert followed["tasks"]["ask"]["translations"].keys() == {"spa_Latn"}
    said, *told = run(page, "Python", picture.parent, sys.executable, "-c").splitlines()
    assert said.startswith("{'describe': ")
    assert "".join(told)
    run(page, "Command line", tmp_path, "bash", "-c")
    (described,) = json.loads((tmp_path / "captions" / "results.json").read_text())["files"]
    assert (described["error"], described["tasks"].keys()) == (None, {"describe", "tags"})

    page.locator(".tray .open", has_text=video.name).click()
    moments = page.get_by_role("group", name="captions by time").get_by_role("button")
    moments.nth(1).click()
    assert page.locator(".player video").evaluate("it => it.currentTime") == 2
    expect(page.locator(".segments li[aria-current] .time")).to_have_text("0:02", timeout=WAIT_MS)
    assert not violations(page)
    assert not problems
    context.close()


def test_the_copied_command_line_does_the_same(
    stack: Stack, browser: Browser, ads: tuple[Path, Path], tmp_path: Path
) -> None:
    picture, _ = ads
    (tmp_path / picture.name).write_bytes(picture.read_bytes())
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(stack.endpoint.removesuffix("v1"))
    page.set_input_files("input[type=file]", [str(picture)])
    page.get_by_label("Describe").uncheck()
    page.get_by_role("button", name="Ask about 1 file").click()
    ended(page, 1)
    page.get_by_text("Do the same elsewhere").click()
    run(page, "Command line", tmp_path, "bash", "-c")
    (record,) = json.loads((tmp_path / "captions" / "results.json").read_text())["files"]
    assert (record["file"], record["error"], list(record["tasks"])) == (picture.name, None, ["tags"])
    assert record["tasks"]["tags"]["translations"] == {}
    page.close()
