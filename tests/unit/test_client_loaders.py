"""Decoders that crash, hang or are killed cost one file, and leave no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loader_work
import psutil
import pytest
from batch_runs import wait_until
from media_files import load_file, number_of, numbered, write_video
from PIL import Image

from client.errors import BabelviewError, MediaError
from client.media import loaders as loaders_module
from client.media.content import Span
from client.media.fork_server import ForkServer
from client.media.kinds import Kind
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.media.thumbnail_folder import KeptThumbnails, Thumbnails
from client.media.worker import MEMORY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_servers import FakeServers

    from client.media.content import Content

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def loaders() -> Iterator[Loaders]:
    made = Loaders(2, timeout_s=60, work=loader_work.work)
    yield made
    made.close()


def picture(path: Path, number: int = 5) -> Path:
    Image.fromarray(numbered(number)).save(path)
    return path


def loaded(loaders: Loaders, path: Path) -> Content:
    (content,) = loaders.load(path, identify(path), Sampling())
    return content


def processes_below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def wait_until_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of them that are still there after 20 seconds."""
    end = time.monotonic() + 20
    while processes and time.monotonic() < end:
        processes = [process for process in processes if is_alive(process)]
        time.sleep(0.02)
    return processes


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_spans_come_one_by_one_and_may_be_left(loaders: Loaders, tmp_path: Path) -> None:
    """A worker that has more to send than is wanted is not asked about the next file."""
    video = write_video(tmp_path / "a.mp4", 100)
    spans = [Span(number * 1_000_000, (number + 1) * 1_000_000) for number in range(4)]
    parts = loaders.load(video, identify(video), Sampling(2), spans)
    assert [number_of(jpeg) for jpeg in next(parts).jpegs] == [0, 24]
    assert [number_of(jpeg) for jpeg in next(parts).jpegs] == [25, 49]
    parts.close()
    for _ in range(loaders.count):
        assert loaded(loaders, picture(tmp_path / "good.png")).kind is Kind.IMAGE
    frames = [frame for part in loaders.load(video, identify(video), Sampling(1), spans) for frame in part.frames]
    assert [frame.pts_us for frame in frames] == [0, 1_000_000, 2_000_000, 3_000_000]


def test_a_worker_gives_what_loading_here_gives(tmp_path: Path, loaders: Loaders) -> None:
    for path in (picture(tmp_path / "a.png"), write_video(tmp_path / "b.mp4", 30)):
        assert loaded(loaders, path) == replace(load_file(path, Sampling()), thumbnail=None)
    page = tmp_path / "c.mp4"
    page.write_text("<html></html>")
    with pytest.raises(MediaError, match="HTML"):
        loaded(loaders, page)


def test_a_thumbnail_is_made_once_for_a_folder_that_keeps_them(tmp_path: Path) -> None:
    paths = [picture(tmp_path / "a.png"), write_video(tmp_path / "b.mp4", 30)]
    for thumbnails in (None, Thumbnails(tmp_path / "out"), Thumbnails(tmp_path / "out")):
        lacks = thumbnails is not None and not thumbnails.has(identify(paths[0]).sha256)
        made = Loaders(1, timeout_s=60, thumbnails=thumbnails)
        try:
            contents = [loaded(made, path) for path in paths]
            contents += [
                it
                for it in made.together([(paths[0], identify(paths[0]))], Sampling())
                if not isinstance(it, MediaError)
            ]
        finally:
            made.close()
        assert [content.thumbnail is not None for content in contents] == [lacks, lacks, False]
        kept = KeptThumbnails(tmp_path / "out")
        assert [kept.read(identify(path).sha256) is not None for path in paths] == [thumbnails is not None] * 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("segfault", r"the decoder crashed \(SIGSEGV\)"),
        ("abort", r"the decoder crashed \(SIGABRT\)"),
        ("killed", r"killed \(SIGKILL\): out of memory\?"),
        ("exit", r"ended without an answer \(exit code 3\)"),
        ("greedy", r"more memory"),
    ],
)
def test_a_crash_costs_one_file_and_says_what_it_was(tmp_path: Path, loaders: Loaders, name: str, reason: str) -> None:
    for _ in range(3):  # more often than there are workers
        with pytest.raises(MediaError, match=reason):
            loaded(loaders, picture(tmp_path / f"{name}.png"))
    assert loaded(loaders, picture(tmp_path / "good.png")).jpegs


@pytest.mark.parametrize("name", ["late-error", "late-greed", "late-crash", "talkative"])
def test_what_comes_after_the_last_content_is_not_taken_for_the_next_file_s(tmp_path: Path, name: str) -> None:
    loaders = Loaders(1, timeout_s=60, work=loader_work.work)
    try:
        for number in range(1, 4):
            for stem, shown in ((name, number), (f"good{number}", 10 * number)):
                content = loaded(loaders, picture(tmp_path / f"{stem}.png", shown))
                assert number_of(content.jpegs[0]) == shown
    finally:
        loaders.close()


@pytest.mark.parametrize("bad", ["segfault", "greedy", "late-crash"])
def test_of_files_that_are_decoded_together_each_fails_alone(
    tmp_path: Path, loaders: Loaders, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    alone: list[str] = []
    load = loaders.load

    def load_alone(path: Path, *rest: Any) -> Any:
        alone.append(path.stem)
        return load(path, *rest)

    monkeypatch.setattr(loaders, "load", load_alone)

    def together(*names: str) -> list[int | str]:
        files = [picture(tmp_path / f"{name}.png", number) for number, name in enumerate(names, 10)]
        outcomes = loaders.together([(path, identify(path)) for path in files], Sampling())
        return [str(it) if isinstance(it, MediaError) else number_of(it.jpegs[0]) for it in outcomes]

    silent = "the decoder ended without an answer"
    assert together("a", "mute", "late-error", "talkative", "late-greed", "b") == [10, silent, 12, 13, 14, 15]
    assert not alone
    first, failed, last = together("a", bad, "b")
    assert (first, last) == (10, 12)
    assert alone == (["a", bad, "b"] if bad != "late-crash" else [])
    assert failed == 11 if bad == "late-crash" else "crashed" in str(failed) or "memory" in str(failed)


def test_two_may_share_a_process_that_was_started_before(tmp_path: Path) -> None:
    before = set(processes_below(os.getpid()))
    fork_server = ForkServer()
    fork_server.start()
    fork_server.start()
    (server,) = set(processes_below(os.getpid())) - before
    sharing = [Loaders(1, fork_server), Loaders(1, fork_server)]
    path = picture(tmp_path / "a.png")
    assert [loaded(it, path).facts.width for it in sharing] == [160, 160]
    assert {worker.ppid() for worker in set(processes_below(os.getpid())) - before - {server}} == {server.pid}
    sharing[0].close()
    with pytest.raises(BabelviewError, match="closed"):
        loaded(sharing[0], path)
    in_use = sharing[1].load(path, identify(path), Sampling())
    assert next(in_use).facts.width == 160
    sharing[1].close()
    in_use.close()
    assert set(processes_below(os.getpid())) - before == {server}
    fork_server.close()
    assert set(processes_below(os.getpid())) == before


def test_what_is_decoded_ends_with_those_who_want_it_also_where_the_process_is_shared(tmp_path: Path) -> None:
    fork_server = ForkServer()
    loaders = Loaders(1, fork_server, work=loader_work.work)
    others = Loaders(1, fork_server)
    try:
        with ThreadPoolExecutor(1) as threads:
            hanging = threads.submit(loaded, loaders, picture(tmp_path / "hang.png"))
            wait_until(lambda: bool(loaders._at_work))
            (worker,) = loaders._at_work
            process = psutil.Process(worker.pid)
            loaders.close()
            with pytest.raises(BabelviewError, match="the loaders are closed"):
                hanging.result(60)
        assert not process.is_running()
        assert loaded(others, picture(tmp_path / "good.png")).jpegs
    finally:
        fork_server.close()


def test_no_more_are_at_work_at_the_same_time_than_may_be(tmp_path: Path) -> None:
    fork_server = ForkServer(MEMORY_BYTES, 1)
    one, other, third = (Loaders(1, fork_server) for _ in range(3))
    paths = [picture(tmp_path / "a.png"), picture(tmp_path / "b.png")]
    try:
        first = one.load(paths[0], identify(paths[0]), Sampling(), [None, None])
        next(first)
        with ThreadPoolExecutor(2) as threads:
            second = threads.submit(loaded, other, paths[1])
            closed = threads.submit(loaded, third, paths[1])
            third.close()
            with pytest.raises(BabelviewError, match="closed"):
                closed.result(60)
            with pytest.raises(TimeoutError):
                second.result(0.5)
            first.close()
            assert second.result(60).jpegs
    finally:
        fork_server.close()


def test_a_worker_takes_no_more_memory_than_it_is_given(tmp_path: Path) -> None:
    Image.new("RGB", (8000, 6000)).save(path := tmp_path / "large.png")
    fork_server = ForkServer(256 << 20)
    loaders = Loaders(1, fork_server)
    try:
        with pytest.raises(MediaError, match="memory"):
            loaded(loaders, path)
        assert loaded(loaders, picture(tmp_path / "good.png")).jpegs
    finally:
        fork_server.close()


def test_a_decoder_that_says_nothing_is_not_waited_for(tmp_path: Path, loaders: Loaders) -> None:
    with pytest.raises(MediaError, match="without an answer"):
        loaded(loaders, picture(tmp_path / "mute.png"))
    assert loaded(loaders, picture(tmp_path / "good.png")).jpegs


def test_a_hang_ends_at_the_deadline(tmp_path: Path) -> None:
    loaders = Loaders(1, timeout_s=0.5, work=loader_work.work)
    try:
        with pytest.raises(MediaError, match=r"not decoded within 0\.5 s"):
            loaded(loaders, picture(tmp_path / "hang.png"))
        assert loaded(loaders, picture(tmp_path / "good.png")).jpegs
    finally:
        loaders.close()


def test_a_worker_that_others_end_costs_nothing(tmp_path: Path, loaders: Loaders) -> None:
    """Ended in the middle of a file, and between two."""
    others = set(psutil.Process().children())
    assert loaded(loaders, picture(tmp_path / "stopped.png")).jpegs
    (fork_server,) = set(psutil.Process().children()) - others
    for worker in fork_server.children():
        worker.terminate()
    wait_until_gone(fork_server.children())
    assert loaded(loaders, picture(tmp_path / "good.png")).jpegs
    fork_server.kill()
    fork_server.wait()
    assert loaded(loaders, picture(tmp_path / "good.png")).jpegs


def test_a_parent_that_was_killed_meanwhile_leaves_no_traceback() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    orders, work = socket.socketpair()
    socket.send_fds(ours, [b"fork"], [work.fileno()])
    line = [sys.executable, "-m", "client.media.loader_process", str(theirs.fileno()), str(MEMORY_BYTES)]
    process = subprocess.Popen(line, cwd=ROOT, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
    for end in (ours, theirs, orders, work):
        end.close()
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


def test_workers_are_replaced_before_leaks_add_up(
    tmp_path: Path, loaders: Loaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders_module, "FILES_PER_WORKER", 2)
    path, seen = picture(tmp_path / "good.png"), set()
    others = {process.pid for process in processes_below(os.getpid())}
    for _ in range(6):
        assert loaded(loaders, path).jpegs
        seen |= {worker.pid for worker in processes_below(os.getpid())} - others
    assert len(seen) >= 3


def test_files_that_are_loaded_together_count_as_so_many(
    tmp_path: Path, loaders: Loaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders_module, "FILES_PER_WORKER", 6)
    path, seen = picture(tmp_path / "good.png"), set()
    others = {process.pid for process in processes_below(os.getpid())}
    for _ in range(6):
        assert len(loaders.together([(path, identify(path))] * 3, Sampling())) == 3
        seen |= {worker.pid for worker in processes_below(os.getpid())} - others
    assert len(seen) >= 3


def test_closing_ends_workers_that_hang(tmp_path: Path, loaders: Loaders) -> None:
    path = picture(tmp_path / "hang.png")
    others = set(processes_below(os.getpid()))  # of other tests
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(loaded, loaders, path)
        while len(left := [each for each in processes_below(os.getpid()) if each not in others]) < 2:
            time.sleep(0.01)
        loaders.close()
        assert wait_until_gone(left) == []
        with pytest.raises(BabelviewError, match="closed"):
            waiting.result()


# -- whole runs --------------------------------------------------------------------------------------------


def start(servers: FakeServers, *arguments: str | Path, cwd: Path, timeout: float = 120) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BABELVIEW_")}
    environment |= {
        "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}",
        "BABELVIEW_BASE_URL": f"{servers.url}/v1",
        "LOADER_TIMEOUT": str(timeout),
    }
    command = [sys.executable, str(Path(__file__).with_name("loader_work.py")), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "--languages", ""], cwd=cwd, env=environment, text=True, **pipes)


def test_a_run_survives_a_crash_and_a_hang(tmp_path: Path, servers: FakeServers) -> None:
    folder = tmp_path / "ads"
    folder.mkdir()
    for number in range(20):
        picture(folder / f"{number}.png", number)
    for number, name in enumerate(("segfault", "hang", "greedy"), 100):
        picture(folder / f"{name}.png", number)
    run = start(servers, folder, cwd=tmp_path, timeout=3)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 1, errors
    records = json.loads((tmp_path / "captions" / "results.json").read_text())["files"]
    failed = {Path(record["file"]).stem: record["error"] for record in records if record["error"]}
    assert failed == {
        "segfault": "the decoder crashed (SIGSEGV)",
        "hang": "not decoded within 3 s",
        "greedy": "decoding it takes more memory than a file may take",
    }
    assert sum("describe" in record["tasks"] for record in records) == 20


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_run(tmp_path: Path, servers: FakeServers, ending: signal.Signals) -> None:
    folder = tmp_path / "ads"
    folder.mkdir()
    picture(folder / "hang.png")
    run = start(servers, folder, "--loaders", "2", cwd=tmp_path)
    try:
        while not (left := [child for child in processes_below(run.pid) if child.children()]):
            assert run.poll() is None
            time.sleep(0.02)
        left = processes_below(run.pid)
        assert len(left) == 2  # the one that forks, and the worker that hangs
        run.send_signal(ending)
        run.communicate(timeout=60)
        assert run.returncode == (130 if ending != signal.SIGKILL else -9)
        assert wait_until_gone(left) == []
    finally:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    # What was stopped is no failure: the next run does it.
    shutil.copy(picture(tmp_path / "good.png"), folder / "hang.png")
    again = start(servers, folder, cwd=tmp_path, timeout=1)
    again.communicate(timeout=60)
    assert again.returncode == 1
