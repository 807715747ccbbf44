"""The way of a file: discovered, loaded, asked about, translated, stored.

    sources -> find -> found -> load -> questions -> ask -> answers -> translate
                 \\                \\                    \\               \\
                  `----------------`------ changes ------`---------------`-> store

Each arrow but the last is a bounded queue: no stage runs far ahead of the next one, so memory does not grow
with the number of files. (Answers are short: a translator that is away holds up nobody.) Finding (hashing,
fetching) uses threads, loading processes (decoders may crash), asking and translating are tasks that wait for
servers. A task takes its next request only when the ledger has the answer to the last one: so a killed run has
to ask again what was in flight, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from client.endpoints.retry import StoppedError
from client.endpoints.translation import to_store
from client.errors import BabelviewError, MediaError, RefusedError, RequestError, ServiceLostError, UnreadError
from client.job import Job
from client.ledger.ledger import Ledger
from client.ledger.rows import StoredAnswer
from client.ledger.writer import Writer
from client.media.kinds import by_suffix
from client.media.loaders import Loaders
from client.sources.fetch import FETCHED_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from client.cli.progress import Progress
    from client.cli.screen import ProgressDisplay
    from client.endpoints.chat import Answer, ModelClient
    from client.endpoints.translation import TranslatorClient
    from client.ledger.writer import Change
    from client.media.content import Content
    from client.media.kinds import Kind
    from client.media.load import Identity
    from client.media.sampling import Sampling
    from client.sources.fetch import Fetcher
    from client.sources.source import LocalFile, Source
    from client.tasks.plan import Plan, Request

T = TypeVar("T")

logger = logging.getLogger(__name__)

FOUND_AT_ONCE = 8
"""Local files that are looked at, or wait for the loaders, at the same time."""
TRANSLATIONS_AT_ONCE = 16
GRACE_SEC = 5.0
"""How long requests in flight may still take when the run is interrupted."""


class Pipeline:
    """One run over many files."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        fetcher: Fetcher,
        model: ModelClient,
        translator: TranslatorClient | None,
        *,
        sampling: Sampling,
        concurrency: int,
        loaders: int,
        redo: str | None,
        tally: Progress,
        screen: ProgressDisplay,
        stop: asyncio.Event,
    ) -> None:
        """`concurrency` requests in flight, `loaders` files decoded at once; setting `stop` ends the run early."""
        self._plan, self._ledger, self._fetcher = plan, ledger, fetcher
        self._model, self._translator = model, translator
        self._sampling, self._concurrency, self._redo = sampling, concurrency, redo
        self._tally, self._screen, self._stop = tally, screen, stop
        self._loaders = Loaders(loaders)
        self._threads = ThreadPoolExecutor(loaders, "load")
        self._ledger_thread = ThreadPoolExecutor(1, "ledger")
        self._found: asyncio.Queue[tuple[LocalFile, Job, list[Request]] | None] = asyncio.Queue(loaders)
        self._questions: asyncio.Queue[tuple[Job, Request] | None] = asyncio.Queue(concurrency)
        self._answers: asyncio.Queue[Job | None] = asyncio.Queue()
        self._writer = Writer(ledger, self._ledger_thread)
        self._named_kinds: set[Kind] = set()
        self._jobs: dict[str, Job] = {}

    # -- the run ------------------------------------------------------------------------------------------

    async def run(self, sources: list[Source]) -> None:
        """Do all that is missing for `sources`; ends early, with what is in flight, once `stop` is set.

        Raises:
            BabelviewError: the run cannot go on: a server was lost, or the ledger cannot be written. All that
                was answered before is stored, where it can be.
        """
        self._tally.files = len(sources)
        kinds = {by_suffix(PurePath(source.where).suffix) for source in sources}
        self._named_kinds = {kind for kind in kinds if kind and self._plan.requests[kind]}
        work = asyncio.create_task(self._work(sources))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                await asyncio.wait({work}, timeout=GRACE_SEC)
        finally:
            stopped.cancel()
            work.cancel()
            outcome = await asyncio.gather(work, return_exceptions=True)
            await self._writer.flush()
            self._threads.shutdown(wait=False, cancel_futures=True)
        for error in outcome:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise _innermost(error)

    def close(self) -> None:
        """Free the threads and processes."""
        self._loaders.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._ledger_thread.shutdown()

    async def _work(self, sources: list[Source]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._find_all(sources))
            group.create_task(self._stage(self._found, self._load, self._loaders.count, self._questions))
            group.create_task(self._stage(self._questions, self._ask, self._concurrency, self._answers))
            group.create_task(self._stage(self._answers, self._translate, TRANSLATIONS_AT_ONCE, None))

    async def _find_all(self, sources: list[Source]) -> None:
        """Find local files and fetch others side by side: what is slow to come holds up nothing that is here."""
        here: asyncio.Queue[Source | None] = asyncio.Queue()
        away: asyncio.Queue[Source | None] = asyncio.Queue()
        for source in sources:
            (away if source.remote else here).put_nowait(source)
        here.put_nowait(None)
        away.put_nowait(None)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stage(here, self._find, FOUND_AT_ONCE, None))
            group.create_task(self._stage(away, self._find, FETCHED_AT_ONCE, None))
        await self._found.put(None)

    async def _stage(
        self,
        source: asyncio.Queue[T | None],
        work: Callable[[T], Awaitable[None]],
        workers: int,
        after: asyncio.Queue[Any] | None,
    ) -> None:
        """Let `workers` do `work` on what comes from `source` until None comes; then pass that on."""

        async def worker() -> None:
            while (item := await source.get()) is not None:
                if not self._stop.is_set():
                    await work(item)
                    self._screen.update()
            source.put_nowait(None)  # for the next worker; taking it made room for it

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())
        if after:
            await after.put(None)

    # -- stages -------------------------------------------------------------------------------------------

    async def _find(self, source: Source) -> None:
        """Recognise a file and look up what is known of it; where something is to be asked, get it."""
        self._tally.files_in_flight += 1
        try:
            known = await self._in_ledger(self._ledger.known, source.key)
            found = await self._fetcher.find(source, known)
        except MediaError as error:
            await self._complete_source(source, None, [str(error)], [])
            return
        changes: list[Change] = []
        if found.known != known:
            changes.append(partial(Ledger.save_uri, uri=source.key, known=found.known))
        identity = found.known.identity
        if same := self._jobs.get(identity.sha256):
            found.discard()
            same.sources.append(source)
            if same.finished:
                await self._complete_source(source, same, same.problems, changes, reused=same.reused)
            else:
                same.changes += changes
            return
        job = self._jobs[identity.sha256] = Job(identity, [source], changes=changes)
        stored = await self._in_ledger(self._ledger.file, identity, self._plan.requests[identity.kind])
        redo = await self._in_ledger(self._ledger.redo, source.key, self._redo) if self._redo else None
        missing = job.missing_requests(stored, self._plan, redo)
        if missing or job.texts:
            await self._check_servers(identity.kind, missing)
        if missing:
            try:
                file = found.file or await self._fetcher.get(source, found.known)
            except MediaError as error:
                job.problems.append(str(error))
                await self._finish(job)
            else:
                await self._found.put((file, job, missing))
            return
        found.discard()
        if job.texts:
            await self._answers.put(job)
        else:
            await self._finish(job, reused=True)

    async def _load(self, item: tuple[LocalFile, Job, list[Request]]) -> None:
        """Decode a file, once for all its requests."""
        file, job, missing = item
        identity, began = job.identity, time.monotonic()
        try:
            content, parts = await self._in_thread(self._decode, file, identity)
        except MediaError as error:
            reason, seconds = str(error), time.monotonic() - began
            job.problems.append(reason)
            if not isinstance(error, UnreadError):
                job.changes.append(lambda ledger: ledger.save_media(identity, None, reason, seconds))
            await self._finish(job)
            return
        finally:
            file.discard()
        seconds = time.monotonic() - began
        job.changes.append(lambda ledger: ledger.save_media(identity, content, None, seconds))
        job.parts, job.asked, job.to_ask = parts, len(missing), len(missing)
        for request in missing:
            await self._questions.put((job, request))

    def _decode(self, file: LocalFile, identity: Identity) -> tuple[Content, bytes]:
        """In a thread: decode, and encode for the endpoint, once; the JPEGs themselves are let go."""
        try:
            content = self._loaders.load(file.path, identity, self._sampling)
        finally:
            file.check()  # the answers, or the reason why there are none, stand for this content for good
        return replace(content, jpegs=[]), self._model.parts(content)

    async def _ask(self, item: tuple[Job, Request]) -> None:
        """Send one request; the last one of a file sends the file on."""
        job, request = item
        sha256 = job.identity.sha256
        job.asking_since = job.asking_since or time.monotonic()
        self._tally.in_flight += 1
        try:
            answer = await self._model.ask(request, job.parts, job.name)
        except StoppedError:
            return
        except RequestError as error:
            reason, final = str(error), isinstance(error, RefusedError)
            job.problems.append(f"{request.key}: {reason}")
            self._tally.requests_failed += 1
            logger.warning("%s %s: failed: %s", job.name, request.key, reason)
            job.changes.append(partial(Ledger.save_failure, unit=sha256, request=request, error=reason, final=final))
        else:
            job.changes.append(partial(Ledger.save_answer, unit=sha256, request=request, answer=answer))
            self._tally.count(answer)
            _log_answer(job, request, answer)
            job.want_translations(request, _fresh(answer), self._plan)
        finally:
            self._tally.in_flight -= 1
        self._tally.requests += 1
        self._tally.partial += 1 / job.asked
        job.to_ask -= 1
        if job.to_ask == 0:
            job.parts = b""
            job.add_seconds(job.asking_since)
            if not job.texts:
                await self._finish(job)
                return
            self._answers.put_nowait(job)
        await self._writer.write(*job.take_changes())

    async def _translate(self, job: Job) -> None:
        """Translate what is new of a file, in one call."""
        if job.texts and self._translator:
            began = time.monotonic()
            missing = {code for *_, codes in job.texts for code in codes}
            languages = [code for code in self._plan.languages if code in missing]
            texts = [text for _, parts, _ in job.texts for text in parts]
            try:
                rows = iter(await self._translator.translate(texts, languages, job.name))
            except StoppedError:
                return
            except (RequestError, ServiceLostError) as error:
                # Asking goes on without the translator; another run translates what is missing.
                job.problems.append(f"translation: {error}")
                logger.warning("%s: translation failed: %s", job.name, error)
            else:
                self._tally.translations += len(texts) * len(languages)
                took = time.monotonic() - began
                logger.info("%s: translated into %s in %.2f s", job.name, ",".join(languages), took)
                job.add_seconds(began)
                for request, parts, _ in job.texts:
                    translated = [next(rows) for _ in parts]
                    by_language = {code: to_store([row[code] for row in translated]) for code in languages}
                    job.changes.append(
                        partial(
                            Ledger.save_translations,
                            unit=job.identity.sha256,
                            request=request,
                            translations=by_language,
                        )
                    )
        await self._finish(job)

    # -- helpers ------------------------------------------------------------------------------------------

    async def _check_servers(self, kind: Kind, missing: list[Request]) -> None:
        """Before anything is decoded: do the servers know the models and languages? Where nothing is, why bother."""
        if missing:
            models = {kind: self._plan.models[kind] for kind in (*self._named_kinds, kind)}
            await self._model.check(set(models.values()))
            for kind_of_file, model in models.items():
                self._model.check_media(model, kind_of_file, self._sampling.most)
        if self._translator:
            await self._translator.check(self._plan.languages)

    async def _finish(self, job: Job, *, reused: bool = False) -> None:
        job.finished, job.reused = True, reused
        if job.asked:
            self._tally.partial -= (job.asked - job.to_ask) / job.asked
        job.texts = []
        changes = job.take_changes()
        for source in tuple(job.sources):  # one that comes now settles itself
            await self._complete_source(source, job, job.problems, changes, reused=reused)
            changes = []

    async def _complete_source(
        self, source: Source, job: Job | None, problems: list[str], changes: list[Change], *, reused: bool = False
    ) -> None:
        """A source is done or has failed: write that with the `changes` that it brought."""
        problem, sha256 = "; ".join(problems) or None, job.identity.sha256 if job else None
        await self._writer.write(*changes, lambda ledger: ledger.save_outcome(source.position, sha256, problem))
        self._tally.files_in_flight -= 1
        if problem:
            self._tally.failures.append((source.name, problem))
            logger.error("%s: failed: %s", source.name, problem)
        elif job and not self._plan.requests[job.identity.kind]:
            if not self._tally.unasked[job.identity.kind]:
                self._screen.note(f"warning: no task of this run asks anything about {job.identity.kind}s")
            self._tally.unasked[job.identity.kind] += 1
        else:
            self._tally.done += 1
            self._tally.reused += reused

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def _in_ledger(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._ledger_thread, work, *args)


def _fresh(answer: Answer) -> StoredAnswer:
    return StoredAnswer("done", answer.text, answer.finish_reason, 0, 0, 0.0, None, None, {}, 0, 0.0)


def _log_answer(job: Job, request: Request, answer: Answer) -> None:
    logger.info(
        "%s %s: answered in %.2f s, %d + %d tokens, %s",
        *(job.name, request.key, answer.request_s, answer.prompt_tokens, answer.generated_tokens, answer.finish_reason),
    )


def _innermost(error: BaseException) -> BaseException:
    """The error that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        known = [inner for inner in error.exceptions if isinstance(inner, BabelviewError | BaseExceptionGroup)]
        error = (known or list(error.exceptions))[0]
    return error
