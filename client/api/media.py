"""The files that a conversation is about: fetched, decoded for the model, and heard where that is wanted."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from client.api.session import one_source
from client.errors import MediaError, UsageError
from client.media.content import Look
from client.media.kinds import Animated, Kind
from client.media.loaders import Loaders
from client.tasks.tasks import TRANSCRIPT
from client.tasks.transcript import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.api.options import Asked
    from client.api.session import Session
    from client.media.content import Content, Span
    from client.media.load import Identity
    from client.sources.fetch import Fetcher
    from client.sources.source import LocalFile

T = TypeVar("T")


class Media:
    """One file, or several pictures, ready to be asked about."""

    def __init__(self, session: Session, asked: Asked, fetcher: Fetcher) -> None:
        """Nothing is read yet: `load` does that."""
        self._session, self._asked, self._fetcher = session, asked, fetcher
        self._loaders, self._thread = Loaders(1, session.opened.fork_server), ThreadPoolExecutor(1, "load")
        self._names: list[str] = []
        self._files: list[tuple[LocalFile, Identity]] = []
        self._looked: tuple[Span | None, int | None] | None = None
        self._said: list[Said] | None = None
        self.name = ""
        """For messages."""
        self.kind = Kind.IMAGE
        self.parts = b""
        """As a request has them, JSON; none of sound."""

    @property
    def sha256(self) -> str:
        """Of the first file."""
        return self._files[0][1].sha256

    async def find(self, names: Sequence[str]) -> None:
        """Fetch and recognise the files.

        Raises:
            UsageError: there is no such file, or they cannot be asked about together.
            MediaError: one cannot be read.
        """
        for source in [one_source(name) for name in names]:
            try:
                found = await self._fetcher.find(source, None)
                file = found.file or await self._fetcher.get(source, found.known)
            except MediaError as error:
                raise MediaError(f"{source.name}: {error}") from error
            self._files.append((file, found.known.identity))
            self._names.append(source.name)
            if found.known.identity.problem:
                raise MediaError(f"{source.name}: {found.known.identity.problem}")
        kinds = {identity.kind for _, identity in self._files}
        if len(self._files) > 1 and kinds != {Kind.IMAGE}:
            raise UsageError(
                "several pictures can be asked about together; a video or a sound is asked about alone: "
                f"{', '.join(names)}"
            )
        (self.kind,) = kinds
        self.name = ", ".join(names)

    async def look(self, span: Span | None, frames: int | None) -> None:
        """Decode what is to be seen in `span`, of a video `frames` or as many as the options say; None: all of it.

        Raises:
            UsageError: there is no such moment, or the model does not take so much.
            MediaError: it cannot be decoded.
        """
        if span:
            self._check_has_moments()
        if self.kind is Kind.AUDIO or self._looked == (span, frames):
            return
        model, name = self._session.opened.model, self._session.models.by_kind[self.kind]
        await model.check({name})
        model.check_media(name, self.kind, self._asked.sampling.own(frames).most, pictures=len(self._files))
        loop = asyncio.get_running_loop()
        contents = await loop.run_in_executor(self._thread, self._decode, Look(span, frames))
        lasts_s = contents[0].facts.duration_sec
        if span and lasts_s is not None:
            self._check_moment(span.start_us / 1e6, lasts_s)
        self.parts = b",".join(map(model.parts, contents))
        self._looked = (span, frames)

    async def check_moment(self, at_s: float) -> None:
        """Make sure that there is something to look at so many seconds after the beginning.

        Raises:
            UsageError: there is not.
            MediaError: it cannot be read.
        """
        self._check_has_moments()
        (file, identity), *_ = self._files
        loop = asyncio.get_running_loop()
        probe = await loop.run_in_executor(self._thread, self._named, self._loaders.probe, 0, file.path, identity)
        if probe.duration_us:
            self._check_moment(at_s, probe.duration_us / 1e6)

    def _check_has_moments(self) -> None:
        if self.kind is not Kind.VIDEO:
            raise UsageError(f"{self.name}: only videos have moments to look at")

    def _check_moment(self, at_s: float, lasts_s: float) -> None:
        if at_s >= lasts_s:
            raise UsageError(f"{self.name} lasts {lasts_s:g} s: there is nothing at {at_s:g} s")

    def _decode(self, look: Look) -> list[Content]:
        """In a thread: all files, one after the other."""
        numbers = range(len(self._files))
        return [content for number in numbers for content in self._named(self._load, number, number, look)]

    def _load(self, number: int, look: Look) -> list[Content]:
        file, identity = self._files[number]
        with closing(self._loaders.load(file.path, identity, self._asked.sampling, [look])) as contents:
            found = [*contents]
        file.check()
        return found

    def _named(self, work: Callable[..., T], number: int, *arguments: Any) -> T:
        """Do something with a file, whose errors have its name."""
        try:
            return work(*arguments)
        except MediaError as error:
            raise MediaError(f"{self._names[number]}: {error}") from error

    async def said(self) -> list[Said]:
        """What is said in it, which is transcribed once.

        Raises:
            MediaError: it cannot be.
        """
        if self._said is None:
            (file, _), *_ = self._files
            record = await self._session.caption(file.path, tasks=[TRANSCRIPT], sound=self._asked.sound)
            if record["error"]:
                raise MediaError(f"{self.name}: {record['error']}")
            segments = record["tasks"].get(TRANSCRIPT, {}).get("segments", [])
            self._said = [Said(part["start"], part["end"], part["text"]) for part in segments]
        return self._said

    async def close(self) -> None:
        """Remove what was fetched, and end the processes."""
        self._loaders.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._fetcher.close()


async def load(session: Session, names: Sequence[str], asked: Asked) -> Media:
    """Find the files of a conversation; errors are those of `Media.find`."""
    # Of several pictures one that moves counts as its first.
    animated = Animated.FIRST if len(names) > 1 else asked.animated
    media = Media(session, asked, session.fetcher(session.opened.scratch(), animated))
    try:
        await media.find(names)
    except BaseException:
        await media.close()
        raise
    return media
