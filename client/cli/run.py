"""A batch run, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from client.cli.dry_run import forecast, lines
from client.cli.log import open_log
from client.cli.progress import Progress
from client.cli.screen import CONTROL, ProgressDisplay
from client.cli.signals import INTERRUPTED, end_in_order
from client.endpoints.chat import ModelClient
from client.endpoints.retry import StoppedError
from client.endpoints.translation import TranslatorClient
from client.errors import BabelviewError, LedgerError, UsageError
from client.export.formats import check, export
from client.export.interim import kept_up_to_date
from client.ledger.ledger import Ledger
from client.ledger.redo import REDO_ALL, REDO_FAILED
from client.pipeline import Pipeline
from client.sources.fetch import FOLDER, Fetcher
from client.sources.folders import Choice
from client.sources.gather import gather
from client.tasks.plan import Plan, make_plan
from client.tasks.tasks import choose_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from client.cli.settings import Settings
    from client.sources.source import Source

DONE, FAILED, USAGE = 0, 1, 2


def run(settings: Settings) -> int:
    """Run a batch; returns the exit code: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted."""
    for warning in settings.warnings:
        print(warning, file=sys.stderr)
    try:
        sources, plan = _prepare(settings)
        if settings.dry_run:
            found, means = forecast(settings.output, sources, plan, settings.redo)
            said = lines(found, means, settings.sampling, settings.prices)
            print("\n".join(line.translate(CONTROL) for line in said))
            return DONE
        with closing(Ledger(settings.output)) as ledger:
            goes_on = ledger.begin_run(plan, sources, settings.redo)
            return asyncio.run(_run(settings, plan, sources, ledger, goes_on=goes_on))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BabelviewError as error:
        return _complain(error)
    except OSError as error:
        return _complain(BabelviewError(f"cannot write to {settings.output}: {error.strerror or error}"))


def _prepare(settings: Settings) -> tuple[list[Source], Plan]:
    """What is asked, and about what; all that can be wrong with it is found before anything starts."""
    check(settings.formats)
    if settings.output.exists() and not settings.output.is_dir():
        raise UsageError(f"--output {settings.output}: is a file, not a folder")
    if not settings.dry_run:
        open_log(settings.log_file, settings.api_key, settings.translator_key)
    tasks = choose_tasks(settings.tasks, settings.questions, settings.prompts)
    if settings.redo is not None and settings.redo not in (REDO_ALL, REDO_FAILED, *(task.name for task in tasks)):
        raise UsageError(f"--redo {settings.redo}: must be failed, all or one of the tasks of this run")
    sources = gather(
        settings.paths,
        settings.manifests,
        column=settings.column,
        choice=Choice(settings.include, settings.exclude),
        leave_out=settings.output,
        warn=lambda text: print(text.translate(CONTROL), file=sys.stderr),
    )
    if not sources:
        raise UsageError(f"no pictures or videos in {', '.join(settings.paths)}{_but(settings)}")
    return sources, make_plan(tasks, settings.models, settings.temperature, settings.sampling, settings.languages)


async def _run(settings: Settings, plan: Plan, sources: list[Source], ledger: Ledger, *, goes_on: bool) -> int:
    tally, stop = Progress(prices=settings.prices), asyncio.Event()
    with ProgressDisplay(tally, quiet=settings.quiet) as screen:
        end_in_order(stop, screen.note, screen.close)
        if goes_on:
            screen.note(f"--redo {settings.redo} goes on where it was interrupted")
        patience: dict[str, Any] = {
            "deadline": settings.timeout_s,
            "wait": settings.wait_s,
            "notify": screen.note,
            "stop": stop,
        }
        model = ModelClient(settings.base_url, settings.api_key, frames_as=settings.frames_as, **patience)
        translator = (
            TranslatorClient(settings.translator, settings.translator_key, **patience) if plan.languages else None
        )
        fetcher = Fetcher(settings.output / FOLDER, settings.max_download_bytes)
        pipeline = Pipeline(
            plan,
            ledger,
            fetcher,
            model,
            translator,
            sampling=settings.sampling,
            concurrency=settings.concurrency,
            loaders=settings.loaders,
            redo=settings.redo,
            tally=tally,
            screen=screen,
            stop=stop,
        )

        def write() -> list[Path]:
            return export(settings.output, settings.formats, _stats(plan, tally, interrupted=stop.is_set()))

        fatal: BabelviewError | None = None
        written: list[Path] = []
        try:
            try:
                async with kept_up_to_date(write), screen.ticking():
                    await pipeline.run(sources)
            except StoppedError:
                pass  # interrupted before anything was asked; `stop` says so
            except BabelviewError as error:
                if isinstance(error, UsageError) and not tally.finished:
                    raise
                fatal = error
            # However it ended: what is done is written, where it can be.
            stats = _stats(plan, tally, interrupted=stop.is_set())
            try:
                ledger.write([lambda it: it.save_stats(stats)])
                if settings.redo and tally.finished == tally.files:
                    ledger.write([lambda it: it.end_redo(str(settings.redo))])
                written = await asyncio.to_thread(export, settings.output, settings.formats)
            except LedgerError as error:
                fatal = fatal or error
            except OSError as error:
                fatal = fatal or BabelviewError(f"cannot write to {settings.output}: {error.strerror or error}")
        finally:
            pipeline.close()
            fetcher.close()
            await model.close()
            if translator:
                await translator.close()
    screen.summary(", ".join(map(str, written)))
    if settings.redo and tally.finished < tally.files:
        screen.note(f"not all is done again yet: --redo {settings.redo} again goes on")
    if fatal:
        return _complain(fatal)
    if stop.is_set():
        return INTERRUPTED
    return FAILED if tally.failures else DONE


def _but(settings: Settings) -> str:
    return " that --include and --exclude let through" if settings.include or settings.exclude else ""


def _stats(plan: Plan, tally: Progress, *, interrupted: bool) -> dict[str, Any]:
    """The `stats` of results.json, for this run alone; `mean_time_per_file_sec` is wall time."""
    seconds = tally.seconds
    fresh = tally.finished - tally.reused
    return {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": {kind.value: model for kind, model in plan.models.items()},
        "temperature": plan.temperature,
        "languages": list(plan.languages),
        "files": tally.files,
        "done": tally.done,
        "done_earlier": tally.reused,
        "failures": len(tally.failures),
        "unfinished": tally.files - tally.finished,
        "interrupted": interrupted,
        "wall_time_sec": round(seconds, 3),
        "mean_time_per_file_sec": round(seconds / fresh, 3) if fresh else None,
        "files_per_sec": round(fresh / seconds, 3),
        "requests": tally.requests,
        "requests_failed": tally.requests_failed,
        "prompt_tokens": tally.prompt_tokens,
        "generated_tokens": tally.generated_tokens,
        "tokens_per_sec": round(tally.generated_tokens / seconds, 1),
        **(
            {} if tally.cost is None else {"cost": round(tally.cost, 6), "prices_per_million": list(tally.prices or ())}
        ),
    }


def _complain(error: BabelviewError) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return USAGE if isinstance(error, UsageError) else FAILED
