"""What this machine has and what processes take of it: main memory, with the limits of containers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 1 << 30
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class MainMemory:
    """Main memory that we can still take, in bytes."""

    available: int
    limited_by: str
    """What sets the bound: the machine, or a control group."""


def main_memory(own: Path = OWN_CGROUP, root: Path = CGROUPS) -> MainMemory:
    """Main memory that we can still take: the machine's, or what a control group around us leaves.

    Args:
        own: Says which group we are in, see cgroups(7); lines of `id:controllers:path`.
        root: Where the groups are mounted.
    """
    free = [MainMemory(psutil.virtual_memory().available, "this machine")]
    free += [MainMemory(left, f"the control group {group}") for group, left in _groups(own, root)]
    return min(free, key=lambda memory: memory.available)


def _groups(own: Path, root: Path) -> list[tuple[str, int]]:
    """(group, bytes left) of every group around us that has a limit."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found = []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers == "":
            files, base = ("memory.max", "memory.current", "inactive_file"), root
        elif "memory" in controllers.split(","):
            files, base = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"), root / "memory"
        else:
            continue
        group = Path(path)
        for level in (group, *group.parents):  # a limit further up holds for us too
            folder = base / level.relative_to("/")
            with suppress(OSError, ValueError):  # "max": no limit; a group that is not ours to see
                limit, used = (int((folder / name).read_text()) for name in files[:2])
                found.append((str(folder), limit - used + _droppable(folder, files[2])))
    return found


def _droppable(folder: Path, name: str) -> int:
    """Bytes of files that a group keeps in memory only for as long as nobody needs the room."""
    with suppress(OSError):
        for line in (folder / "memory.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def tree_memory(pid: int) -> int:
    """Main memory of a process and all below it, in bytes; shared pages count once (PSS)."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += member.memory_full_info().pss
    return total


def tree_activity(pid: int) -> tuple[bool, dict[int, float]]:
    """Whether a process or one below it is stopped (SIGSTOP), and the CPU seconds of each so far, by its id."""
    stopped, cpu_s = False, dict[int, float]()
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                stopped |= member.status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
                times = member.cpu_times()
                cpu_s[member.pid] = times.user + times.system
    return stopped, cpu_s
