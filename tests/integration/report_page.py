"""The page of a report in a real browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOCAL = ("file:", "blob:", "data:", "about:")
WAIT_S = 30


class Report:
    """A page of the browser with the report in it; whatever its console says is wrong is kept."""

    def __init__(self, browser: Browser, index: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(1000 * WAIT_S)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda it: self._note(str(it), wrong=True))
        self.page.on("console", lambda it: self._note(it.text, wrong=it.type in ("error", "warning")))
        self.page.on("request", lambda it: self._note(it.url, wrong=not it.url.startswith(LOCAL)))
        self.index = index

    def _note(self, text: str, *, wrong: bool) -> None:
        if wrong and "ERR_FILE_NOT_FOUND" not in text:  # of the files themselves, most of which are not there
            self.problems.append(text)

    def open(self, where: str = "") -> Page:
        self.page.goto("about:blank")
        self.page.goto(self.index.as_uri() + where)
        self.page.wait_for_selector("main")
        self.page.wait_for_selector(".reading", state="detached")
        return self.page

    def names(self) -> list[str]:
        """The files of the gallery."""
        return self.page.locator(".card h2").all_inner_texts()

    def has(self, *names: str) -> None:
        """Wait until the gallery shows just these."""
        end = time.monotonic() + WAIT_S
        while self.names() != list(names) and time.monotonic() < end:
            self.page.wait_for_timeout(20)
        assert self.names() == list(names)

    def says(self, selector: str, *texts: str) -> None:
        """Wait until the first elements of this sort have these texts."""
        from playwright.sync_api import expect  # noqa: PLC0415

        for number, text in enumerate(texts):
            expect(self.page.locator(selector).nth(number)).to_have_text(text, timeout=1000 * WAIT_S)

    def saved(self, button: str) -> str:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button).click()
        return Path(download.value.path()).read_text("utf-8")
