"""A real browser, and the pages that it is shown."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.build_report import PAGE, BuildError, build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
AXE = PAGE / "node_modules" / "axe-core" / "axe.min.js"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or Playwright's own; the pages are built."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    try:
        build()
    except BuildError as error:
        pytest.skip(f"the pages cannot be built here: {error}")
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, CHROMIUM)), playwright.chromium.executable_path)
        if not Path(found).exists():
            pytest.skip("there is no Chromium: apt-get install chromium, or playwright install chromium")
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])  # as root
        yield started
        started.close()


def violations(page: Page) -> list[Any]:
    """What axe finds wrong with a page as it is now."""
    page.evaluate(AXE.read_text() + ";0")
    found: list[Any] = page.evaluate(
        "axe.run(document, {preload: false})"
        ".then(it => it.violations.map(each => [each.id, each.nodes[0].html, each.nodes[0].failureSummary]))"
    )
    return found
