"""The way of a file: discovered, loaded, asked about, translated, stored.

    sources -> find -> found -> load -> questions -> ask -> answers -> translate
                 \\                \\                    \\               \\
                  `----------------`------ changes ------`---------------`-> store

Each arrow is a bounded queue: no stage runs far ahead of the next one, so memory does not grow with the
number of files. Finding (hashing, fetching) uses threads, loading processes (decoders may crash), asking and
translating are tasks that wait for servers, storing is one thread that writes what has come together in one
transaction.
"""

from __future__ import annotations

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from client.errors import BabelviewError, MediaError, RefusedError, RequestError
from client.media.loaders import Loaders
from client.record import missing_languages, texts_of
from client.sources.fetch import Fetcher
from client.store import Ledger
from client.stored import StoredAnswer, StoredTranslation
from client.waiting import StoppedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from client.media.load import Identity
    from client.media.sampling import Sampling
    from client.model import Answer, ModelClient
    from client.plan import Plan, Request
    from client.screen import Screen, Tally
    from client.sources.source import LocalFile, Source
    from client.stored import StoredFile
    from client.translation import TranslatorClient

T = TypeVar("T")

FOUND_AT_ONCE = 8
"""Sources that are looked at, or fetched, at the same time."""
TRANSLATIONS_AT_ONCE = 16
REDO_FAILED, REDO_ALL = "failed", "all"
GRACE_SEC = 5.0
"""How long requests in flight may still take when the run is interrupted."""
_STORE_QUEUE = 256


@dataclass(slots=True, eq=False)
class Job:
    """A content on its way, and the sources that hold it."""

    identity: Identity
    sources: list[Source]
    media: str = ""
    to_ask: int = 0
    texts: list[tuple[Request, list[str], list[str]]] = field(default_factory=list)
    """Waiting to be translated: request, texts, languages."""
    asking_since: float = 0.0
    problems: list[str] = field(default_factory=list)
    finished: bool = False
    reused: bool = False
    """An earlier run had done it all."""


class Pipeline:
    """One run over many files."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        model: ModelClient,
        translator: TranslatorClient | None,
        *,
        sampling: Sampling,
        concurrency: int,
        loaders: int,
        redo: str | None,
        tally: Tally,
        screen: Screen,
        stop: asyncio.Event,
    ) -> None:
        """`concurrency` requests in flight, `loaders` files decoded at once; setting `stop` ends the run early."""
        self._plan, self._ledger, self._model, self._translator = plan, ledger, model, translator
        self._sampling, self._concurrency, self._redo = sampling, concurrency, redo
        self._tally, self._screen, self._stop = tally, screen, stop
        self._loaders = Loaders(loaders)
        self._threads = ThreadPoolExecutor(loaders, "load")
        self._ledger_thread = ThreadPoolExecutor(1, "ledger")
        self._fetcher = Fetcher()
        self._found: asyncio.Queue[tuple[LocalFile, Job, list[Request]] | None] = asyncio.Queue(loaders)
        self._questions: asyncio.Queue[tuple[Job, Request] | None] = asyncio.Queue(concurrency)
        self._answers: asyncio.Queue[Job | None] = asyncio.Queue(concurrency)
        self._changes: asyncio.Queue[Callable[[Ledger], None] | None] = asyncio.Queue(_STORE_QUEUE)
        self._jobs: dict[str, Job] = {}

    # -- the run ------------------------------------------------------------------------------------------

    async def run(self, sources: list[Source]) -> None:
        """Do all that is missing for `sources`; ends early, with what is in flight, once `stop` is set.

        Raises:
            BabelviewError: the run cannot go on: a server was lost, or the ledger cannot be written. All that
                was answered before is stored, where it can be.
        """
        self._tally.files = len(sources)
        work = asyncio.create_task(self._work(sources))
        store = asyncio.create_task(self._store())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, store, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done() and not store.done():
                await asyncio.wait({work}, timeout=GRACE_SEC)
        finally:
            stopped.cancel()
            work.cancel()
            outcome = await asyncio.gather(work, return_exceptions=True)
            end = asyncio.create_task(self._changes.put(None))
            await asyncio.wait({end, store}, return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)
        await store
        for error in outcome:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise _innermost(error)

    def close(self) -> None:
        """Free the threads and processes."""
        self._loaders.close()
        self._fetcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._ledger_thread.shutdown()

    async def _work(self, sources: list[Source]) -> None:
        waiting: asyncio.Queue[Source | None] = asyncio.Queue()
        for source in (*sources, None):
            waiting.put_nowait(source)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stage(waiting, self._find, FOUND_AT_ONCE, self._found))
            group.create_task(self._stage(self._found, self._load, self._loaders.count, self._questions))
            group.create_task(self._stage(self._questions, self._ask, self._concurrency, self._answers))
            group.create_task(self._stage(self._answers, self._translate, TRANSLATIONS_AT_ONCE, None))

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
        try:
            known = await self._in_ledger(self._ledger.known, source.key)
            found = await self._fetcher.find(source, known)
        except MediaError as error:
            await self._settle(source, None, [str(error)])
            return
        if found.known != known:
            await self._changes.put(lambda ledger: ledger.save_place(source.key, found.known))
        identity = found.known.identity
        if same := self._jobs.get(identity.sha256):
            found.discard()
            same.sources.append(source)
            if same.finished:
                await self._settle(source, same.identity.sha256, same.problems, reused=same.reused)
            return
        job = self._jobs[identity.sha256] = Job(identity, [source])
        stored = await self._in_ledger(self._ledger.file, identity, self._plan.requests[identity.kind])
        missing = self._missing(job, stored)
        if missing:
            try:
                file = found.file or await self._fetcher.get(source)
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
            content = await self._in_thread(self._loaders.load, file.path, identity, self._sampling)
        except MediaError as error:
            reason, seconds = str(error), time.monotonic() - began
            job.problems.append(reason)
            await self._changes.put(lambda ledger: ledger.save_media(identity, None, reason, seconds))
            await self._finish(job)
            return
        finally:
            file.discard()
        seconds = time.monotonic() - began
        await self._changes.put(lambda ledger: ledger.save_media(identity, content, None, seconds))
        job.media = await self._in_thread(content.data_url)
        job.to_ask = len(missing)
        for request in missing:
            await self._questions.put((job, request))

    async def _ask(self, item: tuple[Job, Request]) -> None:
        """Send one request; the last one of a file sends the file on."""
        job, request = item
        sha256 = job.identity.sha256
        job.asking_since = job.asking_since or time.monotonic()
        self._tally.in_flight += 1
        try:
            answer = await self._model.ask(request, job.identity.kind, job.media)
        except StoppedError:
            return
        except RequestError as error:
            reason, final = str(error), isinstance(error, RefusedError)
            job.problems.append(f"{request.key}: {reason}")
            await self._changes.put(lambda ledger: ledger.save_failure(sha256, request, reason, final=final))
        else:
            await self._changes.put(lambda ledger: ledger.save_answer(sha256, request, answer))
            self._tally.prompt_tokens += answer.prompt_tokens
            self._tally.generated_tokens += answer.generated_tokens
            self._want_translations(job, request, _fresh(answer))
        finally:
            self._tally.in_flight -= 1
        self._tally.requests += 1
        job.to_ask -= 1
        if job.to_ask == 0:
            job.media = ""
            await self._add_seconds(job, job.asking_since)
            await self._answers.put(job)

    async def _translate(self, job: Job) -> None:
        """Translate what is new of a file, in one call."""
        if job.texts and self._translator:
            began = time.monotonic()
            missing = {code for *_, codes in job.texts for code in codes}
            languages = [code for code in self._plan.languages if code in missing]
            texts = [text for _, parts, _ in job.texts for text in parts]
            try:
                rows = iter(await self._translator.translate(texts, languages))
            except StoppedError:
                return
            except RequestError as error:
                job.problems.append(f"translation: {error}")
            else:
                self._tally.translations += len(texts) * len(languages)
                for request, parts, _ in job.texts:
                    translated = [next(rows) for _ in parts]
                    by_language = {
                        code: StoredTranslation(
                            [row[code].text for row in translated],
                            [doubt for row in translated for doubt in row[code].doubts],
                        )
                        for code in languages
                    }
                    await self._changes.put(
                        functools.partial(
                            Ledger.save_translations,
                            sha256=job.identity.sha256,
                            request=request,
                            translations=by_language,
                        )
                    )
                await self._add_seconds(job, began)
        await self._finish(job)

    async def _store(self) -> None:
        """Write changes as they come, all that wait at once."""
        ended = False
        while not ended:
            changes = [await self._changes.get()]
            while not self._changes.empty():
                changes.append(self._changes.get_nowait())
            ended = None in changes
            await self._in_ledger(self._ledger.write, [change for change in changes if change])

    # -- helpers ------------------------------------------------------------------------------------------

    def _missing(self, job: Job, stored: StoredFile) -> list[Request]:
        """What is to be asked about a content; what is to be translated, or failed for good, goes to the job."""
        missing: list[Request] = []
        for request in self._plan.requests[job.identity.kind]:
            answer = stored.answers.get(request.key)
            if answer is None or answer.state == "pending" or self._again(request, answer):
                missing.append(request)
            elif answer.state == "done":
                self._want_translations(job, request, answer)
            else:
                job.problems.append(f"{request.key}: {answer.error} (in an earlier run; --redo failed tries again)")
        if stored.error and not self._redo:
            job.problems.append(stored.error)
            return []
        return missing

    def _again(self, request: Request, answer: StoredAnswer) -> bool:
        return self._redo in (REDO_ALL, request.task) or (self._redo == REDO_FAILED and answer.state == "failed")

    def _want_translations(self, job: Job, request: Request, answer: StoredAnswer) -> None:
        if languages := missing_languages(request, answer, self._plan):
            job.texts.append((request, texts_of(request, answer.text), languages))

    async def _finish(self, job: Job, *, reused: bool = False) -> None:
        job.finished, job.reused = True, reused
        job.texts = []
        for source in job.sources:
            await self._settle(source, job.identity.sha256, job.problems, reused=reused)

    async def _settle(self, source: Source, sha256: str | None, problems: list[str], *, reused: bool = False) -> None:
        """A source is done or has failed."""
        problem = "; ".join(problems) or None
        if problem:
            self._tally.failures.append((source.name, problem))
        else:
            self._tally.done += 1
            self._tally.reused += reused
        await self._changes.put(lambda ledger: ledger.save_outcome(source.position, sha256, problem))

    async def _add_seconds(self, job: Job, since: float) -> None:
        seconds = time.monotonic() - since
        await self._changes.put(lambda ledger: ledger.add_seconds(job.identity.sha256, seconds))

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def _in_ledger(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._ledger_thread, work, *args)


def _fresh(answer: Answer) -> StoredAnswer:
    return StoredAnswer("done", answer.text, answer.finish_reason, 0, 0, 0.0, None, {})


def _innermost(error: BaseException) -> BaseException:
    """The error that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        known = [inner for inner in error.exceptions if isinstance(inner, BabelviewError | BaseExceptionGroup)]
        error = (known or list(error.exceptions))[0]
    return error
