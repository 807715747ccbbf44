"""What the report costs a batch, and how quick its page is with many files.

    python -m scripts.benchmarks.report                     what thumbnails and report are of the batch's CPU time
    python -m scripts.benchmarks.report --page 10000        the page in Chromium, with so many files; writing it

The batch asks an endpoint that answers at once, so that its own work is all that is measured: a run of all files less
one of a single file, each in a fresh process. What the report costs are the differences between a batch without
thumbnails, one with them, and one with `--report`, which run in turns; small differences, that a busy machine hides. So
thumbnails and report are made here alone, too, again and again. Small pictures have 480x320 pixels, others and videos
1280x720.
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

from client.media.image import read_picture
from client.media.kinds import Kind
from client.media.load import identify, load_spans
from client.media.sampling import Sampling
from client.media.thumbnails import picture_thumbnail, with_thumbnail
from client.report.write import write_report
from scripts.benchmarks.client import ROOT, draw
from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.sampler import texture, write_video
from scripts.benchmarks.scale.inputs import copies, numbered_endpoint
from scripts.build_report import build

if TYPE_CHECKING:
    from playwright.sync_api import Page

SMALL, LARGE, RATE = (480, 320), (1280, 720), 24
START, NOTHING, THUMBNAILS, ALL = "start", "nothing", "thumbnails", "thumbnails and report"
WAYS = {NOTHING: ["--no-thumbnails"], THUMBNAILS: [], ALL: ["--report"]}
FILTERS = ("scene", "tag:blue", '"number 77 "', "kind:image width<=128", "NOT sentiment:negative red", "green OR 4242")
TASKS = "describe,tags,sentiment"
MADE, WRITTEN = 60, 5
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
    command = ["-m", "client.batch", str(files), "--output", str(output), "--languages", "", "--quiet", "--no-hear"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command, "--base-url", url, *options], cwd=ROOT, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(report: Report, runs: int, counts: dict[str, int], tasks: str) -> None:
    """What the report is of a batch's CPU time: a batch without it, with thumbnails, and with all, in turns."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, numbered_endpoint() as url:
        folder = Path(name)
        for kind, count in counts.items():
            files = draw_files(folder, kind, count)
            first = min(files.iterdir())
            spent: dict[str, list[float]] = {way: [] for way in (START, *WAYS)}
            for number in range(runs + 1):  # in the first round much is read for the first time
                for way, options in {START: [], **WAYS}.items():
                    output = folder / f"{kind}{number}{way}"
                    what = first if way == START else files
                    spent[way].append(1000 * batch(url, what, output, "--tasks", tasks, *options) / count)
                    if number < runs or way != ALL:
                        shutil.rmtree(output)
            whole = median(spent[ALL][1:]) - median(spent[START][1:])
            report.add(f"{kind}: a file, with all", "CPU ms", [whole])
            for way in (THUMBNAILS, ALL):
                more = [with_it - without for with_it, without in zip(spent[way], spent[NOTHING], strict=True)][1:]
                report.add(f"{kind}: {way}", "CPU ms", more)
                report.add(f"{kind}: {way}", "% of it", [100 * median(more) / whole])
            report.add(f"{kind}: a thumbnail is made", "CPU ms", thumbnail_ms(first))
            report.add(
                f"{kind}: the report is written, a file", "CPU ms", written_ms(folder / f"{kind}{runs}{ALL}", count)
            )


def thumbnail_ms(file: Path) -> list[float]:
    """CPU milliseconds of a thumbnail, many times."""
    identity = identify(file)
    image = content = None
    if identity.kind is Kind.IMAGE:
        image = read_picture(file).image
    else:
        (content,) = load_spans(file, identity, Sampling(), (None,), thumbnail=False)
    times = []
    for _ in range(MADE):
        began = time.process_time()
        if content:
            list(with_thumbnail([content], 1))
        elif image is not None:
            picture_thumbnail(image)
        times.append(1000 * (time.process_time() - began))
    return times


def written_ms(output: Path, count: int) -> list[float]:
    """CPU milliseconds a file that writing a report takes, several times."""
    times = []
    for _ in range(WRITTEN):
        shutil.rmtree(output / "report")
        began = time.process_time()
        write_report(output)
        times.append(1000 * (time.process_time() - began) / count)
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
    parser.add_argument("--small", type=positive, default=1000, help="small pictures (default: 1000)")
    parser.add_argument("--pictures", type=positive, default=150, help="(default: 150)")
    parser.add_argument("--videos", type=positive, default=30, help="of ten seconds (default: 30)")
    parser.add_argument("--tasks", default="describe", help="that are asked (default: describe)")
    parser.add_argument("--page", type=positive, metavar="FILES", help="measure the page instead")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    build()
    report = Report("The report", "playwright", "av", "pillow")
    if args.page:
        page(report, args.page)
    else:
        counts = {"small pictures": args.small, "pictures": args.pictures, "videos": args.videos}
        costs(report, args.runs, counts, args.tasks)
    report.show(args.json)


if __name__ == "__main__":
    run(main)
