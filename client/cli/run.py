"""A batch run, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from client.cli.listening import could_hear, heard_before, serves_speech
from client.cli.log import open_log
from client.cli.progress import Progress
from client.cli.screen import CONTROL, ProgressDisplay
from client.cli.signals import INTERRUPTED, end_in_order
from client.cli.stats import run_stats
from client.endpoints.chat import ModelClient
from client.endpoints.glossary import read_glossary
from client.endpoints.proxy import proxy_of
from client.endpoints.speech import SpeechClient
from client.endpoints.translation import TranslatorClient
from client.errors import AuthError, BabelviewError, ServiceLostError, StoppedError, UsageError
from client.export.formats import check, export
from client.export.interim import kept_up_to_date
from client.hints import did_you_mean
from client.ledger.events import RedoEnded, RunEnded
from client.ledger.ledger import Ledger
from client.ledger.redo import REDO_ALL, REDO_DOUBTFUL, REDO_FAILED
from client.media.thumbnail_folder import Thumbnails
from client.pipeline import Pipeline
from client.report.write import check_built, write_report
from client.sources.fetch import FOLDER, Fetcher
from client.sources.folders import Choice
from client.sources.gather import gather
from client.tasks.plan import Plan, make_plan
from client.tasks.steps import audio
from client.tasks.tasks import TRANSCRIPT, choose_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from client.cli.settings import Settings
    from client.endpoints.retry import Waiting
    from client.media.loaders import ForkServer
    from client.sources.source import Source
    from client.tasks.tasks import Task

DONE, FAILED, USAGE = 0, 1, 2
_SHOWN_KINDS = 6


class _Work(NamedTuple):
    """The sources and the plan of a run."""

    sources: list[Source]
    plan: Plan
    heard: Plan | None
    """The plan to follow instead where a speech model is served; None where that makes no difference, or is decided."""
    passed_over: str
    """The files of folders that are neither picture nor video, in words; empty where there are none."""
    glossary: list[Any]
    """Terms of translations."""


def run(settings: Settings, fork_server: ForkServer) -> int:
    """Run a batch; returns the exit code: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted.

    Files are decoded by processes of the `fork_server`.
    """
    for warning in settings.warnings:
        _say(warning)
    try:
        work = _prepare(settings)
        if settings.dry_run:
            _dry_run(settings, work)
            return DONE
        if work.passed_over and not settings.quiet:
            _say(work.passed_over)
        with closing(Ledger(settings.output)) as ledger:
            return asyncio.run(_run(settings, work, ledger, fork_server))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BabelviewError as error:
        return _complain(error)
    except OSError as error:
        return _complain(_unwritable(settings, error))


def _prepare(settings: Settings) -> _Work:
    """Gather sources and plan; what is wrong with the settings is found here, before anything starts.

    Raises:
        UsageError: something is.
    """
    check(settings.formats)
    if settings.report:
        check_built()
    if settings.output.exists() and not settings.output.is_dir():
        raise UsageError(f"--output {settings.output}: is a file, not a folder")
    if not settings.dry_run:
        open_log(settings.log_file, settings.api_key, settings.translator_key)
    for address in (settings.base_url, settings.translator):
        proxy_of(address)
    tasks = _tasks(settings, hear=bool(settings.hear))
    hears = any(task.hears for task in tasks)
    if settings.window and not any(task.over_time for task in tasks):
        named = ", ".join(task.name for task in tasks)
        raise UsageError(
            f"--window and --stride are for tasks over time, such as captions; {named} is about whole files"
        )
    known = (REDO_FAILED, REDO_DOUBTFUL, REDO_ALL, *(task.name for task in tasks))
    if settings.redo is not None and settings.redo not in known:
        hint = did_you_mean(settings.redo, known)
        raise UsageError(f"--redo {settings.redo}{hint}: must be failed, doubtful, all or one of the tasks of this run")
    glossary = read_glossary(settings.glossary) if settings.glossary else []
    others = Counter[str]()
    sources = gather(
        settings.paths,
        settings.manifests,
        column=settings.column,
        choice=Choice(settings.include, settings.exclude, sound=any(task.hears for task in _tasks(settings))),
        leave_out=settings.output,
        warn=_say,
        passed_over=others,
    )
    passed_over = _passed_over(others)
    if not sources:
        but = " that --include and --exclude let through" if settings.include or settings.exclude else ""
        more = f" ({passed_over})" if passed_over else ""
        sound = ", and no sound" if hears else ""
        raise UsageError(f"no pictures or videos{sound} in {', '.join(settings.paths)}{but}{more}")
    plan = _plan(settings, hear=bool(settings.hear))
    heard = _plan(settings, hear=True) if settings.hear is None else None
    if heard and not could_hear(heard, sources):
        heard = None
    if settings.sound and not (hears or heard):
        raise UsageError("--audio-track and --word-times are for --hear, and for tasks about sound, such as transcript")
    return _Work(sources, plan, heard, passed_over, glossary)


def _tasks(settings: Settings, *, hear: bool = False) -> list[Task]:
    """What is asked; a run that is to `hear` has the transcript of what is said too."""
    names = [*settings.tasks, *([TRANSCRIPT] if hear and TRANSCRIPT not in settings.tasks else [])]
    return choose_tasks(names, settings.questions, settings.prompts, settings.window, settings.sound)


def _plan(settings: Settings, *, hear: bool) -> Plan:
    return make_plan(
        _tasks(settings, hear=hear),
        settings.models,
        settings.temperature,
        settings.sampling,
        settings.languages,
        text_model=settings.text_model,
        speech_model=settings.speech_model,
        sound=(settings.sound or audio()) if hear else None,
        aside=[] if TRANSCRIPT in settings.tasks else [TRANSCRIPT],
        merge_characters=settings.merge_characters,
    )


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

    goes_on = work.heard and heard_before(work.heard, last_plan_of(settings.output))
    plan = work.heard if work.heard and goes_on else work.plan
    found, means = dry_run(settings.output, work.sources, plan, settings.redo, settings.animated)
    said = [*lines(found, means, settings.sampling, settings.prices)]
    if work.passed_over:
        said.insert(1, work.passed_over)
    print("\n".join(line.translate(CONTROL) for line in said))


async def _run(settings: Settings, work: _Work, ledger: Ledger, fork_server: ForkServer) -> int:
    progress, stop = Progress(prices=settings.prices), asyncio.Event()
    with ProgressDisplay(progress, quiet=settings.quiet) as display:

        def tell_how_to_go_on() -> None:
            again = f"not all is done again yet, --redo {settings.redo} again goes on" if settings.redo else "to go on"
            display.note(f"{again}: {settings.command_line}")

        def leave() -> None:
            display.close()
            tell_how_to_go_on()

        end_in_order(asyncio.get_running_loop(), stop, note=display.note, leave=leave)
        try:
            plan = await _chosen(settings, work, ledger, display, stop)
        except StoppedError:
            tell_how_to_go_on()
            return INTERRUPTED
        except BabelviewError as error:
            if _may_come_back(error):
                tell_how_to_go_on()
            raise
        if ledger.begin_run(plan, work.sources, settings.redo):
            display.note(f"--redo {settings.redo} goes on where it was interrupted")

        def write() -> list[Path]:
            if ledger.unchanged:  # it may yet be taken back
                return []
            return _export(settings, run_stats(plan, progress, interrupted=stop.is_set()))

        async with _pipeline(
            settings, plan, work.glossary, ledger, fork_server, progress=progress, display=display, stop=stop
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
                written = await _write(settings, plan, ledger, progress, interrupted=stop.is_set())
            except BabelviewError as error:
                written, fatal = [], fatal or error
    display.summary(", ".join(map(str, written)))
    code = _complain(fatal) if fatal else FAILED if progress.failures or progress.unasked else DONE
    if progress.finished < progress.files and (stop.is_set() if fatal is None else _may_come_back(fatal)):
        tell_how_to_go_on()
    return INTERRUPTED if stop.is_set() and not fatal else code


def _may_come_back(error: BabelviewError) -> bool:
    """Whether the same command may do where this ended it: a server was lost, and not for a wrong key (HTTP 401)."""
    refused = isinstance(error.__cause__, AuthError) and error.__cause__.certain
    return isinstance(error, ServiceLostError) and not refused


async def _chosen(
    settings: Settings, work: _Work, ledger: Ledger, display: ProgressDisplay, stop: asyncio.Event
) -> Plan:
    """The plan to follow: that of a run that hears, where nobody has said so, if this is one.

    Raises:
        BabelviewError: the endpoint, which has to be asked for that, is not there, or is none.
        StoppedError: the run was stopped meanwhile.
    """
    if work.heard is None:
        return work.plan
    before = heard_before(work.heard, ledger.last_plan())
    if before is not None:
        return work.heard if before else work.plan
    if not await serves_speech(settings, _waiting(settings, display, stop)):
        return work.plan
    display.note(f"videos are heard first, by {settings.speech_model} (--no-hear leaves that out)")
    return work.heard


def _waiting(settings: Settings, display: ProgressDisplay, stop: asyncio.Event) -> Waiting:
    return {
        "deadline_s": settings.timeout_s,
        "wait_s": settings.wait_s,
        "notify": display.note,
        "stop": stop,
    }


@asynccontextmanager
async def _pipeline(
    settings: Settings,
    plan: Plan,
    glossary: list[Any],
    ledger: Ledger,
    fork_server: ForkServer,
    *,
    progress: Progress,
    display: ProgressDisplay,
    stop: asyncio.Event,
) -> AsyncIterator[Pipeline]:
    """A pipeline and its clients, which are closed in the end."""
    waiting = _waiting(settings, display, stop)
    model = ModelClient(settings.base_url, settings.api_key, frames_as=settings.frames_as, **waiting)
    translator = (
        TranslatorClient(settings.translator, settings.translator_key, glossary=glossary, **waiting)
        if plan.languages
        else None
    )
    speech = SpeechClient(settings.base_url, settings.api_key, **waiting)
    fetcher = Fetcher(settings.output / FOLDER, settings.max_download_bytes, settings.animated)
    pipeline = Pipeline(
        plan,
        ledger,
        fetcher,
        model,
        translator,
        speech=speech,
        sampling=settings.sampling,
        concurrency=settings.concurrency,
        loaders=settings.loaders,
        ask_once=settings.ask_once,
        redo=settings.redo,
        progress=progress,
        refresh=display.update,
        notify=display.note,
        stop=stop,
        thumbnails=Thumbnails(settings.output) if settings.thumbnails else None,
        fork_server=fork_server,
    )
    try:
        yield pipeline
    finally:
        pipeline.close()
        await fetcher.close()
        await model.close()
        await speech.close()
        if translator:
            await translator.close()


async def _write(
    settings: Settings, plan: Plan, ledger: Ledger, progress: Progress, *, interrupted: bool
) -> list[Path]:
    """Write what is done, however the run ended; gives the files of results.

    Raises:
        BabelviewError: the ledger or a file of results cannot be written.
    """
    stats = run_stats(plan, progress, interrupted=interrupted)
    try:
        if ledger.run is not None:
            ledger.apply(RunEnded(stats))
        if settings.redo and progress.finished == progress.files:
            ledger.apply(RedoEnded(settings.redo))
        return await asyncio.to_thread(_export, settings)
    except OSError as error:
        raise _unwritable(settings, error) from error


def _export(settings: Settings, stats: dict[str, Any] | None = None) -> list[Path]:
    """Write all that was asked for; `stats` stand for those that the ledger gets at the end of a run."""
    written = export(settings.output, settings.formats, stats, only_run=settings.only_run)
    return [*written, write_report(settings.output, only_run=settings.only_run)] if settings.report else written


def _unwritable(settings: Settings, error: OSError) -> BabelviewError:
    return BabelviewError(f"cannot write to {settings.output}: {error.strerror or error}")


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it, or the disk is full: no reason not to run
        print(text.translate(CONTROL), file=sys.stderr)


def _complain(error: BabelviewError) -> int:
    with suppress(OSError):
        print(f"Error: {error}", file=sys.stderr)
    return USAGE if isinstance(error, UsageError) else FAILED
