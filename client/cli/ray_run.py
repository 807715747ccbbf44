"""A batch run on a Ray cluster, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

from client.api.options import SOUND_UNUSED, check_redo, plan_of
from client.api.session import Session
from client.cli.lines import in_lines
from client.cli.listening import heard_before, serves_speech
from client.cli.log import open_log
from client.cli.progress import Progress, rate
from client.cli.screen import ProgressDisplay
from client.cli.signals import INTERRUPTED
from client.cli.stats import run_stats
from client.cluster import driver, listing, records
from client.cluster.address import LOCAL, check_address
from client.cluster.lock import Lock
from client.cluster.notes import showing
from client.cluster.objects import Objects
from client.cluster.ownership import check_not_of_machine
from client.cluster.tables import Tables
from client.cluster.worker import Work
from client.endpoints.addresses import endpoint_addresses
from client.errors import BabelviewError, LedgerError, RequestError, ServiceLostError, StoppedError, UsageError
from client.media.kinds import Kind
from client.sources.folders import Choice

if TYPE_CHECKING:
    from client.api.options import Asked
    from client.cli.settings import Settings

DONE, FAILED, USAGE = 0, 1, 2


class ClusterProgress(Progress):
    """The counts of a run that does not know how many files there are before all of them are listed."""

    def add(self, outcome: dict[str, Any]) -> None:
        """Count what became of a block."""
        for name in ("done", "reused", "requests", "requests_failed", "prompt_tokens", "generated_tokens"):
            setattr(self, name, getattr(self, name) + outcome[name])
        self.verdicts.update(outcome["verdicts"])
        self.failures += [(name, reason) for name, reason in outcome["failures"]]
        self.unasked.update({Kind(kind): count for kind, count in outcome["unasked"].items()})

    def lines(self) -> list[str]:
        """Those of one machine, without what takes the number of files."""
        files_per_sec, tokens_per_sec = self.pace()
        minutes, rest_s = divmod(round(self.seconds), 60)
        return [
            f"{minutes}:{rest_s:02}",
            f"{self.done:,} files done, {len(self.failures):,} failed",
            f"{self.requests - self.requests_failed:,} requests done, {self.requests_failed:,} failed",
            f"{rate(files_per_sec)} files/s, {rate(tokens_per_sec)} tokens/s",
            self.spent(),
        ]


def run_on_ray(settings: Settings) -> int:
    """Run a batch; returns the exit code, as of one machine."""
    open_log(None)  # what happens is told in our own words
    for warning in settings.warnings:
        _say(warning)
    cluster = settings.ray or LOCAL
    try:
        driver.check_installed()
        check_address(cluster)
        check_not_of_machine(settings.output_uri)
        objects = Objects(settings.output_uri)
        with ExitStack() as stack:
            if cluster != LOCAL:  # that there is none is known at once, whether there is an endpoint may take long
                _join(cluster, stack)
            wanted, asked = _prepare(settings, objects)
            if cluster == LOCAL:
                _join(cluster, stack)
            lock = stack.enter_context(Lock(objects, _say))
            return _run(settings, objects, wanted, asked, lock)
    except KeyboardInterrupt:
        _say(f"interrupted; to go on: {settings.command_line}")
        return INTERRUPTED
    except BabelviewError as error:
        _say(f"Error: {error}")
        if isinstance(error, ServiceLostError) and error.may_come_back:
            _say(f"to go on: {settings.command_line}")
        return USAGE if isinstance(error, UsageError) else FAILED


def _join(cluster: str, stack: ExitStack) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stack.enter_context(driver.connected(cluster))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray has set its own


def _prepare(settings: Settings, objects: Objects) -> tuple[listing.Wanted, Asked]:
    """What is wrong with the settings is found here, before anything starts.

    Raises:
        UsageError: something is.
        LedgerError: the output cannot be read.
        ServiceLostError: whether the endpoint hears has to be asked, and it is not there.
    """
    session = settings.session(Session)
    session.notify = _say
    options = settings.options()
    asked = plan_of(options, session.models, may_hear=settings.hear is None)
    if settings.hear is None:
        heard = plan_of({**options, "hear": True}, session.models)
        runs = records.runs_of(objects)
        before = heard_before(heard.plan, records.plan_of(runs[-1] if runs else None))
        hears_anything = heard.plan != asked.plan
        if hears_anything and (before if before is not None else asyncio.run(_serves(session, settings.speech_model))):
            asked = heard
    check_redo(settings.redo, asked.tasks)
    if settings.sound and not any(task.hears for task in asked.tasks):
        raise UsageError(SOUND_UNUSED)
    choice = Choice(settings.include, settings.exclude, sound=asked.takes_sound)
    wanted = listing.Wanted(settings.paths, settings.manifests, settings.column, choice, os.getcwd())  # noqa: PTH109
    listing.check(wanted)
    asyncio.run(_look_at_servers(settings, asked))
    return wanted, asked


async def _look_at_servers(settings: Settings, asked: Asked) -> None:
    """Refuse here what each of the actors would refuse once there is a cluster.

    An endpoint that is away, they wait for: that is told at once, as on one machine, and not when there is a cluster.

    Raises:
        UsageError: the translator does not know a language, or there is no endpoint at the address.
    """
    waits_for_endpoint = False

    def note(text: str, /) -> None:
        if waits_for_endpoint:  # all else the actors tell, too
            _say(text)
            session.stopping.set()

    session = Session(**settings.session_settings(), notify=note)
    async with session:
        with suppress(ServiceLostError, RequestError, StoppedError):
            if asked.plan.languages:
                await session.check_languages(asked.plan.languages)
            waits_for_endpoint = True
            await session.opened.model.check(set())


async def _serves(session: Session, speech_model: str) -> bool:
    async with session:
        return await serves_speech(session.opened.model, speech_model)


def _run(settings: Settings, objects: Objects, wanted: listing.Wanted, asked: Asked, lock: Lock) -> int:
    progress = ClusterProgress(prices=settings.prices)
    runs, tables = records.runs_of(objects), Tables(objects)
    with ProgressDisplay(progress, quiet=settings.quiet) as display:
        laid_out = driver.machines(settings.loaders if settings.own_loaders else None, settings.concurrency)
        if not settings.quiet:
            display.note(
                f"machines: {laid_out.nodes}, CPUs: {laid_out.cpus}, actors: {laid_out.actors}; "
                f"each has {laid_out.loaders} loaders "
                f"and {laid_out.at_once} requests in flight to an endpoint"
            )
        lock.check()
        run = records.begin(objects, runs, asked.plan, settings.redo)
        earlier = records.gone_on_with(runs, run)
        given = settings.session_settings() | {"concurrency": laid_out.at_once, "loaders": laid_out.loaders}
        glossary = given.pop("glossary")
        common = driver.in_common(laid_out, len(endpoint_addresses(settings.base_url)), settings.concurrency)
        work = Work(
            asked=asked,
            session=given,
            glossary=(glossary.name, glossary.read_bytes()) if glossary else None,
            output=objects.uri,
            run=run["id"],
            redo=settings.redo,
            redo_run=earlier[-1]["id"] if settings.redo and earlier else None,
            tables=tables.names,
            done=driver.share(records.done_by(objects, tables, earlier)),
            limits=common.limits,
            say=common.say,
        )
        ended: BabelviewError | KeyboardInterrupt | None = None
        try:
            with showing(common.take, display.note), closing(driver.run(work, wanted, laid_out)) as outcomes:
                for outcome in outcomes:
                    lock.check()
                    progress.add(outcome)
                    display.update()
            lock.check()
        except (BabelviewError, KeyboardInterrupt) as error:
            ended = error
        progress.files = progress.finished
        run["stats"] = run_stats(asked.plan, progress, interrupted=isinstance(ended, KeyboardInterrupt))
        if ended is None:
            run["finished"] = time.time()
        if not lock.lost:  # else the number may be that of the other's run
            with suppress(*(() if ended is None else (LedgerError,))):  # what ended the run is told, not this
                records.write(objects, run)
        if ended is None:
            try:
                driver.compact(objects.uri)
            except BabelviewError as error:
                display.note(f"warning: the journal was not compacted, which the next run does: {error}")
    display.summary("")
    if ended is None:
        _say(f"results: {objects.shown} (babelview export writes them in any format)")
        return FAILED if progress.failures or progress.unasked else DONE
    raise ended


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it, or the disk is full: no reason not to run
        print(in_lines(text), file=sys.stderr)
