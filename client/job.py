"""A content on its way through the pipeline, what is still to be done about it, and all such contents of a run."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from client.ledger.events import SourceCompleted, TimeSpent
from client.ledger.ledger import Ledger
from client.media.content import Probe
from client.resume import Missing, is_missing, missing_requests
from client.tasks.merge import merges_of
from client.tasks.plan import ask_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from client.counters import Counters
    from client.endpoints.retry import Notify
    from client.ledger.events import Event
    from client.ledger.redo import Redo
    from client.ledger.rows import StoredFile
    from client.ledger.writer import Writer
    from client.media.load import Identity
    from client.pending_transcript import Hearing, Held
    from client.resume import PendingTranslation
    from client.sources.source import KnownSource, Source
    from client.tasks.merge import Merge
    from client.tasks.plan import AnswerKey, Plan, Request, UnitRequest
    from client.tasks.steps import Over
    from client.tasks.transcript import Said

logger = logging.getLogger(__name__)

MOST_HELD_BYTES = 64 << 20
"""Of what is decoded and waits for what is said, not counting the last one; more is decoded when that is known."""


@dataclass(slots=True, eq=False)
class Job:
    """A content, and the sources that hold it."""

    identity: Identity
    sources: list[Source]
    asked: int = 0
    """Requests of this run about it, as far as they are known."""
    pending: int = 0
    """Of `asked`: those without an answer yet."""
    counted: float = 0.0
    """The part of its requests that progress knows of."""
    texts: list[PendingTranslation] = field(default_factory=list)
    asking_since: float = 0.0
    """When the first request was sent (`time.monotonic`), moved on by the loading since: that counts already."""
    events: list[Event] = field(default_factory=list)
    """For the ledger; what can be found out again waits here for what cannot."""
    problems: list[str] = field(default_factory=list)
    unread: bool = False
    """The problem is that of a file, not of its content: another copy may be read."""
    finished: bool = False
    reused: bool = True
    """An earlier run had done it all."""
    merges: list[Merge] = field(default_factory=list)
    """Those that wait for answers."""
    probe: Probe | None = None
    """What is known of its time so far."""
    said: list[Said] | None = None
    """What is said in it, once all of that is transcribed."""
    unheard: Over | None = None
    """Sound that is still to be transcribed."""
    hearing: Hearing | None = None
    """What is known of that, if it is transcribed in this run."""
    growing: int = 0
    """For so many reasons more requests than are known so far are to come, and merges of their answers."""
    warnings: dict[str, None] = field(default_factory=dict)
    """What was found to be wrong with what is seen."""
    _inputs: dict[AnswerKey, str] = field(default_factory=dict)
    """The answers that they are made of, as far as these are there."""

    @property
    def name(self) -> str:
        """As the user knows it."""
        return self.sources[0].name

    def take_events(self) -> list[Event]:
        """What is to be written now."""
        events, self.events = self.events, []
        return events

    def add_seconds(self, since: float) -> None:
        """Count the time spent on it since then."""
        self.events.append(TimeSpent(self.identity.sha256, time.monotonic() - since))

    def add_loading(self, since: float) -> float:
        """Seconds of loading since then; they will not count as time of asking, too."""
        now = time.monotonic()
        if self.asking_since:
            self.asking_since += now - max(since, self.asking_since)
        return now - since

    def resume(self, missing: Missing) -> list[UnitRequest]:
        """Take over what is missing; returns what is to be asked."""
        self.merges, self._inputs = missing.merges, missing.inputs
        self.texts += missing.texts
        self.problems += missing.problems
        self.asked = self.pending = len(missing.asks)
        self.unheard = missing.unheard
        self.reused = self.reused and not (missing.asks or missing.touched or missing.unheard)
        return missing.asks

    def give_up(self, requests: int) -> None:
        """So many of the requests, and what depends on them, will not be asked."""
        self.merges = []
        self.asked -= requests
        self.pending -= requests

    def add(self, asks: list[UnitRequest]) -> None:
        """So many more are to be asked."""
        self.asked += len(asks)
        self.pending += len(asks)

    def drop(self, asks: list[UnitRequest]) -> None:
        """So many fewer are to be asked."""
        self.asked -= len(asks)
        self.pending -= len(asks)

    def learn(self, **known: Any) -> Probe:
        """More is known of its time, by the names of `Probe`; returns all that is known."""
        self.probe = replace(self.probe or Probe(0), **known)
        return self.probe

    def add_merges(self, requests: Iterable[Request], asks: list[UnitRequest]) -> None:
        """Those among `requests` that are made of answers to some of `asks`, which have come to be known."""
        self.merges += [merge for merge in merges_of(requests, asks) if merge.inputs]

    def note(self, ask: UnitRequest, text: str) -> None:
        """There is this answer, of which something may be merged."""
        if self.merges or self.growing:
            self._inputs[ask.key] = text

    def take_merges(self) -> list[UnitRequest]:
        """What can be asked now, of the answers that are there."""
        asks: list[UnitRequest] = []
        waiting: list[Merge] = []
        for merge in self.merges:
            ready, level = merge.follow(self._inputs)
            asks += ready
            if not ready or level:
                waiting.append(level or merge)
        self.merges = waiting
        self.add(asks)
        return asks


class Jobs:
    """The contents that a run is busy with; each is let go when it is finished."""

    def __init__(
        self,
        plan: Plan,
        ledger: Writer,
        progress: Counters,
        notify: Notify,
        redo: str | None,
        *,
        completed: Callable[[Source], None] | None = None,
    ) -> None:
        """Begin with no content; `redo` is what is to be done again: `failed`, `doubtful`, `all` or a task.

        `completed` is called with each source that is done or has failed, once the ledger knows.
        """
        self.plan, self.ledger, self.progress = plan, ledger, progress
        self._notify, self._redo, self._completed = notify, redo, completed
        self._held_bytes = 0
        self._jobs: dict[str, Job] = {}
        self._failed: dict[str, list[str]] = {}
        """The problems of contents that failed in this run, by sha256: copies that come later share them."""

    def __len__(self) -> int:
        """How many are not finished."""
        return len(self._jobs)

    def find(self, sha256: str) -> Job | None:
        """The job of a content that is in work."""
        return self._jobs.get(sha256)

    def failed(self, identity: Identity, source: Source) -> Job | None:
        """A finished job for a copy of a content that failed in this run; None if it did not."""
        problems = self._failed.get(identity.sha256)
        return Job(identity, [source], problems=problems, finished=True, reused=False) if problems else None

    def begin(self, identity: Identity, source: Source, events: list[Event]) -> Job:
        """Start on a content that is not in work."""
        job = self._jobs[identity.sha256] = Job(identity, [source], events=events)
        return job

    async def known(self, sources: Sequence[Source]) -> list[KnownSource | None]:
        """What was at sources when they were last looked at."""
        return await self.ledger.read(Ledger.known, [source.uri for source in sources])

    async def look_up(self, jobs: Sequence[Job]) -> list[tuple[StoredFile, Redo | None]]:
        """What the ledger knows of contents, and what of them is done again."""
        if not jobs:
            return []
        requests, redo = self.plan.requests, self._redo

        def read(ledger: Ledger) -> list[tuple[StoredFile, Redo | None]]:
            stored = ledger.files([(job.identity, requests[job.identity.kind]) for job in jobs])
            again = [ledger.redo(job.sources[0].uri, redo) if redo else None for job in jobs]
            return list(zip(stored, again, strict=True))

        return await self.ledger.read(read)

    def expand(self, job: Job, stored: StoredFile, redo: Redo | None) -> list[UnitRequest]:
        """What is to be asked about a content; what is to be translated is noted in the job."""
        job.said, job.probe = stored.said, stored.probe
        return job.resume(missing_requests(stored, self.plan, redo, self.ledger.run))

    async def followers(self, job: Job, ask: UnitRequest, text: str) -> list[UnitRequest]:
        """The merges that are to be asked now that there is this answer."""
        job.note(ask, text)
        return await self.ready_merges(job)

    async def ready_merges(self, job: Job) -> list[UnitRequest]:
        """The merges that are to be asked of the answers that are there.

        What is left to do about one that an earlier run answered is noted in the job; what follows it is looked at.
        """
        missing: list[UnitRequest] = []
        found = job.take_merges()
        if found:
            await self.ledger.write(*job.take_events())
        while found:
            merged = found.pop(0)
            if (stored := await self._stored_text(job, merged)) is None:
                missing.append(merged)
                continue
            job.pending -= 1
            if stored:
                job.note(merged, stored)
                found += job.take_merges()
        return missing

    async def missing(self, job: Job, asks: list[UnitRequest]) -> list[UnitRequest]:
        """Those of further requests about a content that are to be asked; of the others all is noted in the job."""
        return [ask for ask in asks if await self.answered(job, ask) is None]

    async def answered(self, job: Job, ask: UnitRequest) -> str | None:
        """The answer to a further request, empty if it failed for good; None if it is to be asked, which is counted."""
        text = await self._stored_text(job, ask)
        if text is None:
            job.add([ask])
            job.reused = False
        elif text:
            job.note(ask, text)
        return text

    async def _stored_text(self, job: Job, ask: UnitRequest) -> str | None:
        """The answer to a request, empty if it failed for good; None if it is to be asked."""
        answer = await self.ledger.read(Ledger.answer, ask)
        missing = Missing()
        if is_missing(ask, answer, self.plan, await self._redo_of(job), run=self.ledger.run, missing=missing):
            return None
        job.texts += missing.texts
        job.problems += missing.problems
        return answer.text if answer and answer.state == "done" else ""

    async def _redo_of(self, job: Job) -> Redo | None:
        return await self.ledger.read(Ledger.redo, job.sources[0].uri, self._redo) if self._redo else None

    @property
    def holds_much(self) -> bool:
        """Whether there is no room to `hold` more."""
        return self._held_bytes >= MOST_HELD_BYTES

    def hold(self, hearing: Hearing, held: Held) -> bool:
        """Keep what waits for what is said, if there is room; whether it is kept."""
        if self.holds_much:
            return False
        self._held_bytes += held.parts.size
        hearing.hold(held)
        return True

    def take_held(self, hearing: Hearing) -> list[Held]:
        """What need not be kept any longer."""
        ready = hearing.take_held()
        self._held_bytes -= sum(held.parts.size for held in ready)
        return ready

    async def tell(self, job: Job, hearing: Hearing, untold: list[UnitRequest]) -> list[UnitRequest]:
        """What is to be asked of requests now that is known what is said in their time, and of what is merged of them.

        That is nothing where it never will be known.
        """
        asks: list[UnitRequest] = []
        if not hearing.lost:
            told = [ask_of(request, unit, hearing.said) for unit, request in untold]
            asks = await self.missing(job, told)
            if len(asks) < len(told):
                asks += await self.ready_merges(job)
        job.drop(untold)
        return asks

    def count(self, job: Job) -> None:
        """Let progress know of the part of a job's requests that is answered."""
        answered = (job.asked - job.pending) / job.asked
        self.progress.partial += answered - job.counted
        job.counted = answered

    async def finish(self, job: Job) -> None:
        """There is nothing more to do about a content: tell that of all its sources, and let it go."""
        job.finished = True
        if job.problems and not job.unread:
            self._failed[job.identity.sha256] = job.problems
        self.progress.partial -= job.counted
        job.texts = []
        events = job.take_events()
        for source in tuple(job.sources):  # one that comes now completes itself
            await self.complete_source(source, job, job.problems, events)
            events = []
        del self._jobs[job.identity.sha256]

    async def complete_source(self, source: Source, job: Job | None, problems: list[str], events: list[Event]) -> None:
        """A source is done or has failed: write that with the `events` that it brought; `job` is of its content."""
        problem, sha256 = "; ".join(problems) or None, job.identity.sha256 if job else None
        await self.ledger.write(*events, SourceCompleted(source.position, sha256, problem))
        self.progress.files_in_flight -= 1
        if problem:
            self.progress.failures.append((source.name, problem))
            logger.error("%s: failed: %s", source.name, problem)
        elif job and not self.plan.requests[job.identity.kind]:
            if not self.progress.unasked[job.identity.kind]:
                self._notify(
                    f"warning: no task of this run asks anything about {job.identity.kind}s: add one that does, such "
                    "as describe, or leave them out with --exclude"
                )
            self.progress.unasked[job.identity.kind] += 1
        else:
            self.progress.done += 1
            self.progress.reused += bool(job and job.reused)
        if self._completed:
            self._completed(source)
