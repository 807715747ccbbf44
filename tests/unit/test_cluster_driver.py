"""A run on a cluster from its driver's side, and two actors that ask about the same content, without Ray."""

from __future__ import annotations

import os
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from batch_runs import pictures, run
from clusters import asked_of, do, wanted_of, work_of
from fake_servers import listing as listed

from client.cli.main import main
from client.cluster import driver, listing, lock, records
from client.cluster.address import AUTO, LOCAL
from client.cluster.compaction import DIGITS, compact
from client.cluster.folders import OwnFolder
from client.cluster.journal import JournaledLedger, read_docs
from client.cluster.objects import Objects
from client.cluster.shared import Shared
from client.cluster.tables import Tables
from client.endpoints.completion import Answer
from client.errors import BabelviewError, ServiceLostError, UsageError
from client.ledger.events import AnswerStored, RequestFailed, TranslationsStored
from client.ledger.rows import StoredTranslation
from client.media.kinds import Kind
from client.report import write as report_writer
from client.tasks.plan import UnitRequest
from client.tasks.units import whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_servers import FakeServers


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A driver whose only actor is in this process."""
    monkeypatch.setattr(driver, "connected", lambda _: nullcontext())
    monkeypatch.setattr(driver, "machines", lambda *_: driver.Machines(1, 1, 4, 1, 1))
    monkeypatch.setattr(driver, "share", lambda value: lambda: value)
    shared = Shared(1, 4, 1)
    monkeypatch.setattr(driver, "in_common", lambda *_: driver.InCommon(None, shared.say, shared.take))
    monkeypatch.setattr(driver, "run", lambda work, wanted, _: (outcome for outcome in do(work, wanted)))
    monkeypatch.setattr(driver, "compact", lambda _: 0)
    return monkeypatch


def test_another_actors_answer_is_not_replaced_by_less(tmp_path: Path) -> None:
    objects, plan = Objects(str(tmp_path / "many")), asked_of().plan
    ask = UnitRequest(whole("a" * 64), plan.requests[Kind.IMAGE][0])
    answered = AnswerStored(ask, Answer("A sign.", "stop", 1, 1, 0.1))
    translated = TranslationsStored(ask, {"spa_Latn": StoredTranslation(["Un cartel."], [], {"ok": 1})})
    failed = RequestFailed(ask, "HTTP 500", final=True)

    def stored() -> tuple[Any, ...]:
        (doc,) = read_docs(objects, objects.names("journal"))
        translations = [orjson.loads(row["texts"]) for row in doc["translations"]]
        return doc["answer"]["state"], doc["answer"]["run"], translations  # type: ignore[index]

    def ledger(name: str, run: int) -> Any:
        made = JournaledLedger(tmp_path / name, objects, Tables(objects, []), run, None)
        made.begin_run(plan, [])
        return closing(made)

    with ledger("one", 1) as one, ledger("other", 1) as other, ledger("further", 1) as further:
        other.write([failed])
        assert stored() == ("failed", 1, [])
        one.write([answered])
        other.write([failed])
        assert stored() == ("done", 1, [])
        one.write([translated])
        other.write([failed])
        further.write([answered])
        assert stored() == ("done", 1, [["Un cartel."]])
    with ledger("later", 2) as later:  # which does it again
        later.write([answered])
        assert stored() == ("done", 2, [])


@pytest.mark.parametrize(("cluster", "there"), [("auto", False), ("local", True)])
def test_a_cluster_that_is_not_there_is_told_before_an_endpoint_is_looked_for(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str, there: bool
) -> None:
    """One that is to be started is started last."""

    def connected(_: str) -> Any:
        raise UsageError("no cluster")

    monkeypatch.setattr(driver, "connected", connected)
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--ray", cluster, cwd=tmp_path)
    assert (done.returncode, done.stderr, servers.checked > 0) == (2, "Error: no cluster\n", there)


def raising(error: BaseException) -> Any:
    def raises(*_: Any) -> Any:
        raise error
        yield

    return raises


def last_run(folder: Path) -> records.Run:
    return records.runs_of(Objects(str(folder / "captions")))[-1]


def test_a_compaction_that_fails_is_told_and_the_run_is_kept(
    servers: FakeServers, tmp_path: Path, without_ray: pytest.MonkeyPatch
) -> None:
    def compact(_: str) -> int:
        raise BabelviewError("the disk is full")

    without_ray.setattr(driver, "compact", compact)
    pictures(tmp_path / "ads", 2)
    done = run(servers, "ads", "--ray", "local", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: the journal was not compacted, which the next run does: the disk is full" in done.stderr
    assert last_run(tmp_path)["finished"]
    assert last_run(tmp_path)["stats"]["done"] == 2


@pytest.mark.usefixtures("without_ray")
def test_what_an_actor_has_to_say_is_shown(servers: FakeServers, tmp_path: Path) -> None:
    async def others(*_: Any) -> Any:
        return listed("vllm", "others")

    servers.on_models = others
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--ray", "local", cwd=tmp_path)
    told = [line for line in done.stderr.splitlines() if "which is tried all the same" in line]
    assert (done.returncode, len(told)) == (0, 1)


@pytest.mark.parametrize(
    ("error", "code", "said", "goes_on"),
    [
        (KeyboardInterrupt(), 130, "interrupted; to go on: ", True),
        (ServiceLostError("http://h is away"), 1, "Error: http://h is away\nto go on: ", True),
        (BabelviewError("the cluster: \x1b[2Jgone"), 1, "Error: the cluster: \\x1b[2Jgone\n", False),
    ],
)
def test_what_ends_a_run_is_kept_with_it(
    servers: FakeServers,
    tmp_path: Path,
    without_ray: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    said: str,
    goes_on: bool,
) -> None:
    without_ray.setattr(driver, "run", raising(error))
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--ray", "local", cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert ("to go on: " in done.stderr) is goes_on
    kept = last_run(tmp_path)
    assert (kept["finished"], kept["stats"]["interrupted"]) == (None, code == 130)


@pytest.fixture
def take_over(tmp_path: Path, without_ray: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that is another run, which takes the lock; it comes back once this run has seen that."""
    objects, held = Objects(str(tmp_path / "captions")), list[lock.Lock]()
    without_ray.setattr(lock, "BEAT_S", 0.02)
    without_ray.setattr(lock.Lock, "_read", lambda self: held.append(self) or objects.get([lock.NAME])[lock.NAME])

    def take() -> None:
        while not held or not held[-1].lost:  # a beat that is under way may write over it
            objects.put({lock.NAME: orjson.dumps({"holder": "process 7", "token": "x", "beats": 1})})
            time.sleep(0.01)

    return take


def test_a_run_whose_output_was_taken_over_does_not_begin(
    servers: FakeServers, tmp_path: Path, without_ray: pytest.MonkeyPatch, take_over: Callable[[], None]
) -> None:
    laid_out = driver.machines(None, 1)
    without_ray.setattr(driver, "machines", lambda *_: take_over() or laid_out)
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--ray", "local", cwd=tmp_path)
    assert (done.returncode, "another run has taken" in done.stderr) == (1, True)
    assert Objects(str(tmp_path / "captions")).names("") == [lock.NAME]


@pytest.mark.parametrize("ends", [None, KeyboardInterrupt()])
def test_a_run_whose_output_was_taken_over_leaves_the_others_run_alone(
    servers: FakeServers,
    tmp_path: Path,
    without_ray: pytest.MonkeyPatch,
    take_over: Callable[[], None],
    ends: BaseException | None,
) -> None:
    """It may have the same number."""
    objects = Objects(str(tmp_path / "captions"))

    def taken_over(*_: Any) -> Any:
        take_over()
        records.write(objects, {**records.runs_of(objects)[-1], "stats": {"done": 7}})
        if ends:
            raise ends
        yield from ()

    without_ray.setattr(driver, "run", taken_over)
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--ray", "local", cwd=tmp_path)
    assert done.returncode == (130 if ends else 1), done.stderr
    assert ("another run has taken" in done.stderr) is (ends is None)
    assert (last_run(tmp_path)["finished"], last_run(tmp_path)["stats"]) == (None, {"done": 7})


def test_a_server_that_is_lost_is_told_as_such(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    work = work_of(servers, str(tmp_path / "many"))
    nowhere = {"base_url": "http://127.0.0.1:1/v1", "wait_s": 0.01}
    (outcome,) = do(replace(work, session=work.session | nowhere), wanted_of(str(tmp_path / "ads")))
    assert (outcome["usage"], outcome["lost"]) == (False, True)


def test_errors_of_ray_are_told_in_a_line() -> None:
    from ray.exceptions import RayActorError, RayTaskError, UserCodeException  # noqa: PLC0415  # two seconds

    where = {"proctitle": "actor", "pid": 1, "ip": "127.0.0.1"}
    wrapped = UserCodeException("in a block")
    wrapped.__cause__ = MemoryError("no memory\nat all")
    for error, said in (
        (RayActorError(), "the cluster: RayActorError: The actor experienced an error before finishing this task."),
        (RayTaskError("f", "Traceback\nlong", OSError("no disk"), **where), "the cluster: OSError: no disk"),
        (RayTaskError("f", "Traceback\nlong", wrapped, **where), "the cluster: MemoryError: no memory"),
    ):
        with pytest.raises(BabelviewError) as told, driver._told():
            raise error
        assert str(told.value) == said


def test_an_output_is_one_machines_or_a_clusters(servers: FakeServers, tmp_path: Path) -> None:
    """Else the answers of one of them would hide those of the other."""
    pictures(tmp_path / "ads", 1)
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "ledger.db").touch()
    done = run(servers, "ads", "--ray", "local", cwd=tmp_path)
    assert done.returncode == 2
    assert "captions has the results of one machine (ledger.db): choose another --output" in done.stderr
    (tmp_path / "many" / "runs").mkdir(parents=True)
    done = run(servers, "ads", "--output", "many", cwd=tmp_path)
    assert done.returncode == 2
    assert "many has the results of a cluster: go on with --ray, or choose another --output" in done.stderr
    assert not (tmp_path / "many" / "ledger.db").exists()


def test_what_ray_says_of_a_cluster_is_told_in_our_words() -> None:
    told = driver._why(AUTO, ConnectionError("Could not find any running Ray instance. Please pass --address."))
    assert told == "no cluster runs on this machine; say --ray HOST:PORT of one, or --ray local, which starts one"
    assert driver._why(LOCAL, RuntimeError("no memory.\nat all")) == "no memory"
    assert driver._why("h:6379", RuntimeError("no token")).endswith("wants RAY_AUTH_MODE=token here, too")


def test_ray_is_told_to_keep_what_it_counts_to_itself(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its actor of statistics raises KeyError where a machine is lost, which no run has asked for."""
    import ray  # noqa: PLC0415  # two seconds

    seen: dict[str, str] = {}

    def init(**_: Any) -> None:
        seen.update(os.environ)
        os.write(2, b"Set ray log level from environment variable")
        raise ConnectionError

    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_IGNORE_UNHANDLED_ERRORS", "RAY_BACKEND_LOG_LEVEL"):
        monkeypatch.setenv(name, "")  # what is set meanwhile is gone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UsageError, match="no cluster runs on this machine"), driver.connected(AUTO):
        pass
    os.write(2, b"back")
    assert (seen["RAY_USAGE_STATS_ENABLED"], seen["RAY_IGNORE_UNHANDLED_ERRORS"]) == ("0", "1")
    assert (seen["RAY_BACKEND_LOG_LEVEL"], capfd.readouterr().err) == ("fatal", "back")


def test_a_cluster_of_our_own_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one whose driver was killed, once there is another."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(driver, "_LONGEST_FOLDER", 200)
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_worker_niceness"):
        monkeypatch.setenv(name, "")  # what is set meanwhile is gone afterwards
        monkeypatch.delenv(name)
    killed = OwnFolder("babelview-ray-")
    (killed.path / "logs").mkdir()
    os.close(killed._held)  # as its end does
    with driver._folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert driver._own_cluster(folder) == {"include_dashboard": False, "_temp_dir": str(folder)}
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64  # else Ray writes one to the home folder
        (folder / "logs").mkdir()
    assert not any(tmp_path.iterdir())
    monkeypatch.setattr(driver, "_LONGEST_FOLDER", 1)
    assert driver._own_cluster(folder) == {"include_dashboard": False}


@pytest.mark.parametrize("compacted", [False, True])
def test_the_commands_read_an_output_where_it_lies(
    servers: FakeServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    compacted: bool,
) -> None:
    monkeypatch.setattr(report_writer, "BUNDLE", tmp_path / "page")
    for name in ("index.html", "report.js", "style.css"):
        (tmp_path / "page").mkdir(exist_ok=True)
        (tmp_path / "page" / name).write_text(name)
    output = str(tmp_path / "many")
    do(work_of(servers, output), wanted_of(str(pictures(tmp_path / "ads", 3))))
    if compacted:
        for part in (*DIGITS, records.SOURCES):
            compact(Objects(output), part)
    assert main(["report", output]) == 0
    assert capfd.readouterr().out == f"{output}/report/index.html\n"
    page = Path(output, "report")
    shown = "".join(path.read_text() for path in page.glob("data/*.js"))
    assert '"editable"' not in shown
    for text in (
        '"takes_changes":false',
        '"title":"many"',
        '"media":"./../../ads/0002.png"',
        '"text":"I see 2"',
        '"text":"spa_Latn: I see 2"',
    ):
        assert text in shown
    assert main(["report", output, "--out", str(tmp_path / "a" / "page")]) == 0
    assert '"media":"./../../ads/' in "".join(path.read_text() for path in tmp_path.glob("a/page/data/*.js"))
    capfd.readouterr()
    assert main(["search", "see", output]) == 0
    found, said = capfd.readouterr()
    assert ("0001.png" in found, said) == (True, "3 files\n")
    assert main(["export", output, "--format", "csv"]) == 0
    assert "I see 1" in Path(output, "results.csv").read_text()
    assert not list(tmp_path.glob("many/ledger*"))


def test_relative_paths_begin_where_the_driver_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes have other working folders. Sources are called as they are on one machine."""
    monkeypatch.chdir(tmp_path)
    for folder in ("ads", "lists"):
        (tmp_path / folder).mkdir()
    pictures(tmp_path / "ads" / "more", 2)
    for name in ("lists/list.csv", "top.csv"):
        (tmp_path / name).write_text("file\nads/more/0001.png\n")
    given = ["./ads/more/", "ads", "top.csv", "ads/more/0000.png", str(tmp_path / "ads")]
    wanted = wanted_of(*given, manifests=["lists/list.csv"])
    monkeypatch.chdir("/")
    found = list(listing.stream(wanted))
    names = ["ads/more/0000.png", "ads/more/0001.png", "ads/more/0001.png", "ads/more/0001.png"]
    assert [source.name for source in found] == names
    assert [source.where for source in found] == [str(tmp_path / name) for name in names]


def test_a_manifest_through_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list")
    with pytest.raises(UsageError, match=r"list: a pipe can be read only once: write it to a file, for --ray"):
        listing.check(wanted_of(manifests=[str(tmp_path / "list")]))
