"""What it costs to turn videos into JPEGs for the model, beside the published way, in turns.

    python -m scripts.benchmarks.sampler                     everything: some minutes
    python -m scripts.benchmarks.sampler --quick             shorter videos, fewer rounds
    python -m scripts.benchmarks.sampler --json cost.json

The baseline is the way of LLaVA-NeXT-Video's model card: decode every frame up to the last wanted one with PyAV, and
make full-size RGB arrays of the wanted ones. It stops there; what is measured of ours ends with JPEGs. CPU-seconds
are those of the process that works, so that other load on the machine does not count.

Memory is measured over whole runs of `client.batch` against an endpoint that answers at once: the proportional set
size (PSS: shared memory is counted once) of all its processes together, several times a second.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import psutil
from PIL import Image

from client.media.jpeg import QUALITY, Orientation, encode_frame
from client.media.load import identify, load_spans
from client.media.loaders import Loaders
from client.media.sampling import Sampling, evenly
from client.media.video import load_video
from client.stages.find import PICTURES_TOGETHER
from scripts.benchmarks.common.cli import new_file, run, start
from scripts.benchmarks.common.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.media.content import Content
    from client.media.load import Identity

ROOT = Path(__file__).resolve().parents[2]
BITS = 12
JPEG_SIZE = (768, 432)
X264 = {"preset": "veryfast", "crf": "23", "bf": "3", "b_strategy": "0", "x264-params": "b-pyramid=none"}
"""Three B-frames between two others, and nothing refers to them: what most hardware and broadcast encoders write."""
PYRAMID = {"x264-params": "b-pyramid=normal"}
"""x264's own default: a B-frame of three is referred to and must be decoded."""
ACCURACY = "frames that are not the wanted ones"


@dataclass(frozen=True)
class Effort:
    """How much is measured; lengths in seconds of video."""

    rounds: int
    long: int
    short: int
    jpegs: int
    pictures: int
    run_files: int
    run_minutes: int


FULL = Effort(rounds=3, long=60, short=30, jpegs=40, pictures=2000, run_files=100, run_minutes=5)
QUICK = Effort(rounds=1, long=20, short=15, jpegs=10, pictures=300, run_files=12, run_minutes=1)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short version")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    report = Report("Videos to JPEGs", "av", "simplejpeg", "pillow", "numpy")
    with tempfile.TemporaryDirectory(prefix="bench-sampler-") as name:
        folder = Path(name)
        hd, cuts = folder / "hd.mp4", folder / "cuts.mp4"
        # ``g`` is x264's longest group of pictures; it begins another one where a scene does.
        write_video(hd, (1920, 1080), effort.long, rate=24, options={"g": "48", "sc_threshold": "0"})
        write_video(cuts, (1280, 720), effort.short, rate=25, scene=2.0, options={"g": "250"})
        compare(report, hd, f"1080p, {effort.long} s, GOP 48, 8 frames", 8, effort.rounds)
        compare(report, cuts, f"720p, {effort.short} s, scene cuts, 8 frames", 8, effort.rounds)
        compare(report, cuts, f"720p, {effort.short} s, scene cuts, 16 frames", 16, effort.rounds)
        write_video(cuts, (1280, 720), effort.short, rate=25, scene=2.0, options={"g": "250", **PYRAMID})
        compare(report, cuts, f"the same with a B-pyramid, {effort.short} s, 16 frames", 16, effort.rounds)
        compare_jpegs(report, hd, effort.jpegs)
        compare_pictures(report, folder, effort.pictures)
        measure_run(report, hd, folder / "ads", effort)
    report.show(arguments.json)


# -- videos -----------------------------------------------------------------------------------------------


def write_video(
    path: Path, size: tuple[int, int], length_s: int, *, rate: int, options: dict[str, str], scene: float = 0
) -> None:
    """A shot, another one every `scene` seconds: something moves before what stands still, as in most advertisements.

    Each frame has its number as stripes on top.
    """
    width, height = size
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={**X264, **options})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        for number in range(length_s * rate):
            if number == 0 or (scene and number % int(scene * rate) == 0):
                scenery, subject = texture(noise, width, height), texture(noise, width // 3, height // 2)
                planes[height:] = texture(noise, width, height // 2) // 4 + 96
            planes[:height] = scenery
            left = 3 * number % (width * 2 // 3)
            planes[height // 4 : height // 4 + height // 2, left : left + width // 3] = subject
            planes[: height // 8] = stripes(number, width)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))


def texture(noise: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Brightness with coarse and fine structure, uint8 [height, width]."""
    total = np.full((height, width), 120, np.float32)
    for cell, strength in ((160, 60), (40, 30), (10, 18), (3, 12)):
        small = noise.normal(0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
        total += np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return total.clip(0, 255).astype(np.uint8)


def stripes(number: int, width: int) -> np.ndarray:
    """`BITS` black or white stripes, the highest bit on the left."""
    bits = [(number >> (BITS - 1 - place)) & 1 for place in range(BITS)]
    one_row: np.ndarray = np.array(bits, np.uint8)[np.arange(width) * BITS // width] * 255
    return one_row


def number_of(pixels: np.ndarray) -> int:
    """The number on a picture, of any size."""
    row = pixels[2 : pixels.shape[0] // 8 - 2].mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * len(row) / BITS).astype(int)
    return int("".join("1" if row[centre] > 127 else "0" for centre in centres), 2)


def published(path: Path, wanted: int) -> list[np.ndarray]:
    """The model card's way, for the same frames as ours."""
    with av.open(str(path)) as container:
        indices = evenly(container.streams.video[0].frames, wanted)
        frames = []
        for index, frame in enumerate(container.decode(video=0)):
            if index > indices[-1]:
                break
            if index in indices:
                frames.append(frame.to_ndarray(format="rgb24"))
    return frames


def ours(path: Path, wanted: int) -> list[bytes]:
    """The client's way: the JPEGs that the model would be sent."""
    (content,) = load_video(path, Sampling(wanted), [None])
    return content.jpegs


def compare(report: Report, path: Path, name: str, wanted: int, rounds: int) -> None:
    """CPU and wall time of both ways, and whether the frames are right."""
    costs: dict[Callable[..., Any], list[tuple[float, float]]] = {published: [], ours: []}
    frames: dict[Callable[..., Any], Any] = {}
    for _ in range(rounds):
        for way, cost in costs.items():
            cpu_began, began = time.process_time(), time.perf_counter()
            frames[way] = way(path, wanted)
            cost.append((time.process_time() - cpu_began, time.perf_counter() - began))
    (cpu, wall), (base_cpu, base_wall) = (zip(*costs[way], strict=True) for way in (ours, published))
    report.add(f"{name}: CPU", "s", cpu, base_cpu)
    report.add(f"{name}: wall", "s", wall, base_wall)
    with av.open(str(path)) as container:
        right = evenly(container.streams.video[0].frames, wanted)
    shown = [number_of(np.asarray(Image.open(io.BytesIO(jpeg)))) for jpeg in frames[ours]]
    theirs = [number_of(frame) for frame in frames[published]]
    report.add(f"{name}: {ACCURACY}", "", [wrong(shown, right)], [wrong(theirs, right)])


def wrong(shown: list[int], right: list[int]) -> int:
    """How many of `right` are not where they should be."""
    return sum(one != other for one, other in zip(shown, right, strict=False)) + abs(len(right) - len(shown))


# -- pictures ---------------------------------------------------------------------------------------------


def compare_jpegs(report: Report, path: Path, count: int) -> None:
    """A decoded 1080p frame to a JPEG of 768x432."""

    def with_rgb(frame: av.VideoFrame) -> None:
        picture = Image.fromarray(frame.to_ndarray(format="rgb24")).resize(JPEG_SIZE, Image.Resampling.BICUBIC)
        picture.save(io.BytesIO(), "JPEG", quality=QUALITY)

    def with_planes(frame: av.VideoFrame) -> None:
        encode_frame(frame, JPEG_SIZE, Orientation())

    costs: dict[Callable[[av.VideoFrame], None], list[float]] = {with_rgb: [], with_planes: []}
    with av.open(str(path)) as container:
        for _, frame in zip(range(count), container.decode(video=0), strict=False):
            for way, cost in costs.items():
                begin = time.process_time()
                way(frame)
                cost.append(1000 * (time.process_time() - begin))
    report.add("frame of 1080p to JPEG of 768x432: CPU", "ms", costs[with_planes], costs[with_rgb])


def compare_pictures(report: Report, folder: Path, count: int) -> None:
    """Small pictures, in loader processes, as many together as the client gives them, and in threads of one process.

    The CPU of all processes is counted.
    """
    small = folder / "small"
    small.mkdir()
    noise = np.random.default_rng(0)
    for number in range(50):
        picture = Image.fromarray(noise.integers(0, 255, (8, 12, 3), np.uint8)).resize((480, 320))
        picture.save(small / f"{number}.jpg", quality=90)
    files = [(path, identify(path)) for path in sorted(small.iterdir())]
    jobs = [files[number % len(files)] for number in range(count)]
    groups = [jobs[begin : begin + PICTURES_TOGETHER] for begin in range(0, count, PICTURES_TOGETHER)]
    cores = len(os.sched_getaffinity(0))
    costs: dict[str, list[tuple[float, float]]] = {"threads": [], "processes": []}
    for _ in range(2):
        for way, cost in costs.items():
            loaders = Loaders(cores) if way == "processes" else None
            before, wall = cpu_of_all(), time.perf_counter()
            with ThreadPoolExecutor(cores) as pool:
                if loaders:
                    list(pool.map(partial(loaders.together, sampling=Sampling()), groups))
                else:
                    list(pool.map(_in_thread, jobs))
            wall = time.perf_counter() - wall
            if loaders:
                loaders.close()  # only then its CPU is known
            cost.append(((cpu_of_all() - before) / count * 1000, count / wall))
    (cpu, rate), (base_cpu, base_rate) = (zip(*costs[way], strict=True) for way in ("processes", "threads"))
    report.add("picture of 480x320, in processes (baseline: threads): CPU", "ms", cpu, base_cpu)
    report.add("picture of 480x320, in processes (baseline: threads)", "1/s", rate, base_rate, more_is_better=True)


def _in_thread(file: tuple[Path, Identity]) -> Content:
    (content,) = load_spans(*file, Sampling(), [None])
    return content


def cpu_of_all() -> float:
    """CPU-seconds of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


# -- memory -----------------------------------------------------------------------------------------------


def measure_run(report: Report, source: Path, folder: Path, effort: Effort) -> None:
    """A run over many long videos: peak memory, whether it grows, and what it costs."""
    folder.mkdir()
    minutes, count = effort.run_minutes, effort.run_files
    long = folder.parent / "long.mp4"
    repeat(source, long, minutes * 60 // effort.long)
    for number in range(count):
        copy = folder / f"{number:03d}.mp4"
        shutil.copyfile(long, copy)
        with copy.open("ab") as file:  # an atom that is skipped makes it another file
            file.write((16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    baseline = peak_of_published(long)
    command = [sys.executable, "-m", "client.batch", str(folder), "--languages", "", "--quiet"]
    with instant_endpoint() as port:
        wall = time.perf_counter()
        run = subprocess.Popen(
            [*command, "--base-url", f"http://127.0.0.1:{port}/v1", "--output", str(folder.parent / "captions")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        )
        sizes: list[float] = []
        while run.poll() is None:
            sizes.append(memory_of_all(run.pid))
            time.sleep(0.2)
        wall = time.perf_counter() - wall
    if run.returncode:
        raise SystemExit(f"the run failed: exit code {run.returncode}")
    third = len(sizes) // 3
    name = f"run over {count} videos of 1080p, {minutes} min each"
    growth = median(sizes[-third:]) - median(sizes[third:-third])
    report.add(f"{name}: peak memory of all processes (baseline: one file, published)", "MB", [max(sizes)], [baseline])
    report.add(f"{name}: growth of memory from the second to the last third", "MB", [growth])
    report.add(f"{name}: wall", "s", [wall])


def repeat(source: Path, target: Path, times: int) -> None:
    """The same video several times in a row, without encoding."""
    with av.open(str(target), "w") as writer:
        copy = None
        offset = 0
        for _ in range(times):
            with av.open(str(source)) as reader:
                stream = reader.streams.video[0]
                copy = copy or writer.add_stream_from_template(stream)
                length = stream.duration or 0
                for packet in reader.demux(stream):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts += offset
                        packet.dts += offset
                        packet.stream = copy
                        writer.mux(packet)
            offset += length


def peak_of_published(path: Path) -> float:
    """The peak memory of a process that samples one video the published way, in MB."""
    context = multiprocessing.get_context("spawn")
    ours_end, theirs_end = context.Pipe()
    process = context.Process(target=_published_alone, args=(path, theirs_end))
    process.start()
    peak = float(ours_end.recv())
    process.join()
    return peak


def _published_alone(path: Path, pipe: Any) -> None:
    published(path, 8)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def memory_of_all(pid: int) -> float:
    """PSS of a process and all below it, in MB."""
    total = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1e6


@contextmanager
def instant_endpoint() -> Iterator[int]:
    """An OpenAI endpoint in a process of its own; gives its port."""
    command = [sys.executable, "-m", "scripts.benchmarks.fakes.endpoint"]
    with start(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    run(main)
