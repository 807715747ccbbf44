"""What passes from stage to stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from client.job import Job
    from client.media.content import Probe, SceneBounds
    from client.sources.source import LocalFile, Source
    from client.tasks.plan import UnitRequest
    from client.tasks.steps import Over


class LocalSources(NamedTuple):
    """Files of this machine, to be found."""

    sources: tuple[Source, ...]


class LargeSource(NamedTuple):
    """A file of this machine that takes long to read, to be found."""

    source: Source


class RemoteSource(NamedTuple):
    """A URL, to be fetched."""

    source: Source


class Unprobed(NamedTuple):
    """A file whose packets have to tell what is to be asked."""

    job: Job
    file: LocalFile


class Uncut(NamedTuple):
    """A video whose scenes have to be found, to know what is to be asked about them."""

    job: Job
    file: LocalFile
    probe: Probe
    bounds: SceneBounds
    asks: list[UnitRequest]
    """What is to be asked about the whole of it."""


class Unheard(NamedTuple):
    """A file whose sound is to be transcribed; what else is to be asked about it waits for nothing."""

    job: Job
    file: LocalFile
    probe: Probe | None
    over: Over
    asks: list[UnitRequest]
    """What is to be asked about all else."""


class Unloaded(NamedTuple):
    """A file to be decoded for some requests."""

    job: Job
    file: LocalFile
    asks: list[UnitRequest]


class SmallPictures(NamedTuple):
    """Pictures to be decoded together: to a process and back takes as long as a small one itself."""

    files: tuple[Unloaded, ...]


class Question(NamedTuple):
    """A request to be sent, with its media as the endpoint takes them (JSON)."""

    job: Job
    ask: UnitRequest
    parts: bytes


class Untranslated(NamedTuple):
    """A file of which some answers are to be translated."""

    job: Job
