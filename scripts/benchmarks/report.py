"""What the report costs a batch, and how quick its page is with many files.

    python -m scripts.benchmarks.report                     what thumbnails and report are of the batch's CPU time
    python -m scripts.benchmarks.report --parts             the same, of the CPU time of their own code
    python -m scripts.benchmarks.report --page 10000        the page in Chromium, with so many files; writing it

The batch asks an endpoint and a translator that answer at once, so that its own work, and that of its decoders, is all
that is measured, each time in a fresh process, held to one core, by the kernel's count of its and its children's CPU
time. A round has a batch without thumbnails, one with them (as a batch without `--report` is), and one with `--report`,
in an order drawn anew; what they differ by in each round is taken, then the median of these differences and its 95 %
interval: whatever a machine does for longer than a round is in all three. Shares are of the batch without, less its
start: a run of a single file. It is measured with one task and no translation, where it is the largest share, and as a
run that names neither: one task in four languages. Small pictures have 480x320 pixels, others and videos 1280x720.
With `--parts` each batch keeps thumbnails and writes the report, and tells what these took: see `report_parts`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from math import comb
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from scripts.benchmarks.client import ROOT, draw
from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Figure, Report
from scripts.benchmarks.sampler import texture, write_video
from scripts.benchmarks.scale.inputs import copies, numbered_endpoint
from scripts.build_report import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

SMALL, LARGE, RATE = (480, 320), (1280, 720), 24
NOTHING, THUMBNAILS, ALL = "nothing", "thumbnails", "thumbnails and report"
WAYS = {NOTHING: ["--no-thumbnails"], THUMBNAILS: [], ALL: ["--report"]}
KINDS = ("small pictures", "pictures", "videos")
DIFFERENCES = ((THUMBNAILS, THUMBNAILS, NOTHING), ("report", ALL, THUMBNAILS), (ALL, ALL, NOTHING))
"""What is more in which way than in which other one."""
STARTS = 5
_BEYOND = 0.025
"""The share of cases in which a median lies above an interval, and as many below it."""
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


def batch(url: str, files: Path, output: Path, *options: str, command: Sequence[str] = ("client.batch",)) -> float:
    """CPU seconds of a batch, with the processes that it starts; `command` is a module that runs one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # it would compile our modules each time
    command = ["-m", *command, str(files), "--output", str(output), "--quiet", "--no-hear"]
    command += ["--base-url", url, "--translator", url.removesuffix("/v1")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    held = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]  # on two cores a run differs more from the next
    subprocess.run([*held, sys.executable, *command, *options], cwd=ROOT, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(report: Report, rounds: int, counts: dict[str, int], settings: Sequence[str]) -> None:
    """What the report is of a batch's CPU time: a batch without it, with thumbnails, and with all, in turns."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, numbered_endpoint() as url:
        folder = Path(name)
        for kind, count in counts.items():
            files = draw_files(folder, kind, count)
            for setting in settings:
                _costs(report, rounds, url, files, setting)
    report.notes.append("Spreads of what is more are 95 % intervals of the median; of batches, the least and the most.")


def _costs(report: Report, rounds: int, url: str, files: Path, setting: str) -> None:
    what, options = f"{files.name}, {setting}", SETTINGS[setting]
    every = sorted(files.iterdir())
    orders = random.Random(0)
    spent: dict[str, list[float]] = {way: [] for way in WAYS}

    def measure(way: str, asked: Path) -> float:
        with tempfile.TemporaryDirectory(dir=files.parent) as output:
            return 1000 * batch(url, asked, Path(output), *options, *WAYS[way])

    for way in WAYS:  # much is read for the first time
        measure(way, files)
    start = median(measure(NOTHING, every[0]) for _ in range(STARTS))
    for _ in range(rounds):
        for way in orders.sample(list(WAYS), len(WAYS)):
            spent[way].append(measure(way, files))
    count = len(every) - 1
    whole = median(spent[NOTHING]) - start
    report.add(f"{what}: a file, without", "CPU ms", [(each - start) / count for each in spent[NOTHING]])
    for name, way, beside in DIFFERENCES:
        more = [one - other for one, other in zip(spent[way], spent[beside], strict=True)]
        for unit, per in (("CPU ms", count), ("%", whole / 100)):
            low, high = interval_of_median(more)
            value, *spread = (float(f"{each / per:.3g}") for each in (median(more), low, high))
            report.figures.append(Figure(f"{what}: {name}", value, unit, None, None, rounds, *spread))


def parts(report: Report, rounds: int, counts: dict[str, int], settings: Sequence[str]) -> None:
    """What the code of thumbnails and report takes of a batch's CPU time without them."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, numbered_endpoint() as url:
        folder = Path(name)
        for kind, count in counts.items():
            files = draw_files(folder, kind, count)
            for setting in settings:
                _parts(report, rounds, url, files, setting)
    report.notes.append("Spreads of shares are 95 % intervals of the median; of batches, the least and the most.")


def _parts(report: Report, rounds: int, url: str, files: Path, setting: str) -> None:
    every = sorted(files.iterdir())

    def measure(asked: Path, *options: str) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=files.parent) as output:
            figures = Path(output, "figures.json")
            command = ["scripts.benchmarks.report_parts", str(figures)]
            batch(url, asked, Path(output), *SETTINGS[setting], *options, command=command)
            found: dict[str, float] = json.loads(figures.read_text())
            return found

    measure(files)  # much is read for the first time
    start_s = median(measure(every[0], "--no-thumbnails")["all"] for _ in range(STARTS))
    spent = [measure(files, "--report") for _ in range(rounds)]
    without = [each["all"] - start_s - each["thumbnails"] - each["report"] for each in spent]
    what = f"{files.name}, {setting}"
    report.add(f"{what}: a file, without", "CPU ms", [1000 * each / len(every) for each in without])
    for name, of in (("thumbnails", ["thumbnails"]), ("report", ["report"]), (ALL, ["thumbnails", "report"])):
        took = [sum(each[part] for part in of) for each in spent]
        report.add(f"{what}: {name}", "CPU ms", [1000 * each / len(every) for each in took])
        shares = [100 * one / other for one, other in zip(took, without, strict=True)]
        value, *spread = (float(f"{each:.3g}") for each in (median(shares), *interval_of_median(shares)))
        report.figures.append(Figure(f"{what}: {name}", value, "%", None, None, rounds, *spread))


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """Where the median lies that so many values are drawn from, in 95 % of all cases, whatever their distribution.

    Between two of the values, by the binomial distribution; of fewer than six between the least and the greatest.
    """
    ordered, count = sorted(values), len(values)
    place, beyond = 0, 0.5**count
    while place + 1 < count // 2 and (beyond := beyond + comb(count, place + 1) * 0.5**count) <= _BEYOND:
        place += 1
    return ordered[place], ordered[-1 - place]


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
    parser.add_argument("--rounds", type=positive, default=40, help="of each way once (default: 40)")
    parser.add_argument("--small", type=positive, default=1000, help="small pictures (default: 1000)")
    parser.add_argument("--pictures", type=positive, default=60, help="(default: 60)")
    parser.add_argument("--videos", type=positive, default=5, help="of ten seconds (default: 5)")
    parser.add_argument("--kind", choices=KINDS, help="of files (default: all)")
    parser.add_argument("--only", choices=SETTINGS, help="of the two ways to ask (default: both)")
    parser.add_argument("--parts", action="store_true", help="measure the code of thumbnails and report alone")
    parser.add_argument("--page", type=positive, metavar="FILES", help="measure the page instead")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    build()
    report = Report("The report", "playwright", "av", "pillow")
    if args.page:
        page(report, args.page)
    else:
        counts = dict(zip(KINDS, (args.small, args.pictures, args.videos), strict=True))
        counts = {args.kind: counts[args.kind]} if args.kind else counts
        measure = parts if args.parts else costs
        measure(report, args.rounds, counts, [args.only] if args.only else list(SETTINGS))
    report.show(args.json)


if __name__ == "__main__":
    run(main)
