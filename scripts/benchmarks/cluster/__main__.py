"""Batches on a Ray cluster: what is lost when machines and drivers are killed, and what Ray costs.

    python -m scripts.benchmarks.cluster                              all of it: half an hour on two cores
    python -m scripts.benchmarks.cluster --only losses --files 2000
    python -m scripts.benchmarks.cluster --only costs --files 2000
    python -m scripts.benchmarks.cluster --only memory --sizes 100,10000

losses: three raylets on this machine, an S3 server, two endpoints. Of one run a raylet is killed while its actors have
requests in flight, of another the driver, which is started again; both times what the endpoints were asked twice is
compared with what was in flight, and the records with those of one machine. It exits with 1 where they differ.

costs: the same pictures by one machine and by `--ray local`, in turns, at two sizes. CPU is that of all processes of
a run, Ray's own among them; what a file costs is the slope between the sizes, so that Ray's start is apart.

memory: the most that the driver held (RSS), by files. They are looked at, and an endpoint answers at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from scripts.benchmarks.client import ROOT, draw, endpoint
from scripts.benchmarks.cluster.records import records
from scripts.benchmarks.cluster.rig import (
    BUCKET,
    OF_RAY,
    Endpoint,
    Raylets,
    batch,
    s3_server,
    upload,
    wait_until,
    who_holds,
)
from scripts.benchmarks.common.cli import positive, run

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE, BEFORE = 24, 200
RESTS_S, SAMPLE_S = 5.0, 0.25


def asked(endpoints: Sequence[Endpoint]) -> Counter[str]:
    """How often each content was asked about."""
    return Counter(content for each in endpoints for content in each.contents())


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a run's end.

    Raises:
        RuntimeError: it failed.
    """
    if code := process.wait():
        raise RuntimeError(f"a run ended with {code}:\n{log.read_text()[-3000:]}")


def rest(endpoints: Sequence[Endpoint], actors: int) -> None:
    """Wait until so many actors have requests in flight, and no further ones come."""
    seen, since = 0, time.monotonic()

    def rests() -> bool:
        nonlocal seen, since
        held = sum(len(each.held) for each in endpoints)
        if held != seen:
            seen, since = held, time.monotonic()
        holders = {pid for each in endpoints for pid in who_holds(each)}
        return time.monotonic() - since > RESTS_S and len(holders) == actors

    wait_until(rests, "requests in flight")


def lose(raylets: Raylets, environment: dict[str, str], folder: Path, files: int, *, driver: bool) -> bool:
    """One run of which a raylet or the driver is killed; whether all is as it should be."""
    what = "driver" if driver else "raylet"
    endpoints, log = [Endpoint(), Endpoint()], folder / f"{what}.log"
    for each in endpoints:
        each.holds_after = min(BEFORE, files // 4)
    command = [f"s3://{BUCKET}/in", "--ray", raylets.address, "--output", f"s3://{BUCKET}/{what}", "--loaders", "1"]
    command += ["--concurrency", str(AT_ONCE)]
    began = time.monotonic()
    running = batch(environment, endpoints, log, *command)
    rest(endpoints, actors=raylets.alive)
    holders = {pid for each in endpoints for pid in who_holds(each)}
    in_flight = sum(len(each.held) for each in endpoints)
    if driver:
        lost = {content for each in endpoints for content in each.held.values()}
        running.kill()
        running.wait()
        wait_until(lambda: not any(each.held for each in endpoints), "the end of the driver's actors")
    else:
        theirs = raylets.processes(0)
        of_all = [held for each in endpoints for held in who_holds(each).items()]
        lost = {content for pid, found in of_all if pid in theirs for content in found}
        raylets.kill(0)
        wait_until(
            lambda: sum(len(each.held) for each in endpoints) == in_flight - len(lost), "the end of its requests"
        )
    for each in endpoints:
        each.holds_after = None
    if driver:
        running = batch(environment, endpoints, log, *command)
    finish(running, log)
    counts = asked(endpoints)
    twice = {content for content, count in counts.items() if count > 1}
    same = records(f"s3://{BUCKET}/{what}") == records(str(folder / "one"))
    right = twice == lost and len(counts) == files and same
    print(
        f"{what} killed: {in_flight} requests of {len(holders)} processes in flight, {len(lost)} of them lost; "
        f"{len(twice)} asked twice, {len(twice ^ lost)} of them others; {len(counts)} of {files} contents asked; "
        f"records {'equal' if same else 'DIFFERENT'}; {time.monotonic() - began:.0f} s",
        flush=True,
    )
    for each in endpoints:
        each.close()
    return right


def losses(folder: Path, files: int) -> bool:
    """A raylet is lost, and then a driver; whether all is as it should be."""
    pictures = folder / "in"
    pictures.mkdir()
    draw(pictures, files)
    with s3_server(folder) as environment:
        upload(environment, pictures)
        os.environ.update(environment)
        instant = Endpoint()
        finish(batch(environment, [instant], folder / "one.log", str(pictures), "--output", "one"), folder / "one.log")
        instant.close()
        raylets = Raylets(3, 1, environment)
        try:
            right = lose(raylets, environment, folder, files, driver=False)
            return lose(raylets, environment, folder, files, driver=True) and right
        finally:
            raylets.close()


class Cost(NamedTuple):
    """What a run took."""

    wall_s: float
    """As the run itself counts it: from the first file to the last."""
    cpu_s: float
    """Of all its processes."""
    driver_mb: float
    """The most that the first of them held."""


def measure(pictures: Path, output: Path, url: str, *arguments: str) -> Cost:
    """A run as a process of its own, into a new folder."""
    shutil.rmtree(output, ignore_errors=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")}
    command = [sys.executable, "-m", "client.batch", str(pictures), "--output", str(output), "--no-hear"]
    command += ["--languages", "", "--base-url", url, "--concurrency", "32", "--loaders", "2", *arguments]
    spent: dict[int, float] = {}
    most = 0.0
    with subprocess.Popen(command, env=kept | OF_RAY, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        ended = threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(SAMPLE_S):
                try:
                    this = psutil.Process(process.pid)
                    most = max(most, this.memory_info().rss / 1e6)
                    for each in (this, *this.children(recursive=True)):
                        times = each.cpu_times()
                        spent[each.pid] = max(spent.get(each.pid, 0.0), times.user + times.system)
                except psutil.Error:
                    continue

        watcher = threading.Thread(target=watch)
        watcher.start()
        said = process.communicate()[1]
        ended.set()
        watcher.join()
    if process.returncode:
        raise RuntimeError(said[-3000:])
    wall_s = next(float(line.rpartition(" in ")[2].split()[0]) for line in said.splitlines() if " failed in " in line)
    return Cost(wall_s, sum(spent.values()), most)


def costs(folder: Path, files: int, rounds: int) -> None:
    """One machine and `--ray local`, in turns."""
    sizes = {files // 4: folder / "few", files: folder / "many"}
    for size, pictures in sizes.items():
        pictures.mkdir()
        draw(pictures, size)
    with endpoint(50) as url:
        for number in range(rounds):
            for way in ([], ["--ray", "local"]):
                few, many = (measure(pictures, folder / "out", url, *way) for pictures in sizes.values())
                more = files - files // 4
                slope_s, slope_cpu_s = (many.wall_s - few.wall_s) / more, (many.cpu_s - few.cpu_s) / more
                print(
                    f"round {number + 1}, {'--ray local' if way else 'plain':11}: {files} files {many.wall_s:.1f} s, "
                    f"{many.cpu_s:.1f} CPU-s, {files // 4} files {few.wall_s:.1f} s, {few.cpu_s:.1f} CPU-s; a further "
                    f"file {1000 * slope_s:.1f} ms, {1000 * slope_cpu_s:.1f} ms of CPU; the first process held "
                    f"{many.driver_mb:.0f} and {few.driver_mb:.0f} MB",
                    flush=True,
                )


def memory(folder: Path, sizes: Sequence[int]) -> None:
    """The driver's memory by files."""
    with endpoint(0) as url:
        for size in sizes:
            pictures = folder / str(size)
            pictures.mkdir()
            draw(pictures, size)
            cost = measure(pictures, folder / "out", url, "--ray", "local")
            said = f"{size} files: driver {cost.driver_mb:.0f} MB, {cost.wall_s:.1f} s, {cost.cpu_s:.1f} CPU-s"
            print(said, flush=True)
            shutil.rmtree(pictures)


def main() -> int:
    """Measure what the command line names; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmarks.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="losses,costs,memory", metavar="A,B", help="losses, costs, memory")
    parser.add_argument("--files", type=positive, default=2000, metavar="N", help="of losses and costs")
    parser.add_argument("--rounds", type=positive, default=2, metavar="N", help="of costs")
    parser.add_argument("--sizes", default="100,10000", metavar="N,N", help="of memory")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - {"losses", "costs", "memory"}:
        parser.error(f"--only {','.join(sorted(unknown))}: there are losses, costs, memory")
    right = True
    with tempfile.TemporaryDirectory(prefix="bench-cluster-") as name:
        for what in chosen:
            folder = Path(name) / what
            folder.mkdir()
            if what == "losses":
                right = losses(folder, arguments.files)
            elif what == "costs":
                costs(folder, arguments.files, arguments.rounds)
            else:
                memory(folder, [int(size) for size in arguments.sizes.split(",")])
    return 0 if right else 1


if __name__ == "__main__":
    run(main)
