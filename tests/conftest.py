"""What the tests share: one running demo stack a session, because starting vLLM takes a minute; and their order."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import Stack, running_stack
from server.shipped_profiles import PROFILES
from tests import llama_engine, workers
from translator.model.models import prepare

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from scripts.demo.world.pictures import Picture
    from scripts.demo.world.scenes import Clip

# The models here are tiny: threads of one computation would wait for each other for longer than they compute.
os.environ["OMP_NUM_THREADS"] = "1"

# The same cases in each run, however slow the machine.
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

LARGE = ("stack", "imported_vllm")
"""Fixtures that are gone after the last test that uses them: with their processes, not at the end of all tests."""
_LAST = pytest.StashKey[dict[str, str]]()
_RUNNING = pytest.StashKey[dict[str, ExitStack]]()

USERS_OWN = """
import pathlib
(pathlib.Path(__file__).parent / "imported").touch()
raise ImportError("the user's own module was imported")
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the stack of the tests is."""
    parser.addoption("--stack-profile", help="a profile in the place of `demo`: its engines may run on a cluster")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave to another worker what it alone runs."""
    return workers.is_for_another(config, collection_path.name) or None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays, with all that it imports: the garbage collector need not go through it again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that makes each worker import what takes seconds is told."""
    before = set(sys.modules)
    report = yield
    if isinstance(collector, pytest.Module) and (heavy := workers.imported_alone(collector.path.name, before)):
        report.outcome = "failed"
        report.longrepr = f"{collector.path.name} imports {', '.join(sorted(heavy))}: name it in {workers.__file__}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests; without pytest-xdist too."""
    items.sort(key=lambda item: workers.rank(item.path.name))
    last = config.stash[_LAST] = {}
    config.stash[_RUNNING] = {}
    for item in items:
        uses = getattr(item, "fixturenames", ())
        if {"stack", "users_folder"}.intersection(uses) and not workers.has_a_stack(item.path.name):
            raise pytest.UsageError(f"{item.nodeid} uses the demo stack: name its module in {workers.__file__}")
        last.update((name, item.nodeid) for name in LARGE if name in uses)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """End what no further test uses."""
    for name, nodeid in item.config.stash[_LAST].items():
        if nodeid == item.nodeid and (running := item.config.stash[_RUNNING].pop(name, None)):
            running.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> workers.Scheduling:
    """What runs where with pytest-xdist."""
    return workers.Scheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def its_own_environment() -> Iterator[None]:
    """What a module leaves in the environment is not there for the next: vLLM sets `LD_PRELOAD`, which all that is
    started afterwards would load."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def users_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, in which names of ours mean something else; `imported` appears if one of them is imported."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("server.py", "client.py", "translator.py", "prompts/__init__.py", "scripts.py"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(USERS_OWN)
    return folder


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo stack's parts log."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, users_folder: Path, logs: Path) -> Iterator[Stack]:
    """The demo stack: real vLLM, translator and gateway on free ports, started from a user's folder.

    Without its model for sound if all tests of this worker do without.
    """
    options = ["--port", "0", "--translator-port", "0", "--log-dir", str(logs)]
    if chosen := request.config.getoption("--stack-profile"):
        options += ["--profile", chosen]
    elif not any(item.path.name in workers.WITH_THE_STACK for item in request.session.items):
        engine = "[[engines]]"
        rest, *engines = (PROFILES / "demo.toml").read_text().split(engine)
        soundless = users_folder / "soundless.toml"
        soundless.write_text(engine.join([rest, *(one for one in engines if 'task = "transcribe"' not in one)]))
        options += ["--profile", str(soundless)]
    with ExitStack() as running:
        request.config.stash[_RUNNING]["stack"] = running
        yield running.enter_context(running_stack(*options, folder=users_folder))


@pytest.fixture(scope="session")
def imported_vllm(request: pytest.FixtureRequest) -> Iterator[llama_engine.Imported]:
    """A process that has imported vLLM, and forks engines."""
    with ExitStack() as running:
        request.config.stash[_RUNNING]["imported_vllm"] = running
        yield running.enter_context(llama_engine.imported())


@pytest.fixture(scope="session")
def translator_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A cache for translators, of all workers: whoever starts the demo model first converts it."""
    folder = tmp_path_factory.getbasetemp()
    return (folder if worker_id == "master" else folder.parent) / "translators"


@pytest.fixture(scope="session")
def demo_translator(translator_cache: Path) -> Path:
    """The demo model in there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BABELVIEW_CACHE", str(translator_cache))
        return asyncio.run(prepare("demo"))


@pytest.fixture(scope="session")
def sample_ads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Clip | Picture]]:
    """A folder of drawn videos and pictures, and what is true of each file."""
    folder = tmp_path_factory.mktemp("ads")
    return folder, write_ads(folder, seed=11, videos=8, pictures=8)
