"""A batch run, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from client.api.options import SOUND_UNUSED, check_redo, plan_of
from client.api.session import Session
from client.cli.lines import CONTROL, in_lines
from client.cli.listening import could_hear, heard_before, serves_speech
from client.cli.log import open_log
from client.cli.progress import Progress
from client.cli.screen import ProgressDisplay
from client.cli.signals import CLOSED_PIPE, INTERRUPTED, end_in_order, nobody_reads
from client.cli.stats import run_stats
from client.cluster.ownership import check_not_of_cluster
from client.errors import BabelviewError, DecodersLostError, ServiceLostError, StoppedError, UsageError
from client.export.formats import check, export
from client.export.interim import kept_up_to_date
from client.ledger.events import RedoEnded, RunEnded
from client.ledger.ledger import Ledger
from client.media.thumbnail_folder import Thumbnails
from client.report.write import FOLDER, INDEX, ReportWriter, check_built, check_place
from client.sources.folders import Choice
from client.sources.gather import gather

if TYPE_CHECKING:
    from pathlib import Path

    from client.api.options import Asked
    from client.cli.settings import Settings
    from client.media.fork_server import ForkServer
    from client.sources.source import Source

DONE, FAILED, USAGE = 0, 1, 2
_SHOWN_KINDS = 6
REPORT_FIRST_S = 10.0
"""After which the report is written during a run; of one that was killed earlier, `babelview report` makes it."""


class _Work(NamedTuple):
    """The servers of a run, its sources, and what is asked about them."""

    session: Session
    sources: list[Source]
    asked: Asked
    heard: Asked | None
    """What is asked instead where a speech model is served; None where that makes no difference, or is decided."""
    passed_over: str
    """The files of folders that are neither picture nor video, in words; empty where there are none."""


def run(settings: Settings, fork_server: ForkServer) -> int:
    """Run a batch; returns the exit code: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted.

    Files are decoded by processes of the `fork_server`.
    """
    for warning in settings.warnings:
        _say(warning)
    try:
        work = _prepare(settings, fork_server)
        check_not_of_cluster(settings.output)
        if settings.dry_run:
            _dry_run(settings, work)
            return DONE
        if work.passed_over and not settings.quiet:
            _say(work.passed_over)
        with closing(Ledger(settings.output)) as ledger:
            return asyncio.run(_run(settings, work, ledger))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BabelviewError as error:
        return _complain(error)
    except BrokenPipeError:  # of --dry-run
        if not nobody_reads():
            raise
        return CLOSED_PIPE
    except OSError as error:
        return _complain(_unwritable(settings, error))


def _prepare(settings: Settings, fork_server: ForkServer) -> _Work:
    """Gather sources and plan; what is wrong with the settings is found here, before anything starts.

    Raises:
        UsageError: something is.
    """
    check(settings.formats)
    if settings.report:
        check_built()
        check_place(settings.output)
    if settings.output.exists() and not settings.output.is_dir():
        raise UsageError(f"--output {settings.output}: is a file, not a folder")
    if not settings.dry_run:
        open_log(settings.log_file, settings.api_key, settings.translator_key)
    session = settings.session(Session, fork_server)
    options = settings.options()
    asked = plan_of(options, session.models, may_hear=settings.hear is None)
    check_redo(settings.redo, asked.tasks)
    others = Counter[str]()
    sources = gather(
        settings.paths,
        settings.manifests,
        column=settings.column,
        choice=Choice(settings.include, settings.exclude, sound=asked.takes_sound),
        leave_out=settings.output,
        warn=_say,
        passed_over=others,
    )
    passed_over = _passed_over(others)
    if not sources:
        but = " that --include and --exclude let through" if settings.include or settings.exclude else ""
        more = f" ({passed_over})" if passed_over else ""
        sound = ", and no sound" if any(task.hears for task in asked.tasks) else ""
        raise UsageError(f"no pictures or videos{sound} in {', '.join(settings.paths)}{but}{more}")
    heard = plan_of({**options, "hear": True}, session.models) if settings.hear is None else None
    if heard and not could_hear(heard.plan, sources):
        heard = None
    if settings.sound and not heard and not any(task.hears for task in asked.tasks):
        raise UsageError(SOUND_UNUSED)
    return _Work(session, sources, asked, heard, passed_over)


def _passed_over(others: Counter[str]) -> str:
    """Other files of folders, by kind: "5 others passed over: 3 .pdf, 2 without a suffix"."""
    if not others:
        return ""
    kinds = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in others.most_common(_SHOWN_KINDS)]
    if len(others) > _SHOWN_KINDS:
        kinds.append(f"{len(others) - _SHOWN_KINDS} more kinds")
    total = others.total()
    return f"{total:,} other{'s' * (total != 1)} passed over: {', '.join(kinds)}"


def _dry_run(settings: Settings, work: _Work) -> None:
    from client.cli.dry_run import dry_run, last_plan_of, lines  # noqa: PLC0415  # decoders, which a run has elsewhere

    goes_on = work.heard and heard_before(work.heard.plan, last_plan_of(settings.output))
    plan = work.heard.plan if work.heard and goes_on else work.asked.plan
    found, means = dry_run(settings.output, work.sources, plan, settings.redo, settings.animated)
    said = [*lines(found, means, settings.sampling, settings.prices)]
    if work.passed_over:
        said.insert(1, work.passed_over)
    print("\n".join(line.translate(CONTROL) for line in said), flush=True)


async def _run(settings: Settings, work: _Work, ledger: Ledger) -> int:
    progress, stop = Progress(prices=settings.prices), work.session.stopping
    with ProgressDisplay(progress, quiet=settings.quiet) as display:

        def tell_how_to_go_on() -> None:
            again = f"not all is done again yet, --redo {settings.redo} again goes on" if settings.redo else "to go on"
            display.note(f"{again}: {settings.command_line}")

        def leave() -> None:
            display.close()
            tell_how_to_go_on()

        end_in_order(asyncio.get_running_loop(), stop, note=display.note, leave=leave)
        work.session.notify = display.note
        async with work.session:
            try:
                asked = await _chosen(settings, work, ledger, display)
            except StoppedError:
                tell_how_to_go_on()
                return INTERRUPTED
            except BabelviewError as error:
                if _may_come_back(error):
                    tell_how_to_go_on()
                raise
            if ledger.begin_run(asked.plan, work.sources, settings.redo):
                display.note(f"--redo {settings.redo} goes on where it was interrupted")

            began = time.monotonic()
            thumbnails, report = _shown(settings)

            def write() -> list[Path]:
                if ledger.unchanged:  # it may yet be taken back
                    return []
                is_due = report and time.monotonic() - began >= REPORT_FIRST_S and report.is_cheap
                return _export(settings, stats(), report=report if is_due else None)

            def stats() -> dict[str, Any]:
                return run_stats(asked.plan, progress, interrupted=stop.is_set())

            async with work.session.pipeline(
                asked,
                ledger,
                settings.output,
                progress=progress,
                refresh=display.update,
                redo=settings.redo,
                thumbnails=thumbnails,
            ) as pipeline:
                fatal: BabelviewError | None = None
                try:
                    async with kept_up_to_date(write), display.ticking():
                        await pipeline.run(work.sources)
                except StoppedError:
                    pass  # interrupted before anything was asked; `stop` says so
                except BabelviewError as error:
                    if isinstance(error, UsageError) and ledger.undo_run():
                        raise  # the folder is as it was
                    fatal = error
                try:
                    if stop.is_set() and ledger.unchanged and progress.finished < progress.files:
                        ledger.undo_run()
                    written = await _write(settings, ledger, progress, stats(), report)
                except BabelviewError as error:
                    written, fatal = [], fatal or error
    display.summary(", ".join(map(str, written)))
    code = _complain(fatal) if fatal else FAILED if progress.failures or progress.unasked else DONE
    if progress.finished < progress.files and (stop.is_set() if fatal is None else _may_come_back(fatal)):
        tell_how_to_go_on()
    return INTERRUPTED if stop.is_set() and not fatal else code


def _may_come_back(error: BabelviewError) -> bool:
    """Whether the same command may do where this ended it: a server was lost, and not for a wrong key (HTTP 401)."""
    return isinstance(error, DecodersLostError) or (isinstance(error, ServiceLostError) and error.may_come_back)


async def _chosen(settings: Settings, work: _Work, ledger: Ledger, display: ProgressDisplay) -> Asked:
    """What to ask: as a run that hears, where nobody has said so, if this is one.

    Raises:
        BabelviewError: the endpoint, which has to be asked for that, is not there, or is none.
        StoppedError: the run was stopped meanwhile.
    """
    if work.heard is None:
        return work.asked
    before = heard_before(work.heard.plan, ledger.last_plan())
    if before is not None:
        if not before:
            display.note("videos are not heard, as in the last run here (--hear hears them)")
        return work.heard if before else work.asked
    if not await serves_speech(work.session.opened.model, settings.speech_model):
        return work.asked
    display.note(f"videos are heard too, by {settings.speech_model} (--no-hear leaves that out)")
    return work.heard


def _shown(settings: Settings) -> tuple[Thumbnails | None, ReportWriter | None]:
    """What keeps thumbnails and what writes the report; None where that is not wanted."""
    thumbnails = Thumbnails(settings.output, remembers=settings.report) if settings.thumbnails else None
    own_packs = thumbnails.own_packs if thumbnails else None
    return thumbnails, ReportWriter(settings.output, own_packs=own_packs) if settings.report else None


async def _write(
    settings: Settings, ledger: Ledger, progress: Progress, stats: dict[str, Any], report: ReportWriter | None
) -> list[Path]:
    """Write what is done, however the run ended; gives the files of results.

    Raises:
        BabelviewError: the ledger or a file of results cannot be written.
    """
    try:
        if ledger.run is not None:
            ledger.apply(RunEnded(stats))
        if settings.redo and progress.finished == progress.files:
            ledger.apply(RedoEnded(settings.redo))
        return await asyncio.to_thread(_export, settings, report=report)
    except OSError as error:
        raise _unwritable(settings, error) from error


def _export(
    settings: Settings, stats: dict[str, Any] | None = None, *, report: ReportWriter | None = None
) -> list[Path]:
    """Write the results, and the report; `stats` stand for those that the ledger gets at the end of a run."""
    also = [report.writing] if report else []
    written = export(settings.output, settings.formats, stats, only_run=settings.only_run, also=also)
    return [*written, settings.output / FOLDER / INDEX] if report else written


def _unwritable(settings: Settings, error: OSError) -> BabelviewError:
    return BabelviewError(f"cannot write to {error.filename or settings.output}: {error.strerror or error}")


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it, or the disk is full: no reason not to run
        print(in_lines(text), file=sys.stderr)


def _complain(error: BabelviewError) -> int:
    _say(f"Error: {error}")
    return USAGE if isinstance(error, UsageError) else FAILED
