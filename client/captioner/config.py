"""What the service is told: where it keeps uploads, whom it asks, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Who is asked, and how; see `client.api.session.Session`."""

    base_url: str
    translator: str | None
    """None: nothing is translated."""
    image_model: str
    video_model: str
    text_model: str | None
    speech_model: str
    frames_as: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken; more is refused with 400, 413 or 429, and the reason."""

    upload_bytes: int = 512 * MIB
    """All files of one request."""
    uploads_bytes: int = 4096 * MIB
    """Those of all requests and jobs together: what is on the disk."""
    json_bytes: int = 64 * MIB
    """A body of JSON, which is read whole; larger files come as a form."""
    files: int = 64
    """Of one request, all frames counted."""
    at_once: int = 4
    """Requests that are worked on at the same time."""
    waiting: int = 60
    """Further ones that may come in, or wait."""
    jobs_at_once: int = 2
    """Jobs that are worked on at the same time, beside the requests."""
    jobs: int = 256
    """Jobs that are kept, of all keys together."""
    key_jobs: int = 64
    """Jobs that one key may have."""
    keep_jobs_s: float = 24 * 3600.0
    """How long a job's result is kept after its end."""
    body_idle_s: float = 20.0
    """Between two pieces of a body."""
    body_bytes_per_s: float = 4096.0
    """Which a body must come with, on average, after the first `body_idle_s`."""
    body_s: float = 3600.0
    """For a whole body."""
    wait_s: float = 120.0
    """How long a request waits for a model that is away or full; a job waits for `job_wait_s`."""
    job_wait_s: float = 6 * 3600.0
    timeout_s: float = 300.0
    """Of one question to a model."""
    finish_s: float = 20.0
    """How long requests in flight may go on after SIGTERM; jobs go on after the next start."""
    decoders: int = 3
    """Files that are decoded at the same time, of all requests and jobs; jobs have half of them at most."""
    decoder_bytes: int = 1024 * MIB
    """Memory that each of them may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it."""

    folder: Path
    """A private folder for uploads and jobs."""
    models: Models
    limits: Limits = field(default_factory=Limits)
    keys_only: bool = False
    """Whether requests without a key are refused. Whether a key is right, only the models say."""
