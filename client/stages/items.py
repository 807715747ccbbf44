"""What passes from stage to stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from client.job import Job
    from client.media.content import SceneBounds
    from client.pending_transcript import Hearing
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
    bounds: SceneBounds
    asks: list[UnitRequest]
    """What is to be asked about the whole of it."""
    untold: list[UnitRequest]
    """The same, as `Unloaded.untold`."""


class Unheard(NamedTuple):
    """A file whose sound is to be transcribed; what else is to be asked about it waits for nothing."""

    job: Job
    file: LocalFile
    over: Over
    asks: list[UnitRequest]
    """What is to be asked about all else."""


class Sound(NamedTuple):
    """The sound of a file, to be transcribed."""

    job: Job
    file: LocalFile
    over: Over


class Listener(NamedTuple):
    """A file of which some is decoded, and to be asked about when what is said in that time is known."""

    job: Job
    hearing: Hearing


class Later(NamedTuple):
    """A file to be decoded for requests about times of which it is not known yet what is said."""

    job: Job
    file: LocalFile
    hearing: Hearing
    untold: list[UnitRequest]


class Unloaded(NamedTuple):
    """A file to be decoded for some requests."""

    job: Job
    file: LocalFile
    asks: list[UnitRequest]
    untold: list[UnitRequest]
    """Those that are told what is said before they are asked."""


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
