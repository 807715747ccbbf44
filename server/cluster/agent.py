"""The agent of an engine on a cluster: has Ray run it, passes on what it says, tells where it is.

It is what the supervisor starts, watches and ends in the place of the engine, and the driver of a job of Ray: its actor
ends with it, also where it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from server.cluster.host import Ended, EngineHost, Said, Seen, Started
from server.errors import PreflightError
from server.exit_codes import FAILED
from server.sizing.machine import GIB
from server.supervision.heartbeat import write_beat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from server.cluster.host import Event
    from server.cluster.order import Order
    from server.profile import EngineProfile, Reservation

NO_MACHINE = "No machine of the cluster has"
NO_ROOM = "No machine of the cluster has left"
LOOK_S = 10.0
JOIN_EVERY_S = 5.0
LONGEST_LINE = 200
"""Characters of a line of Ray's errors that are told."""
ROOM_WITHIN_S = 5.0
"""An actor that has not begun after so long waits for room."""


class Agent:
    """Runs one order."""

    def __init__(self, order: Order, address_file: Path, heartbeat: Path) -> None:
        """`address_file` gets the engine's URL, and is removed when it ends; `heartbeat` gets its heartbeat."""
        self._order = order
        self._address_file = address_file
        self._heartbeat = heartbeat
        self._host: Any = None
        self._stopping = False

    async def run(self) -> int:
        """Run the engine until it ends, or SIGTERM; the exit code.

        Raises:
            PreflightError: there is no cluster, nor was there one before.
        """
        import ray  # noqa: PLC0415  # two seconds

        join(self._order.cluster, self._address_file.with_suffix(".joined"))
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(self._follow())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, running)
        try:
            return await running
        except asyncio.CancelledError:
            return 0  # it had no engine yet
        except ray.exceptions.RayError as error:
            _say(f"the engine is lost, with its actor or its machine: {_shortly(error)}")
            return 0 if self._stopping else FAILED
        finally:
            self._address_file.unlink(missing_ok=True)
            ray.shutdown()

    def _stop(self, running: asyncio.Task[int]) -> None:
        self._stopping = True
        if self._address_file.exists():
            self._host.stop.remote()
        else:
            running.cancel()

    async def _follow(self) -> int:
        import ray  # noqa: PLC0415

        (engine,) = self._order.profile.engines
        needs = needs_of(engine, self._order.reservation, on_gpu=self._order.profile.device.on_gpu)
        self._host = (
            ray.remote(EngineHost)
            .options(
                name=f"babelview {self._order.name}",
                num_cpus=needs["CPU"],
                num_gpus=needs["GPU"],
                memory=needs["memory"] or None,
                resources={name: amount for name, amount in needs.items() if name not in {"CPU", "GPU", "memory"}},
                max_concurrency=2,
                max_restarts=0,
                scheduling_strategy="SPREAD",
            )
            .remote(ray.util.get_node_ip_address)
        )
        events = self._host.run.options(num_returns="streaming").remote(self._order.encode())
        begun = threading.Event()
        # Not in the loop, nor in a thread that its end would wait for: without its head a cluster answers nothing.
        threading.Thread(target=_tell_of_room, args=(needs, begun), daemon=True).start()
        try:
            async for reference in events:
                begun.set()
                event: Event = await reference
                if isinstance(event, Ended):
                    if not self._stopping:
                        _say(f"the engine has ended: {event.reason}")
                    return 0 if self._stopping else FAILED
                self.note(event)
        finally:
            begun.set()
        return FAILED

    def note(self, event: Event) -> None:
        """Pass on what the actor tells: output, address, heartbeat."""
        if isinstance(event, Said):
            sys.stdout.buffer.write(event.output)
            sys.stdout.buffer.flush()
        elif isinstance(event, Started):
            _say(f"the engine runs at {event.url}, process {event.pid}")
            draft = self._address_file.with_suffix(".draft")
            draft.write_text(event.url, encoding="utf-8")
            draft.replace(self._address_file)
        elif isinstance(event, Seen):
            now = time.monotonic()
            for beat in event.beats:
                began = beat.step_began and now - beat.step_began
                mirrored = beat._replace(pid=os.getpid(), at=now - beat.at, step_began=began)
                write_beat(self._heartbeat.with_name(f"{self._heartbeat.name}.{beat.pid}"), mirrored)


def _tell_of_room(needs: Mapping[str, float], begun: threading.Event) -> None:
    """Say once that an actor waits for room, if it does so before it has begun: its process may only start slowly."""
    while not begun.wait(ROOM_WITHIN_S):
        with suppress(Exception):  # Ray's, of many kinds: its head is away, or we leave
            wanted, machines = _look_round()
            if waits_for_room(wanted, needs) and not begun.is_set():
                _say(why_it_waits(machines, needs))
                return


def _look_round() -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
    """What those of the cluster need that have no machine yet, and all that each machine has, whoever uses it."""
    import ray  # noqa: PLC0415
    from ray.autoscaler.v2.sdk import get_cluster_status  # noqa: PLC0415

    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    demands = status.resource_demands.ray_task_actor_demand
    wanted = [one.bundle for demand in demands for one in demand.bundles_by_count]
    return wanted, [node["Resources"] for node in ray.nodes() if node["Alive"]]


def waits_for_room(wanted: Sequence[Mapping[str, float]], needs: Mapping[str, float]) -> bool:
    """Whether something of these needs is among what has no machine yet."""
    ours = {name: amount for name, amount in needs.items() if amount}
    return any(
        one.keys() == ours.keys() and all(math.isclose(one[name], ours[name], rel_tol=1e-3) for name in ours)
        for one in wanted
    )


def why_it_waits(machines: Sequence[Mapping[str, float]], needs: Mapping[str, float]) -> str:
    """Whether a machine of a cluster would be large enough; `machines` are all that each has, whoever uses it."""
    fits = any(all(machine.get(name, 0) >= amount for name, amount in needs.items()) for machine in machines)
    return f"{NO_ROOM if fits else NO_MACHINE} {in_words(needs)}: waiting for one"


def in_words(needs: Mapping[str, float]) -> str:
    """What Ray keeps free, for people."""
    return ", ".join(_amount(name, amount) for name, amount in needs.items() if amount)


def needs_of(engine: EngineProfile, reserved: Reservation, *, on_gpu: bool) -> dict[str, float]:
    """What Ray keeps free for a replica of an engine, by its own names."""
    gpus = float(engine.tensor_parallel if on_gpu else 0)
    return {
        "CPU": reserved.num_cpus,
        "GPU": gpus if reserved.num_gpus is None else reserved.num_gpus,
        "memory": int(engine.memory_gib * GIB),
        **reserved.resources,
    }


def join(address: str, joined: Path) -> None:
    """Join a cluster; one that has been joined before is waited for: it may have lost its head.

    Args:
        address: `auto` or HOST:PORT.
        joined: A file that says so, and is made.

    Raises:
        PreflightError: there is none.
    """
    while True:
        try:
            _join(address)
        except PreflightError as error:
            if not joined.exists():
                raise
            _say(f"{error}: waiting for it")
            time.sleep(JOIN_EVERY_S)
        else:
            joined.touch()
            return


def _join(address: str) -> None:
    """Join a cluster.

    Raises:
        PreflightError: there is none.
    """
    import ray  # noqa: PLC0415

    # It counts every use of it over the network, unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        if address != "auto":  # Ray itself looks for minutes
            host, _, port = address.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), LOOK_S):
                pass
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, OSError, grpc's
        raise PreflightError(
            f"no Ray cluster at {address}: {_shortly(error)}; `ray start --head` starts one. One that asks for a "
            "token wants RAY_AUTH_MODE=token here, too"
        ) from error


def _shortly(error: Exception) -> str:
    """The first line of an error and the last one, between which Ray tells how it came to be."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ": ".join(line[:LONGEST_LINE].rstrip(".") for line in dict.fromkeys((lines[0], lines[-1])))


def _amount(name: str, amount: float) -> str:
    return f"{amount / GIB:.1f} GiB of memory" if name == "memory" else f"{amount:g} {name}"


def _say(text: str) -> None:
    """A line of our own in the engine's log."""
    with suppress(OSError):
        print(text, flush=True)
