"""The JSON of `/v1/captions`, as types for the OpenAPI document; the captioner has its own rules for what is in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.gateway.api_types import Binary  # noqa: TC001  # msgspec reads it at run time

Text = str | UnsetType | None
Texts = list[str] | UnsetType | None
Whole = Annotated[int, Meta(ge=1)] | UnsetType | None
Described = Annotated[
    dict[str, Any],
    Meta(description="What is said of a file, as results.json of a batch has it: file, kind, tasks, warnings, error."),
]


class Earlier(Struct, forbid_unknown_fields=True, kw_only=True):
    """What was asked about the same file before, a question or a task that was one, and the answer."""

    question: str | UnsetType | None = UNSET
    task: str | UnsetType | None = UNSET
    answer: Annotated[str, Meta(max_length=20_000)]


class CaptionAsking(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is asked about a file, and how it is looked at."""

    task: Annotated[str, Meta(description="describe, tags, captions ...; describe by default")] | UnsetType | None = (
        UNSET
    )
    tasks: Texts = UNSET
    question: Text = UNSET
    questions: Texts = UNSET
    languages: Annotated[list[str], Meta(description="FLORES or ISO codes")] | UnsetType | None = UNSET
    window: float | Literal["scenes"] | UnsetType | None = UNSET
    max_length: Annotated[int, Meta(ge=1, description="tokens of an answer")] | UnsetType | None = UNSET
    num_frames: Whole = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType | None = UNSET
    hear: bool | UnsetType | None = UNSET
    history: Annotated[list[Earlier], Meta(max_length=32)] | UnsetType | None = UNSET


class CaptionMedia(CaptionAsking, forbid_unknown_fields=True, kw_only=True):
    """A file, as base64 or as a data URL of it, or the frames of a video; and what is asked about it."""

    image: Text = UNSET
    video: Text = UNSET
    audio: Text = UNSET
    frames: Annotated[list[str], Meta(min_length=1, description="pictures that make one video")] | UnsetType | None = (
        UNSET
    )


class CaptionRequest(CaptionMedia, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/captions`."""

    videos: Annotated[list[CaptionMedia], Meta(min_length=1, max_length=16)] | UnsetType | None = UNSET
    stream: bool | UnsetType | None = UNSET


class CaptionForm(Struct, forbid_unknown_fields=True, kw_only=True):
    """The same as a form; a list is a field given repeatedly."""

    file: list[Binary] | UnsetType = UNSET
    frames: list[Binary] | UnsetType = UNSET
    task: str | UnsetType = UNSET
    tasks: list[str] | UnsetType = UNSET
    question: str | UnsetType = UNSET
    questions: list[str] | UnsetType = UNSET
    languages: list[str] | UnsetType = UNSET
    window: str | UnsetType = UNSET
    max_length: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    num_frames: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    hear: bool | UnsetType = UNSET
    history: Annotated[str, Meta(description="a list as in JSON bodies, as JSON")] | UnsetType = UNSET
    stream: bool | UnsetType = UNSET


class CaptionTimings(Struct, frozen=True, kw_only=True):
    """Seconds that a request took."""

    upload_s: float
    waiting_s: float
    captioning_s: float


class Captions(Struct, frozen=True, kw_only=True):
    """The answer to `POST /v1/captions`."""

    id: str
    created: int
    """Unix time."""
    records: list[Described]
    timings: CaptionTimings
    object: Literal["captions"] = "captions"


class JobProgress(Struct, frozen=True, kw_only=True):
    """How far a job is."""

    files: int
    done: int
    share: Annotated[float, Meta(ge=0, le=1)]
    requests: int | UnsetType = UNSET
    """Questions that were answered, or given up."""
    in_flight: int | UnsetType = UNSET
    generated_tokens: int | UnsetType = UNSET


class CaptionJob(Struct, frozen=True, kw_only=True):
    """A job: a request whose answer is fetched later."""

    id: str
    status: Literal["queued", "running", "done", "failed"]
    created_at: int
    """Unix time, as the next two."""
    started_at: int | None
    ended_at: int | None
    files: list[str]
    progress: JobProgress
    records: list[Described] | UnsetType = UNSET
    """Of a job that is done."""
    error: dict[str, Any] | UnsetType = UNSET
    """Of a job that failed, as refusals have it."""
    object: Literal["captions.job"] = "captions.job"


class CaptionJobs(Struct, frozen=True, kw_only=True):
    """The jobs of a key, the newest first."""

    data: list[CaptionJob]
    object: Literal["list"] = "list"


class CaptionJobDeleted(Struct, frozen=True, kw_only=True):
    """A job is gone."""

    id: str
    deleted: bool
    object: Literal["captions.job"] = "captions.job"
