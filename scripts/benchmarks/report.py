"""What the report costs a batch, and how quick its page is with many files.

    python -m scripts.benchmarks.report                     what thumbnails are of the batch's CPU time
    python -m scripts.benchmarks.report --page 10000        the page in Chromium, with so many files; writing it

The batch asks an endpoint that answers at once, so that its own work is all that is measured: a run of all files less
one of a single file, each in a fresh process. Thumbnails, which are part of that, are made here again and again.
Pictures and videos are in 720p.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from client.media.kinds import Kind
from client.media.load import identify, load_spans
from client.media.sampling import Sampling
from client.media.thumbnails import picture_thumbnail, with_thumbnail
from scripts.benchmarks.client import ROOT, draw, endpoint
from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.sampler import texture, write_video
from scripts.benchmarks.scale.inputs import copies, numbered_endpoint
from scripts.build_report import build

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZE, RATE = (1280, 720), 24
FILTERS = ("scene", "tag:blue", '"number 77 "', "kind:image width<=128", "NOT sentiment:negative red", "green OR 4242")
TASKS = "describe,tags,sentiment"
THUMBNAILS = 60
SCROLLED = 120
"""Frames, in each of which the gallery is scrolled on."""
WAIT_MS = 300_000
_FILTER = """async (query) => {
    const field = document.querySelector("#search"), frame = () => new Promise(requestAnimationFrame);
    const began = performance.now();
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, query);
    field.dispatchEvent(new InputEvent("input", {bubbles: true}));
    await frame();
    await frame();
    return performance.now() - began;
}"""
_SCROLL = """async (frames) => {
    const took = [];
    for (let at = performance.now(), left = frames; left > 0; left--) {
        scrollBy(0, 400);
        const now = await new Promise(requestAnimationFrame);
        took.push(now - at);
        at = now;
    }
    return took.slice(5).sort((one, other) => one - other)[Math.floor(0.95 * (frames - 5))];
}"""


def draw_large(folder: Path, pictures: int, videos: int) -> None:
    """Pictures and videos in 720p, each one different."""
    noise = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(pictures):
        picture = np.stack([texture(noise, *SIZE) for _ in range(3)], axis=-1)
        Image.fromarray(picture).save(folder / "pictures" / f"{number:03}.jpg", quality=90)
    write_video(folder / "video.mp4", SIZE, 10, rate=RATE, options={"crf": "30"}, scene=2)
    copies(folder / "video.mp4", folder / "videos", videos)


def batch(url: str, files: Path, output: Path, *options: str) -> float:
    """CPU seconds of a batch, with the processes that it starts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    command = ["-m", "client.batch", str(files), "--output", str(output), "--languages", "", "--quiet", "--no-hear"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command, "--base-url", url, *options], cwd=ROOT, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(report: Report, runs: int, pictures: int, videos: int) -> None:
    """What thumbnails are of a batch's CPU time."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, endpoint(0) as url:
        folder = Path(name)
        draw_large(folder, pictures, videos)
        for kind, count in (("pictures", pictures), ("videos", videos)):
            files = sorted((folder / kind).iterdir())
            spent: list[float] = []
            for number in range(runs + 1):  # in the first one much is read for the first time
                both = [batch(url, what, folder / f"{kind}{number}{what.name}") for what in (folder / kind, files[0])]
                spent.append(1000 * (both[0] - both[1]) / (count - 1))
            made = thumbnail_ms(files[0])
            report.add(f"a file of {count} {kind} in 720p", "CPU ms", spent[1:])
            report.add(f"{kind}: a thumbnail", "CPU ms", made)
            report.add(f"{kind}: thumbnails", "% of it", [100 * median(made) / median(spent[1:])])


def thumbnail_ms(file: Path) -> list[float]:
    """CPU milliseconds of a thumbnail, many times."""
    (content,) = load_spans(file, identify(file), Sampling(), (None,))
    with Image.open(file) if content.kind is Kind.IMAGE else nullcontext() as image:
        pixels = np.asarray(image) if image else None
    times = []
    for _ in range(THUMBNAILS):
        began = time.process_time()
        if pixels is None:
            list(with_thumbnail([content], 1))
        else:
            picture_thumbnail(pixels)
        times.append(1000 * (time.process_time() - began))
    return times


def page(report: Report, count: int) -> None:
    """How quick the page is with so many files."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # of the extra dev

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        draw(folder / "files", count)
        with numbered_endpoint() as url:
            batch(url, folder / "files", folder / "out", "--tasks", TASKS, "--concurrency", "64")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "client.cli.main", "report", str(folder / "out")]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report.add(f"{count} files: writing", "CPU s", [after.ru_utime - before.ru_utime])
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or playwright.chromium.executable_path
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            _look(report, browser.new_page(), (folder / "out" / "report" / "index.html").as_uri())
            browser.close()


def _look(report: Report, shown: Page, address: str) -> None:
    shown.set_default_timeout(WAIT_MS)
    began = time.perf_counter()
    shown.goto(address)
    shown.locator(".card img").first.evaluate("it => it.decode()")
    report.add("the first picture", "s", [time.perf_counter() - began])
    shown.wait_for_selector(".reading", state="detached")
    report.add("all texts", "s", [time.perf_counter() - began])
    times: list[Any] = []
    for query in FILTERS:
        times += [shown.evaluate(_FILTER, query) for _ in range(3)]
        shown.evaluate(_FILTER, "")
    report.add(f"a filter, of {len(FILTERS)}", "ms", [median(times)])
    report.add("the slowest filter", "ms", [max(times)])
    report.add("a frame while scrolling, 95th percentile", "ms", [shown.evaluate(_SCROLL, SCROLLED)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=positive, default=3, help="of each way, to take the median of (default: 3)")
    parser.add_argument("--pictures", type=positive, default=150, help="(default: 150)")
    parser.add_argument("--videos", type=positive, default=30, help="of ten seconds (default: 30)")
    parser.add_argument("--page", type=positive, metavar="FILES", help="measure the page instead")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    build()
    report = Report("The report", "playwright", "av", "pillow")
    if args.page:
        page(report, args.page)
    else:
        costs(report, args.runs, args.pictures, args.videos)
    report.show(args.json)


if __name__ == "__main__":
    run(main)
