"""Starts, watches, restarts and stops the parts of a profile."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import tempfile
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from server.errors import PartFailedError, PreflightError
from server.exit_codes import FAILED
from server.parts import open_gateway_socket, stack_parts
from server.sizing.preflight import check_memory, check_models, check_packages, make_log_folder
from server.status import ask, serve_status, status_socket
from server.supervision.events import EventLog
from server.supervision.fork_server import ForkServers
from server.supervision.reaper import Reaper
from server.supervision.sleep_group import SleepGroup
from server.supervision.supervisor import ProcessSupervisor

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Sequence

    from server.policy import Policy
    from server.profile import GatewayProfile, Profile
    from server.supervision.part import Part
    from server.supervision.supervisor import Reporter

READY_WITHIN_S = 10.0


class Stack:
    """Parts that run together. The first, the gateway, is stopped before the others: it needs them.

    One that is given up does not take the others with it, unless nothing can be used without it.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        logs: Path,
        reaper: Reaper,
        reporter: Reporter,
        policy: Policy | None = None,
    ) -> None:
        """`logs` is a folder that gets the log files of each part."""
        self._fork_servers = ForkServers(reaper)
        sleep_groups = {part.sleep_group: SleepGroup() for part in parts if part.sleep_group}
        self.supervisors = [
            ProcessSupervisor(
                part,
                logs / f"{part.name}.log",
                reaper,
                reporter,
                policy=policy,
                sleep_group=sleep_groups[part.sleep_group] if part.sleep_group else None,
                fork_servers=self._fork_servers,
            )
            for part in parts
        ]

    async def run(self, when_healthy: Callable[[list[ProcessSupervisor]], None]) -> None:
        """Run until cancelled; `when_healthy` is called once, when every part has become ready.

        Raises:
            PartFailedError: a part did not start, or what is left is of no use; everything is stopped then.
        """
        tasks = [
            asyncio.create_task(self._keep(supervisor), name=supervisor.part.name) for supervisor in self.supervisors
        ]
        ready = asyncio.create_task(self._report_ready(when_healthy))
        try:
            done, _ = await asyncio.wait([*tasks, ready], return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            front, *rest = tasks
            await _cancel(ready, front)
            await _cancel(*rest)
            await self._fork_servers.stop()

    async def _keep(self, supervisor: ProcessSupervisor) -> None:
        """Run a part; that it is given up is an error only if the stack is of no use without it."""
        try:
            await supervisor.run()
        except PartFailedError:
            others = [other for other in self.supervisors if not other.part.vital and not other.given_up]
            if supervisor.part.vital or not supervisor.healthy.is_set() or not others:
                raise

    async def _report_ready(self, when_healthy: Callable[[list[ProcessSupervisor]], None]) -> None:
        for supervisor in self.supervisors:
            await supervisor.healthy.wait()
        # The gateway looks for itself, a moment later. Not for ever: a replica elsewhere may be down.
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN_S):
                for probe in filter(None, (supervisor.part.ready_probe for supervisor in self.supervisors)):
                    while not await probe.healthy(READY_WITHIN_S):  # noqa: ASYNC110  # it is in another process
                        await asyncio.sleep(0.05)
        when_healthy(self.supervisors)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    # Their errors are known: the first has been raised, and the others came of stopping.
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def stack_of(profile: Profile, *, logs: Path, reporter: Reporter) -> AsyncIterator[Stack]:
    """The stack of a profile, with all that must be right before anything starts.

    Raises:
        PreflightError: a package, a model, memory, a port or a folder for logs is missing.
    """
    check_packages(profile)
    check_models(profile)
    policy = profile.supervisor
    with _gateway_socket(profile.gateway) as listener:  # before memory, which a stack that runs there takes
        check_memory(profile)
        make_log_folder(logs)
        runtime = Path(tempfile.gettempdir()) / f"babelview-{secrets.token_hex(4)}"
        async with Reaper(runtime) as reaper:
            runtime.mkdir(mode=0o700)  # engines listen in it; only now, as the reaper removes it however we end
            parts = stack_parts(profile, runtime, listener, logs)
            events = EventLog(logs, policy, reporter)
            with closing(events):
                stack = Stack(parts, logs=logs, reaper=reaper, reporter=events, policy=policy)
                async with serve_status(status_socket(listener.getsockname()[1]), stack.supervisors):
                    yield stack


def _gateway_socket(gateway: GatewayProfile) -> socket.socket:
    try:
        return open_gateway_socket(gateway)
    except PreflightError as error:
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        if not taken or (running := ask(gateway.port)) is None:
            raise
        raise PreflightError(
            f"a stack of yours runs behind port {gateway.port} already (process {running['pid']}): babelview status "
            "shows it; --port and --translator-port have another one run beside it"
        ) from error


async def run_until_signal(
    stack: Stack, when_healthy: Callable[[list[ProcessSupervisor]], None], when_stopping: Callable[[], None]
) -> signal.Signals:
    """Run a stack until SIGINT, SIGTERM or SIGHUP, then stop it; a second one kills everything.

    Returns:
        The signal.

    Raises:
        PartFailedError: a part did not start or gave up.
    """
    received: list[signal.Signals] = []
    running = asyncio.create_task(stack.run(when_healthy))

    def stop(number: signal.Signals) -> None:
        if received:
            os._exit(FAILED)  # the reaper kills what is left
        received.append(number)
        when_stopping()
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        await running
    except asyncio.CancelledError:
        if not received:
            raise
    return received[0]


def write_ready_file(path: Path, content: dict[str, object]) -> None:
    """Write JSON in one step: who waits for the file never sees half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    draft.replace(path)
