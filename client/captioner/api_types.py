"""The JSON that the service takes, as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

MOST_ITEMS = 16
"""Records of one request."""
_Words = Annotated[str, Meta(min_length=1, max_length=4000)]
_Name = Annotated[str, Meta(min_length=1, max_length=100)]


class Earlier(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A question about the same file, or a task that was one, and its answer."""

    question: _Words | None = None
    task: _Name | None = None
    answer: Annotated[str, Meta(max_length=20_000)]


class Asking(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is asked about a file, and how it is looked at; None: the default."""

    task: _Name | None = None
    tasks: Annotated[list[_Name], Meta(max_length=16)] | None = None
    question: _Words | None = None
    questions: Annotated[list[_Words], Meta(max_length=16)] | None = None
    languages: Annotated[list[_Name], Meta(max_length=32)] | None = None
    window: Annotated[float, Meta(ge=0.5, le=3600)] | Literal["scenes"] | None = None
    max_length: Annotated[int, Meta(ge=1, le=8192)] | None = None
    """Tokens of an answer."""
    num_frames: Annotated[int, Meta(ge=1, le=256)] | None = None
    """Frames of a video that are looked at."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    hear: bool | None = None
    """Whether what is said in a video goes into what is asked about it."""

    history: Annotated[list[Earlier], Meta(max_length=32)] | None = None
    """What was asked before and answered, the oldest first: questions come after it."""

    @property
    def asks(self) -> bool:
        """Whether it says what to ask."""
        return any(value is not None for value in (self.task, self.tasks, self.question, self.questions))


ASKED = ("task", "tasks", "question", "questions")
OPTIONS = tuple(field.name for field in msgspec.structs.fields(Asking))


class Media(Asking, forbid_unknown_fields=True, kw_only=True):
    """A file, as base64 or as a data URL, or the frames of a video; and what is asked about it."""

    image: str | None = None
    video: str | None = None
    audio: str | None = None
    frames: Annotated[list[str], Meta(min_length=1)] | None = None
    """Pictures that make one video."""


class CaptionRequest(Media, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/captions`, and `/v1/captions/jobs`."""

    videos: Annotated[list[Media], Meta(min_length=1, max_length=MOST_ITEMS)] | None = None
    """Several, each with what is asked about it where that is something else."""
    stream: bool | None = None


class Item(Struct, kw_only=True, omit_defaults=True):
    """A file of a request, on the disk, and what is asked about it: one record comes of it."""

    name: str
    """As the record names it."""
    files: list[str]
    """Names of files in the request's folder: one, or the frames."""
    frames: bool = False
    """The files are pictures that make one video."""
    asking: Asking = msgspec.field(default_factory=Asking)


def merged(own: Asking, common: Asking) -> Asking:
    """What is asked about one of several files: what it says itself, and for the rest what is said for all."""
    values: dict[str, Any] = {}
    for name in OPTIONS:
        value = getattr(own, name)
        if value is None and not (name in ASKED and own.asks):
            value = getattr(common, name)
        values[name] = value
    return Asking(**values)
