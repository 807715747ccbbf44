"""`--dry-run`: what a run would do and cost, found out without any request and without writing anything."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from client.cli.estimate import Means, Tokens, estimate, has_tiles, money
from client.errors import MediaError
from client.job import Job
from client.ledger.ledger import LEDGER
from client.ledger.rows import new_file, open_to_read, read_file, read_redo, read_uri
from client.ledger.runs import last_plan
from client.ledger.sqlite_errors import ledger_errors
from client.media.image import picture_size
from client.media.kinds import HEAD_BYTES, Animated, Kind, by_suffix
from client.media.load import Identity, counted_as, identify, recognise
from client.media.tiles import MAX_TILES, tiles
from client.resume import missing_requests
from client.sources.source import fingerprint_of, url_suffix
from client.tasks.plan import needs_probe, unknown_scenes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from client.ledger.redo import Redo
    from client.ledger.rows import StoredFile
    from client.media.sampling import Sampling
    from client.sources.source import KnownSource, Source
    from client.tasks.plan import Plan, Request

_SHOWN = 20
"""Files of a list that are named."""


@dataclass
class DryRun:
    """What a run would do, in counts."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of files that cannot be read."""
    away: int = 0
    """URLs that were never fetched: their kind is taken from their names."""
    copies: int = 0
    """Files with the content of another one: a content is asked about once."""
    done: int = 0
    """Contents of which nothing is missing."""
    without_prompt: Counter[Kind] = field(default_factory=Counter)
    """Files about which no task asks anything."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of contents that failed for good in an earlier run, and are not tried again."""
    requests: dict[tuple[str, Kind], list[Request]] = field(default_factory=dict)
    """(task, kind of file) -> the requests to be asked."""
    tiles: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    """(task, kind of file) -> tiles of all pictures in `requests`, where the model cuts pictures into tiles."""
    translations: Counter[str] = field(default_factory=Counter)
    """Language -> answers to be translated."""
    measured: int = 0
    """Answers that are measured, without a model."""
    unprobed: int = 0
    """Videos of which it takes a look at their packets to know how many requests they are."""


class _LedgerView(NamedTuple):
    """The ledger of the output folder, read only; empty where there is none yet."""

    connection: sqlite3.Connection | None
    means: Means
    sizes: frozenset[int]

    def known(self, source: Source) -> KnownSource | None:
        return read_uri(self.connection, source.uri) if self.connection else None

    def file(self, identity: Identity, requests: list[Request]) -> StoredFile:
        return read_file(self.connection, identity, requests) if self.connection else new_file(identity, requests)

    def redo(self, job: Job, what: str | None) -> Redo | None:
        return read_redo(self.connection, job.sources[0].uri, what) if self.connection and what else None


def dry_run(
    folder: Path, sources: list[Source], plan: Plan, redo: str | None, animated: Animated = Animated.VIDEO
) -> tuple[DryRun, Means]:
    """What a run over `sources` with this output folder would do; and the mean tokens of what was asked before.

    Raises:
        LedgerError: there is a ledger that cannot be read.
    """
    found = DryRun()
    with ledger_errors(folder / LEDGER):
        ledger = _open(folder / LEDGER)
        try:
            jobs: dict[str, Job] = {}
            for source, identity in _identities(sources, ledger, found, animated):
                found.kinds[identity.kind] += 1
                if same := jobs.get(identity.sha256):
                    same.sources.append(source)
                    found.copies += 1
                else:
                    jobs[identity.sha256] = Job(identity, [source])
            asked = [(job, _count(found, job, ledger, plan, redo)) for job in jobs.values()]
        finally:
            if ledger.connection:
                ledger.connection.close()
    _count_tiles(found, asked)
    return found, ledger.means


def last_plan_of(folder: Path) -> Plan | None:
    """What the last run with this output folder asked, if there was one.

    Raises:
        LedgerError: there is a ledger that cannot be read.
    """
    if not (folder / LEDGER).is_file():
        return None
    with ledger_errors(folder / LEDGER), closing(open_to_read(folder / LEDGER)) as connection:
        return last_plan(connection)


def _open(path: Path) -> _LedgerView:
    if not path.is_file():
        return _LedgerView(None, {}, frozenset())
    connection = open_to_read(path)
    means = {
        (task, prompt_hash, model, params): (prompt, answer)
        for task, prompt_hash, model, params, prompt, answer in connection.execute(
            "SELECT task, prompt_hash, model, params, AVG(prompt_tokens), AVG(generated_tokens) FROM answers "
            "WHERE state = 'done' AND prompt_tokens > 0 GROUP BY task, prompt_hash, model, params"
        )
    }
    sizes = frozenset(size for (size,) in connection.execute("SELECT DISTINCT size FROM uris"))
    return _LedgerView(connection, means, sizes)


def _identities(
    sources: list[Source], ledger: _LedgerView, found: DryRun, animated: Animated
) -> Iterable[tuple[Source, Identity]]:
    """The content of each source. A file is hashed only if its size says that another might be the same."""

    def told(source: Source, identity: Identity) -> Iterable[tuple[Source, Identity]]:
        if identity.problem:
            found.unreadable.append((source.name, identity.problem))
        else:
            yield source, identity

    new: list[tuple[Source, int]] = []
    new_sizes: Counter[int] = Counter()
    for source in sources:
        known = ledger.known(source)
        if source.remote:
            found.away += known is None
            yield from told(source, known.identity if known else _by_name(source))
            continue
        try:
            stat = source.look()
            same = known is not None and known.fingerprint == fingerprint_of(stat)
            unchanged = counted_as(known.identity, source.path, animated) if known and same else None
        except MediaError as error:
            found.unreadable.append((source.name, str(error)))
            continue
        if unchanged:
            yield from told(source, unchanged)
        else:
            new.append((source, stat.st_size))
            new_sizes[stat.st_size] += 1

    # Contents of one size may be the same.
    def look(item: tuple[Source, int]) -> Identity | str:
        source, size = item
        try:
            if new_sizes[size] == 1 and size not in ledger.sizes:
                with source.path.open("rb") as file:
                    unread = recognise(file.read(HEAD_BYTES), f"unread {source.position}", source.path.suffix)
                return counted_as(unread, source.path, animated)
            return identify(source.path, animated)
        except (OSError, MediaError) as error:
            return str(getattr(error, "strerror", None) or error)

    threads = ThreadPoolExecutor()
    try:
        for (source, _), identity in zip(new, threads.map(look, new), strict=True):
            if isinstance(identity, str):
                found.unreadable.append((source.name, identity))
            else:
                yield from told(source, identity)
    finally:
        threads.shutdown(cancel_futures=True)


def _by_name(source: Source) -> Identity:
    return Identity(f"unread {source.position}", by_suffix(url_suffix(source.where)) or Kind.IMAGE, None)


def _count(found: DryRun, job: Job, ledger: _LedgerView, plan: Plan, redo: str | None) -> list[Request]:
    """Count what a run would do about a content; returns what it would ask."""
    requests = plan.requests[job.identity.kind]
    if not requests:
        found.without_prompt[job.identity.kind] += len(job.sources)
        return []
    stored = ledger.file(job.identity, requests)
    asks = job.resume(missing_requests(stored, plan, ledger.redo(job, redo)))
    missing = [*(ask.request for ask in asks), *(merge.request for merge in job.merges)]
    unknown = needs_probe(requests, job.identity.kind) and not stored.probe
    if (unknown or unknown_scenes(requests, job.identity.kind, stored.probe)) and not job.problems:
        found.unprobed += 1
        missing = requests
    elif job.unheard:
        found.unprobed += 1
        missing += [request for request in requests if request.over == job.unheard or request.hears]
    found.measured += sum(bool(request.measure) for request in missing)
    asked = [request for request in missing if not request.measure]
    for request in asked:
        found.requests.setdefault((request.key, job.identity.kind), []).append(request)
        found.translations.update(plan.languages)
    for pending in job.texts:
        found.translations.update(pending.languages)
    if job.problems:
        found.failed.append((job.name, "; ".join(job.problems)))
    elif not missing and not job.texts:
        found.done += 1
    return asked


def _count_tiles(found: DryRun, asked: list[tuple[Job, list[Request]]]) -> None:
    """Count the tiles of the pictures that are asked about; of those whose size is not known, as many as can be."""
    cut = [(job, requests) for job, requests in asked if requests and has_tiles(requests[0], job.identity.kind)]

    def tiles_of(source: Source) -> int:
        if source.remote:
            return MAX_TILES
        try:
            return tiles(*picture_size(source.path))
        except MediaError:
            return MAX_TILES

    with ThreadPoolExecutor() as threads:
        for (job, requests), count in zip(cut, threads.map(tiles_of, [job.sources[0] for job, _ in cut]), strict=True):
            for request in requests:
                found.tiles[request.key, job.identity.kind] += count


def _shortened(named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first of a long list, and how many more there are."""
    left = len(named) - _SHOWN
    return [*named[:_SHOWN], ("...", f"and {left} more")] if left > 0 else named


def lines(found: DryRun, means: Means, sampling: Sampling, prices: tuple[float, float] | None) -> Iterable[str]:
    """What a run would do, as lines of text."""
    readable = sum(found.kinds.values())
    yield (
        f"{readable + len(found.unreadable)} files: {found.kinds[Kind.IMAGE]} pictures, "
        f"{found.kinds[Kind.VIDEO]} videos, {len(found.unreadable)} unreadable"
    )
    yield f"{found.copies} are copies of others, {found.done} are done already, {len(found.failed)} failed before"
    if found.away:
        yield f"{found.away} have yet to be fetched: their kind is taken from their names, copies are not known"
    for kind, count in found.without_prompt.items():
        yield f"{count} {kind}{'s' * (count != 1)} about which no task of this run asks anything"
    yield from (f"unreadable: {name}: {reason}" for name, reason in _shortened(found.unreadable))
    yield from (f"failed before: {name}: {reason}" for name, reason in _shortened(found.failed))
    if found.measured:
        yield f"{found.measured} answers to be measured, which asks no model"
    if found.unprobed:
        yield f"{found.unprobed} videos have yet to be looked at: one request is counted for each step of a task"
    total, bases = Tokens(), dict[str, None]()
    for (key, kind), requests in found.requests.items():
        tiled = found.tiles[key, kind]
        frames = sampling.own(requests[0].frames).most
        guess = estimate(requests[0], kind, len(requests), means, frames=frames, tiles=tiled)
        total += guess.tokens
        label = requests[0].label
        bases[f"{label} of {kind}s: {guess.basis}"] = None
        many = f"{len(requests)} {kind}{'s' * (len(requests) != 1)}"
        yield f"to ask: {label} of {many}, about {guess.tokens}"
    yield from (f"to translate: {count} answers into {code}" for code, count in found.translations.items())
    asked = sum(map(len, found.requests.values()))
    cost = f", cost about {money(total.cost(*prices))}" if prices else ""
    yield f"in all: {asked} requests, about {total}{cost}"
    if bases:
        yield "an estimate, which rests on:"
        yield from (f"  {basis}" for basis in bases)
    yield "a dry run: nothing was asked, nothing was written"
