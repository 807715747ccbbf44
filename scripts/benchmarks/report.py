"""What the report costs a batch, and how quick its page is with many files.

    python -m scripts.benchmarks.report                     what thumbnails and report are of the batch's CPU time
    python -m scripts.benchmarks.report --page 10000        the page in Chromium, with so many files; writing it

The batch asks an endpoint and a translator that answer at once, so that its own work, and that of its decoders, is all
that is measured: a run of all files less one of a single file, each in a fresh process. What the report costs are the
differences between a batch without thumbnails, one with them, and one with `--report`, which run in turns, the least of
each; small differences, that a busy machine hides. It is measured with one task and no translation, where it is the
largest share, and as a run that names neither: one task in four languages. Small pictures have 480x320 pixels, others
and videos 1280x720.
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
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from scripts.benchmarks.client import ROOT, draw
from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.sampler import texture, write_video
from scripts.benchmarks.scale.inputs import copies, numbered_endpoint
from scripts.build_report import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

SMALL, LARGE, RATE = (480, 320), (1280, 720), 24
START, NOTHING, THUMBNAILS, ALL = "start", "nothing", "thumbnails", "thumbnails and report"
WAYS = {NOTHING: ["--no-thumbnails"], THUMBNAILS: [], ALL: ["--report"]}
FILTERS = ("scene", "tag:blue", '"number 77 "', "kind:image width<=128", "NOT sentiment:negative red", "green OR 4242")
TASKS = "describe,tags,sentiment"
SETTINGS = {"one task": ["--tasks", "describe", "--languages", ""], "by default": []}
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


def draw_files(folder: Path, kind: str, count: int) -> Path:
    """A folder of so many different files of a kind."""
    made = folder / kind
    if kind == "videos":
        write_video(folder / "video.mp4", LARGE, 10, rate=RATE, options={"crf": "30"}, scene=2)
        return copies(folder / "video.mp4", made, count)
    made.mkdir()
    noise = np.random.default_rng(0)
    size = SMALL if kind == "small pictures" else LARGE
    for number in range(count):
        picture = Image.fromarray(np.stack([texture(noise, *size) for _ in range(3)], axis=-1))
        # Like a photograph: much of it smooth, and some noise in it.
        smooth = picture.resize((size[0] // 4, size[1] // 4)).resize(size, Image.Resampling.BICUBIC)
        Image.blend(smooth, picture, 0.15).save(made / f"{number:04}.jpg", quality=90)
    return made


def batch(url: str, files: Path, output: Path, *options: str) -> float:
    """CPU seconds of a batch, with the processes that it starts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # it would compile our modules each time
    command = ["-m", "client.batch", str(files), "--output", str(output), "--quiet", "--no-hear"]
    command += ["--base-url", url, "--translator", url.removesuffix("/v1")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command, *options], cwd=ROOT, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(report: Report, runs: int, counts: dict[str, int], settings: Sequence[str]) -> None:
    """What the report is of a batch's CPU time: a batch without it, with thumbnails, and with all, in turns."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, numbered_endpoint() as url:
        folder = Path(name)
        for kind, count in counts.items():
            files = draw_files(folder, kind, count)
            for setting in settings:
                _costs(report, runs, url, files, setting)


def _costs(report: Report, runs: int, url: str, files: Path, setting: str) -> None:
    what, options = f"{files.name}, {setting}", SETTINGS[setting]
    every = sorted(files.iterdir())
    spent: dict[str, list[float]] = {way: [] for way in (START, *WAYS)}
    for _ in range(runs + 1):  # in the first round much is read for the first time
        for way, more in {START: WAYS[NOTHING], **WAYS}.items():
            with tempfile.TemporaryDirectory(dir=files.parent) as output:
                asked = every[0] if way == START else files
                spent[way].append(1000 * batch(url, asked, Path(output), *options, *more))
    least = {way: min(found[1:]) for way, found in spent.items()}  # whatever else a machine does only adds
    count, whole = len(every) - 1, least[ALL] - least[START]
    report.add(f"{what}: a file, with all", "CPU ms", [whole / count])
    for way in (THUMBNAILS, ALL):
        more_ms = least[way] - least[NOTHING]
        report.add(f"{what}: {way}, a file", "CPU ms", [more_ms / count])
        report.add(f"{what}: {way}", "% of it", [100 * more_ms / whole])


def page(report: Report, count: int) -> None:
    """How quick the page is with so many files."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # of the extra dev

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        draw(folder / "files", count)
        with numbered_endpoint() as url:
            options = ("--tasks", TASKS, "--languages", "", "--concurrency", "64")
            batch(url, folder / "files", folder / "out", *options)
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
    parser.add_argument("--runs", type=positive, default=3, help="of each way, of which the least counts (default: 3)")
    parser.add_argument("--small", type=positive, default=1500, help="small pictures (default: 1500)")
    parser.add_argument("--pictures", type=positive, default=60, help="(default: 60)")
    parser.add_argument("--videos", type=positive, default=5, help="of ten seconds (default: 5)")
    parser.add_argument("--only", choices=SETTINGS, help="of the two ways to ask (default: both)")
    parser.add_argument("--page", type=positive, metavar="FILES", help="measure the page instead")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    build()
    report = Report("The report", "playwright", "av", "pillow")
    if args.page:
        page(report, args.page)
    else:
        counts = {"small pictures": args.small, "pictures": args.pictures, "videos": args.videos}
        costs(report, args.runs, counts, [args.only] if args.only else list(SETTINGS))
    report.show(args.json)


if __name__ == "__main__":
    run(main)
