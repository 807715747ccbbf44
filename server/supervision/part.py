"""A part of the stack: what to start, where it answers, and how one sees that it is well."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


PYTHON = (sys.executable, "-P")
"""Starts a module of ours as a part; -P: nothing of the current folder is imported."""


@dataclass(frozen=True)
class Forked:
    """How a part is forked from a process that has imported what it needs (`server/supervision/fork_server.py`)."""

    module: str
    """What is imported; it has `prepare` and `run`, as `server/supervision/fork_server_process.py` says."""
    arguments: tuple[str, ...]
    """What `run` gets."""
    late: frozenset[str]
    """The variables of its environment that `run` reads, not what is imported: parts that differ in nothing else are
    forked from one process."""


@dataclass(frozen=True)
class Probe:
    """The HTTP request that tells whether a part is well: a GET of `path` answers 200 while it is."""

    base: str
    """URL without a path."""
    path: str
    socket: Path | None = None
    """Unix socket to ask on; None: TCP."""
    address_file: Path | None = None
    """Holds the URL in the place of `base`, while there is one: of a part whose server may be on any machine."""

    @property
    def url(self) -> str | None:
        """Where it is now, without a path; None: nowhere."""
        if self.address_file is None:
            return self.base
        try:
            return self.address_file.read_text(encoding="utf-8")
        except OSError:
            return None

    def forget(self) -> None:
        """Remove what one that was killed has left: its socket, its address."""
        for path in filter(None, (self.socket, self.address_file)):
            path.unlink(missing_ok=True)

    async def healthy(self, timeout_s: float) -> bool:
        """Ask once; whatever goes wrong, the answer is no."""
        return await self.send("GET", self.path, timeout_s)

    async def send(self, method: str, path: str, timeout_s: float) -> bool:
        """Send a request without a body; whether the answer was 200."""
        if (base := self.url) is None:
            return False
        connector = aiohttp.UnixConnector(str(self.socket)) if self.socket else aiohttp.TCPConnector()
        timeout = aiohttp.ClientTimeout(timeout_s)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                async with session.request(method, f"{base}{path}") as response:
                    return response.status == 200
            except (aiohttp.ClientError, OSError, TimeoutError):
                return False


@dataclass(frozen=True, kw_only=True)
class Part:
    """A process of ours that runs as long as the stack."""

    name: str
    """For people, and for its log file."""
    what: str
    """The model it runs, or what it does."""
    command: tuple[str, ...]
    forked: Forked | None = None
    """How it is started sooner than by its command, where that can be done."""
    address: str
    """Where it listens, for people; of one that may be on any machine, how it is called until it has an address."""
    probe: Probe
    heartbeat: Path | None = None
    """Where its processes say that they live, if they do (`server/supervision/heartbeat.py`)."""
    env: Mapping[str, str] = field(default_factory=dict)
    """On top of our own environment."""
    hidden: frozenset[str] = frozenset()
    """Variables of our environment that it does not get: keys for others."""
    start_timeout_s: float = 60.0
    """How long it may take to become healthy."""
    stop_grace_s: float = 10.0
    """How long it may take to stop: the time between SIGTERM and SIGKILL."""
    first_stage: str = "starting"
    stages: tuple[tuple[str, str], ...] = ()
    """(text in a line of its log, stage that it tells of), in the order of appearance."""
    pass_fds: tuple[int, ...] = ()
    """File descriptors that it inherits."""
    memory_limit_gib: float | None = None
    """It is restarted when it takes more main memory, its children included."""
    sleep_group: str | None = None
    """Name of the group of engines that share a GPU, one awake at a time (`server/supervision/sleep_group.py`)."""
    public_socket: Path | None = None
    """Where the gateway reaches it once all of its group have started; None: at its probe's socket."""
    poison_log: Path | None = None
    """File with a line for each of its crashes that is no fault of its own: the gateway knows which request it was."""
    ready_probe: Probe | None = None
    """Answers 200 once what stands behind this part can be used through it."""
    vital: bool = False
    """Without it nothing of the stack can be used."""

    @property
    def place(self) -> str:
        """Where it listens now, for people."""
        return self.address if self.probe.address_file is None else self.probe.url or self.address

    def poisoned(self) -> int:
        """How many of its crashes so far were no fault of its own."""
        if self.poison_log is None or not self.poison_log.exists():
            return 0
        return len(self.poison_log.read_bytes().splitlines())

    def stage(self, line: str) -> str | None:
        """The stage that a line of its log tells of."""
        return next((stage for text, stage in self.stages if text in line), None)
