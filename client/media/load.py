"""One file in, what the model looks at out."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from client.errors import MediaError
from client.media.kinds import (
    HEAD_BYTES,
    Kind,
    by_suffix,
    describe_other,
    is_motion_jpeg,
    is_readable,
    rare_kind,
    sniff,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from client.media.content import Content, Probe, Span
    from client.media.sampling import Sampling

_BLOCK = 1 << 20


class Identity(NamedTuple):
    """What a file is before it is decoded: hex SHA-256 of its bytes, and its kind if there is any."""

    sha256: str
    kind: Kind
    problem: str | None


def identify(path: Path) -> Identity:
    """Read a file once: hash and kind, by content first and by name where that says nothing.

    Raises:
        MediaError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            digest = hashlib.sha256(head)
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise MediaError(f"cannot be read: {error.strerror or error}") from error
    return recognise(head, digest.hexdigest(), path.suffix)


def recognise(head: bytes, sha256: str, suffix: str) -> Identity:
    """What a file is, by its first `HEAD_BYTES` bytes and the suffix of its name."""
    if rare := rare_kind(head, suffix):
        advice = f"this {rare} cannot be read here: pip install 'babelview[formats]', or convert it to PNG or JPEG"
        return Identity(sha256, Kind.IMAGE, None if is_readable(rare) else advice)
    named = by_suffix(suffix)
    kind = sniff(head)
    if kind is Kind.IMAGE and is_motion_jpeg(suffix):
        kind = Kind.VIDEO
    problem = describe_other(head) if kind is None else None
    if kind is None and named is None and problem is None:
        problem = "not a picture or video of a known format"
    return Identity(sha256, kind or named or Kind.VIDEO, problem)


def load_spans(path: Path, identity: Identity, sampling: Sampling, spans: Sequence[Span | None]) -> Iterator[Content]:
    """Decode spans of a file one after the other, after one look at its packets; None is all of it.

    Raises:
        MediaError: it is no picture or video, or a broken one.
        MemoryError: it takes more than this process may take.
    """
    # Imported late: only the processes that decode need the decoders.
    from client.media.image import load_image  # noqa: PLC0415
    from client.media.video import load_video  # noqa: PLC0415

    with _only_media_errors(identity):
        if identity.kind is Kind.VIDEO:
            yield from load_video(path, sampling, spans)
        else:
            yield from [load_image(path)] * len(spans)


def probe(path: Path, identity: Identity) -> Iterator[Probe]:
    """Read a video's packets and decode none: one `Probe`.

    Raises:
        MediaError: it is no video, or a broken one.
        MemoryError: it takes more than this process may take.
    """
    from client.media.video import probe_video  # noqa: PLC0415 (late, as in load_spans)

    with _only_media_errors(identity):
        yield probe_video(path)


@contextmanager
def _only_media_errors(identity: Identity) -> Iterator[None]:
    if identity.problem:
        raise MediaError(identity.problem)
    try:
        yield
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        # Decoders meet files that nobody thought of: this file fails, not the run.
        raise MediaError(f"cannot be decoded ({type(error).__name__}: {error})") from error
