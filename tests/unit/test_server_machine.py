"""Memory of the machine, of control groups and of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from server.sizing.machine import GIB, main_memory, tree_memory

if TYPE_CHECKING:
    from pathlib import Path


def group(folder: Path, limit: str, used: int, inactive: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(str(used))
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {inactive}\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "cgroup"
    path.write_text("0::/outer/inner\n")
    return path


def test_a_group_without_a_limit_leaves_the_machines_memory(tmp_path: Path, own: Path) -> None:
    group(tmp_path / "outer" / "inner", "max", 5)
    assert main_memory(own, tmp_path).limited_by == "this machine"


def test_the_limit_of_an_outer_group_holds(tmp_path: Path, own: Path) -> None:
    group(tmp_path / "outer" / "inner", str(1 << 50), 5)
    group(tmp_path / "outer", str(10 << 20), 4 << 20, inactive=1 << 20)
    memory = main_memory(own, tmp_path)
    assert memory.available == 7 << 20
    assert memory.limited_by == f"the control group {tmp_path / 'outer'}"


def test_the_first_version_of_control_groups_counts_too(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("5:cpu,cpuacct:/x\n4:memory:/x\n")
    folder = tmp_path / "memory" / "x"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(str(3 << 20))
    (folder / "memory.usage_in_bytes").write_text(str(1 << 20))
    assert main_memory(own, tmp_path).available == 2 << 20


def test_without_control_groups_the_machine_is_asked(tmp_path: Path) -> None:
    memory = main_memory(tmp_path / "none", tmp_path)
    assert 0 < memory.available <= psutil.virtual_memory().total


def test_a_process_is_counted_with_its_children_and_shared_pages_once() -> None:
    script = "import os, time; block = bytearray(os.urandom(64 << 20)); os.fork(); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.readline()
        used = tree_memory(process.pid)
        os.killpg(process.pid, 9)
    assert 64 << 20 < used < 120 << 20
    assert tree_memory(process.pid) == 0
    assert used < GIB
