"""Starts Ray, or joins a cluster, and runs the pipeline in its actors."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from contextlib import ExitStack, chdir, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson

from client.cluster import compaction
from client.cluster.address import AUTO, LOCAL
from client.cluster.folders import OwnFolder
from client.cluster.listing import blocks
from client.cluster.objects import Objects
from client.cluster.records import SOURCES
from client.cluster.shared import Shared
from client.cluster.worker import BLOCKS_AT_ONCE, Worker
from client.errors import BabelviewError, ServiceLostError, UsageError
from client.hints import install

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from client.cluster.listing import Wanted
    from client.cluster.notes import Taken
    from client.cluster.worker import Work
    from client.endpoints.places import Counts

T = TypeVar("T")

_FOLDER, _LONGEST_FOLDER = "babelview-ray-", 40
"""Characters: a socket's path has 107 at most, of which Ray takes some 65 for itself."""
_TAKE_S = 5.0
_STDERR = 2
MOST_LOADERS = 4
"""Of an actor, unless told otherwise: more actors rather than larger ones, as each has one thread of Python."""


class Machines(NamedTuple):
    """How the actors are laid out."""

    actors: int
    loaders: int
    """Of each actor, which reserves so many CPUs."""
    at_once: int
    """Requests in flight of each actor to each endpoint."""
    nodes: int
    cpus: int


def check_installed() -> None:
    """Make sure that Ray Data is there.

    Raises:
        UsageError: it is not.
    """
    for name in ("ray", "pyarrow"):  # found, not imported, which takes seconds: what else is wrong is told before
        if find_spec(name) is None:
            raise UsageError(f"--ray needs the package {name}: {install('ray')}")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """A cluster: `local` starts one on this machine, `auto` and addresses join one that runs.

    Raises:
        UsageError: there is none.
    """
    # It counts every use of it over the network, unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # It prints errors that nobody asks for. Ours are all asked for; those of its statistics, after a loss, are not.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # It also calls an error that actors which may be started again have arguments. What ends a run is raised.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        settings = _own_cluster(folder) if address == LOCAL else {}
        import ray  # noqa: PLC0415 (optional, two seconds, and it reads the environment once)

        stack.callback(ray.shutdown)  # also of what has begun to start when Ctrl-C comes
        try:
            # Ray puts the current folder of a driver before all else on the path of its actors: a user's own
            # `client.py` there would be imported in the place of our `client`.
            with chdir(folder), _without_native_lines():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **settings)
        except Exception as error:  # ConnectionError, RuntimeError, ValueError, grpc's
            raise UsageError(f"--ray {address}: {_why(address, error)}") from error
        with _told():
            yield


@contextmanager
def _without_native_lines() -> Iterator[None]:
    """Without what native code writes to standard error: here Ray's says how much it is to say. Errors are raised."""
    stderr = os.dup(_STDERR)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # it is no path of ours
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(stderr, _STDERR)
        os.close(stderr)


def _why(address: str, error: Exception) -> str:
    """Why there is no cluster, without the names that Ray's own commands and functions have for it."""
    if address == AUTO and isinstance(error, ConnectionError):
        return "no cluster runs on this machine; say --ray HOST:PORT of one, or --ray local, which starts one"
    reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return reason if address == LOCAL else f"{reason}; a cluster with a token wants RAY_AUTH_MODE=token here, too"


def _own_cluster(folder: Path) -> dict[str, Any]:
    """Settings of a cluster for this run alone, of which nothing stays behind: no token in the home folder, no logs."""
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: beside other programs next to nothing is done
    # Ray keeps others out with a token, which it writes to the home folder where it is not given one.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # The names of its sockets would be too long in a long one: then it has its own place.
    return {"include_dashboard": False} | ({"_temp_dir": str(folder)} if len(str(folder)) <= _LONGEST_FOLDER else {})


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of this run."""
    folder = OwnFolder(_FOLDER)
    try:
        yield folder.path
    finally:
        folder.remove()


@contextmanager
def _told() -> Iterator[None]:
    """Errors of Ray as ours, of one line.

    Raises:
        BabelviewError: Ray raised one: the cluster is gone, an actor does not come up, there is no memory.
    """
    import ray  # noqa: PLC0415 (optional)
    from ray.exceptions import UserCodeException  # noqa: PLC0415

    try:
        yield
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error  # of a task: its own error
        if isinstance(cause, UserCodeException):
            cause = cause.__cause__ or cause
        lines = str(cause).strip().splitlines() or [""]
        raise BabelviewError(f"the cluster: {type(cause).__name__}: {lines[0]}") from error


def machines(loaders: int | None, concurrency: int) -> Machines:
    """Lay out actors over the cluster that is connected: `concurrency` is the bound of an endpoint, which they share.

    Raises:
        UsageError: no machine has as many CPUs as an actor wants.
    """
    import ray  # noqa: PLC0415 (optional)

    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    able = [count for count in cpus if count]
    each = loaders or min([MOST_LOADERS, *able])
    actors = min(sum(count // each for count in cpus), concurrency)
    if not actors:
        raise UsageError(f"no machine of the cluster has {each} CPUs, as an actor with --loaders {each} wants")
    return Machines(actors, each, concurrency // actors, len(cpus), sum(cpus))


def share(value: T) -> Callable[[], T]:
    """A function that gives actors a value, which is kept once on each machine."""
    import ray  # noqa: PLC0415 (optional)

    return partial(ray.get, ray.put(value))


class InCommon(NamedTuple):
    """What all actors share, by functions that any of them may call; the last is the driver's."""

    limits: Callable[[str, list[Counts]], list[int]] | None
    """`Limits.exchange`; None where there is a single actor."""
    say: Callable[[str, str], None]
    """`Notes.say`"""
    take: Callable[[str], Taken]
    """`Notes.take`"""


def in_common(laid_out: Machines, endpoints: int, concurrency: int) -> InCommon:
    """Start the actor that all others share."""
    import ray  # noqa: PLC0415 (optional)

    shared = ray.remote(num_cpus=0, max_restarts=-1)(Shared).remote(endpoints, concurrency, laid_out.actors)

    def exchange(actor: str, counts: list[Counts]) -> list[int]:
        bounds: list[int] = ray.get(shared.exchange.remote(actor, counts))
        return bounds

    def say(actor: str, line: str) -> None:
        shared.say.remote(actor, line)  # nobody waits for it

    def take(acknowledged: str) -> Taken:
        taken: Taken = ray.get(shared.take.remote(acknowledged), timeout=_TAKE_S)
        return taken

    return InCommon(exchange if laid_out.actors > 1 else None, say, take)


def run(work: Work, wanted: Wanted, laid_out: Machines) -> Generator[dict[str, Any], None, None]:
    """Take all sources through the stages; gives what became of each block, as `client.cluster.worker` counts it.

    Raises:
        UsageError, BabelviewError: an actor met what ends a run. All that was answered is stored.
    """
    import ray  # noqa: PLC0415 (optional)
    import ray.data  # noqa: PLC0415

    warnings.filterwarnings("ignore", module="ray")  # of fewer blocks than actors, which is known
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # each row is a block of its own, which goes on at once
    # Listed where the driver is: begun anew on another machine, it might find other files. Without a CPU: actors have
    # reserved them all.
    listed = ray.data.from_items([0], override_num_blocks=1).map_batches(
        lambda _: ({name: [value] for name, value in row.items()} for row in blocks(wanted, laid_out.actors)),
        batch_size=None,
        num_cpus=0,
        label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
    )
    done = listed.map_batches(
        Worker,
        fn_constructor_args=(work,),
        batch_size=1,
        num_cpus=laid_out.loaders,
        compute=ray.data.ActorPoolStrategy(
            size=laid_out.actors,
            max_tasks_in_flight_per_actor=BLOCKS_AT_ONCE,
            max_concurrent_calls_per_actor=BLOCKS_AT_ONCE,
            enable_true_multi_threading=True,
        ),
    )
    with _told():
        for batch in done.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
            for row in batch["outcome"].to_pylist():
                outcome: dict[str, Any] = orjson.loads(row)
                if "fatal" in outcome:
                    kind = UsageError if outcome["usage"] else ServiceLostError if outcome["lost"] else BabelviewError
                    raise kind(outcome["fatal"])
                yield outcome


def compact(output: str) -> int:
    """Make Parquet of the journal, in tasks of the cluster; returns how many objects it was.

    Raises:
        BabelviewError: something cannot be read or written.
    """
    import ray  # noqa: PLC0415 (optional)

    task = ray.remote(num_cpus=1)(lambda part: compaction.compact(Objects(output), part))
    with _told():
        return sum(ray.get([task.remote(part) for part in (*compaction.DIGITS, SOURCES)]))
