"""One run at a time over an output, whatever the store and whenever they begin; and the folders that they leave."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from batch_runs import ROOT
from fsspec.implementations.memory import MemoryFileSystem

from client.cluster import lock
from client.cluster.folders import OwnFolder
from client.cluster.lock import Lock
from client.cluster.objects import Objects
from client.errors import LedgerBusyError

if TYPE_CHECKING:
    from pathlib import Path

DEAD = b'{"holder": "process 7", "token": "x", "beats": 3}'


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.02)
    monkeypatch.setattr(lock, "_DEAD_AFTER_S", 0.1)


def test_one_run_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.02)
    said: list[str] = []
    objects = Objects(str(tmp_path))
    second = Lock(objects, said.append)
    with Lock(objects, said.append), pytest.raises(LedgerBusyError, match=r"another run \(process "):
        second.__enter__()
    assert objects.names("") == []
    monkeypatch.setattr(lock, "_DEAD_AFTER_S", 0.1)
    objects.put({lock.NAME: b'{"holder": "process 7", "token": "x", "beats": 3}'})
    with Lock(objects, said.append):
        pass
    assert "held by process 7" in said[-1]


def test_of_runs_that_begin_together_one_goes_on(tmp_path: Path) -> None:
    """None of them has beaten yet."""
    objects = Objects(str(tmp_path / "here"))
    begun = threading.Barrier(4)

    def begin(_: int) -> bool:
        held = Lock(objects, print)
        begun.wait(60)
        return held._created()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(begin, range(4))) == [False, False, False, True]


def test_a_lock_that_is_empty_is_one(tmp_path: Path, quick: None) -> None:
    objects = Objects(str(tmp_path))
    objects.put({lock.NAME: b""})
    with Lock(objects, print):
        assert b"process" in objects.get([lock.NAME])[lock.NAME]


def test_a_lock_is_given_back_after_the_beat_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That would write it again. Nor does what a driver raises end the beating."""
    monkeypatch.setattr(lock, "BEAT_S", 0.001)
    beating, go_on, beats = threading.Event(), threading.Event(), itertools.count()

    class SlowObjects(Objects):
        def put(self, files: Any) -> None:
            if (beat := next(beats)) == 1:
                raise RuntimeError("a driver's own")
            if beat == 2:
                beating.set()
                assert go_on.wait(60)
            super().put(files)

    objects = SlowObjects(str(tmp_path))
    with Lock(objects, print) as held:
        assert beating.wait(60)
        join = held._thread.join
        monkeypatch.setattr(held._thread, "join", lambda timeout_s: (go_on.set(), join(timeout_s)))
    go_on.set()
    join()
    assert objects.names("") == []


class Waiting(Objects):
    """Of two runs that found the same lock dead, one writes its own `before` the other, which did not see that."""

    def __init__(self, uri: str, writes: list[threading.Event], *, first: bool) -> None:
        super().__init__(uri)
        self._ready, self._first_wrote, self._second_wrote = writes
        self._first, self._puts = first, itertools.count()

    def put(self, files: Any) -> None:
        if next(self._puts):
            super().put(files)
        elif self._first:
            assert self._ready.wait(60)
            super().put(files)
            self._first_wrote.set()
            assert self._second_wrote.wait(60)
        else:
            self._ready.set()
            assert self._first_wrote.wait(60)
            super().put(files)
            self._second_wrote.set()


def test_of_runs_that_find_the_same_lock_dead_one_goes_on(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, writes = Objects(str(tmp_path)), [threading.Event() for _ in range(3)]
    objects.put({lock.NAME: DEAD})
    locks = [Lock(Waiting(str(tmp_path), writes, first=first), print) for first in (True, False)]
    with ThreadPoolExecutor(2) as threads:
        entering = [threads.submit(each.__enter__) for each in locks]
        with pytest.raises(LedgerBusyError, match="another run has taken"):
            entering[0].result(60)
        entering[1].result(60)
    assert [each.lost for each in locks] == [True, False]
    assert lock._token_of(objects.get([lock.NAME])[lock.NAME]) == locks[1]._token
    monkeypatch.setattr(lock, "_DEAD_AFTER_S", 60)
    locks[1].__exit__()
    assert objects.names("") == []


def test_a_lock_that_is_not_waited_for_to_the_end_is_given_back(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Lock) -> None:
        monkeypatch.setattr(lock, "_DEAD_AFTER_S", 60)  # for as long its end waits for the beat that is under way
        raise KeyboardInterrupt

    monkeypatch.setattr(Lock, "_confirm", interrupted)
    objects = Objects(str(tmp_path))
    objects.put({lock.NAME: DEAD})
    with pytest.raises(KeyboardInterrupt):
        Lock(objects, print).__enter__()
    assert objects.names("") == []


def test_the_lock_of_another_run_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the next beat could tell that it is another's."""
    monkeypatch.setattr(lock, "BEAT_S", 3600)
    objects = Objects(str(tmp_path))
    with Lock(objects, print):
        objects.put({lock.NAME: DEAD})
    assert objects.get([lock.NAME]) == {lock.NAME: DEAD}


class Overwriting(MemoryFileSystem):
    """A driver that does not know what mode "create" is, as some do not, nor do some stores behind those that do."""

    store: ClassVar[dict[str, Any]] = {}  # of its own
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        super().pipe_file(path, value)


def test_a_lock_is_seen_where_a_store_writes_without_a_condition(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    objects._store = Overwriting(skip_instance_cache=True)
    assert [objects.create(lock.NAME, content) for content in (b"1", b"2")] == [True, False]
    assert objects.get([lock.NAME]) == {lock.NAME: b"1"}


def test_the_folder_of_a_process_that_lives_elsewhere_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number says nothing here: it is that of another machine, or container, with the same temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import os; from client.cluster.folders import OwnFolder; OwnFolder('many-'); os.kill(os.getpid(), 9)"
    killed = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    )
    assert killed.wait(60) == -9
    (left,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: killed.pid)
        elsewhere = OwnFolder("many-")
    assert not left.exists()
    (tmp_path / "many-1-x").mkdir()  # of whom nothing is known: it may be that it is about to be locked
    here = OwnFolder("many-")
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere.path, here.path, tmp_path / "many-1-x"])
    for folder in (elsewhere, here):
        folder.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["many-1-x"]


def test_a_folder_is_kept_where_nothing_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuse)
        folders = [OwnFolder("many-") for _ in range(2)]
    folders.append(OwnFolder("many-"))
    assert all(folder.path.is_dir() for folder in folders)
    for folder in folders:
        folder.remove()
