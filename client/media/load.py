"""One file in, what the model looks at out."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from client.errors import MediaError
from client.hints import install
from client.media.containers import is_sequence, is_sound_alone
from client.media.content import Look, Scene, SoundEnd, Span
from client.media.kinds import (
    HEAD_BYTES,
    Animated,
    Kind,
    by_suffix,
    describe_other,
    is_motion_jpeg,
    is_readable,
    rare_kind,
    sniff,
)
from client.media.picture_parts import PNG_START, frame_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from client.media.content import Content, Probe, SceneLooks, SoundPart
    from client.media.sampling import Sampling
    from client.media.strips import Thumbnail

_BLOCK = 1 << 20
_MOST_ANIMATED_BYTES = 1 << 29
"""Of a picture that is read to learn whether it moves; a larger one counts as a picture that does not."""
_FIRST_LOOK_BYTES = 1 << 16
"""The second frame mostly begins here: what is behind it need not be read to know that there is one."""
_MOST_CHUNKS = 1000
"""Of a PNG before its pixels: more are garbage."""
_ANIMATED_STARTS = (b"GIF8", b"\x89PNG", b"RIFF")


class Identity(NamedTuple):
    """What a file is before it is decoded: hex SHA-256 of its bytes, and its kind if there is any."""

    sha256: str
    kind: Kind
    problem: str | None


def identify(path: Path, animated: Animated = Animated.VIDEO) -> Identity:
    """Read a file once: hash and kind, by content first and by name where that says nothing.

    `animated` says which kind a picture is that moves.

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
    return counted_as(recognise(head, digest.hexdigest(), path.suffix), path, animated, head)


def counted_as(identity: Identity, path: Path, animated: Animated, head: bytes = b"") -> Identity:
    """The same, of the kind that `animated` says if it is a picture that moves, and sound if there is nothing to see.

    `head` are the first `HEAD_BYTES` bytes of the file, if they are known.

    Raises:
        MediaError: it cannot be read.
    """
    try:
        head = head or _head(path)
        if identity.problem or is_motion_jpeg(path.suffix):
            return identity
        if (sniffed := sniff(head)) is Kind.VIDEO and is_sound_alone(path, head):
            return identity._replace(kind=Kind.AUDIO)
        if sniffed is not Kind.IMAGE:
            return identity
        kind = Kind.VIDEO if animated is Animated.VIDEO and _moves(path, head) else Kind.IMAGE
    except OSError as error:
        raise MediaError(f"cannot be read: {error.strerror or error}") from error
    return identity._replace(kind=kind)


def _moves(path: Path, head: bytes) -> bool:
    """Whether a picture has more than one frame."""
    if head[4:8] == b"ftyp":
        return is_sequence(path)
    if head[:4] == b"RIFF" and not (head[12:16] == b"VP8X" and head[20] & 2):
        return False
    if not head.startswith(_ANIMATED_STARTS) or path.stat().st_size > _MOST_ANIMATED_BYTES:
        return False
    if head.startswith(PNG_START) and not _says_apng(path):
        return False
    with path.open("rb") as file:
        data = b""
        while more := file.read(max(len(data), _FIRST_LOOK_BYTES)):
            data += more
            if len(frame_times(data)) > 1:
                return True
    return False


def _says_apng(path: Path) -> bool:
    """Whether a PNG has the chunk that announces an animation, which stands before its pixels."""
    with path.open("rb") as file:
        file.seek(len(PNG_START))
        for _ in range(_MOST_CHUNKS):
            start = file.read(8)
            if len(start) < 8 or start[4:] == b"IDAT":
                return False
            if start[4:] == b"acTL":
                return True
            file.seek(int.from_bytes(start[:4], "big") + 4, os.SEEK_CUR)
    return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def recognise(head: bytes, sha256: str, suffix: str) -> Identity:
    """What a file is, by its first `HEAD_BYTES` bytes and the suffix of its name."""
    if rare := rare_kind(head, suffix):
        advice = f"this {rare} cannot be read here: {install('formats')}, or convert it to PNG or JPEG"
        return Identity(sha256, Kind.IMAGE, None if is_readable(rare) else advice)
    named = by_suffix(suffix)
    kind = sniff(head)
    if kind is Kind.IMAGE and is_motion_jpeg(suffix):
        kind = Kind.VIDEO
    problem = describe_other(head) if kind is None else None
    if kind is None and named is None and problem is None:
        problem = "not a picture, video or sound of a known format"
    return Identity(sha256, kind or named or Kind.VIDEO, problem)


def load_spans(
    path: Path,
    identity: Identity,
    sampling: Sampling,
    spans: Sequence[Look | Span | None],
    thumbnail: bool = True,
) -> Iterator[Content]:
    """Decode spans of a file one after the other, after one look at its packets; None is all of it.

    The last one has the thumbnail of all, if that is wanted.

    Raises:
        MediaError: it is no picture or video, or a broken one.
        MemoryError: it takes more than this process may take.
    """
    # Imported late: only the processes that decode need the decoders.
    from client.media.animation import load_animation  # noqa: PLC0415
    from client.media.image import read_picture  # noqa: PLC0415
    from client.media.recent_frames import RecentFrames  # noqa: PLC0415
    from client.media.thumbnails import thumbnail_of, with_thumbnail  # noqa: PLC0415
    from client.media.video import load_video  # noqa: PLC0415

    with _only_media_errors(identity):
        if identity.kind is Kind.AUDIO:
            raise MediaError("this is sound alone: there is nothing to see")
        if identity.kind is Kind.VIDEO:
            load = load_animation if _is_animation(path) else load_video
            recent = RecentFrames() if thumbnail else None
            contents = load(path, sampling, spans, recent)
            yield from with_thumbnail(contents, len(spans), recent) if recent else contents
        else:
            content, image = read_picture(path)
            yield from [content] * (len(spans) - 1)
            yield content.with_thumbnail(thumbnail_of(content, image)) if thumbnail else content


def load_together(
    load: Callable[..., Iterator[Content]],
    files: Sequence[tuple[str, Identity]],
    sampling: Sampling,
    thumbnails: Sequence[bool],
) -> Iterator[list[Content | MediaError]]:
    """`load` files whole, and give them all at once: the content of each, or what is wrong with it.

    They are given by their paths as text, which is sent to a worker in a fraction of the time; `thumbnails` says of
    which a thumbnail is wanted.

    Raises:
        MemoryError: one takes more than this process may take.
    """
    outcomes: list[Content | MediaError] = []
    for (path, identity), thumbnail in zip(files, thumbnails, strict=True):
        try:
            content = next(load(Path(path), identity, sampling, (None,), thumbnail), None)
        except MediaError as error:
            outcomes.append(error)
        else:
            outcomes.append(content or MediaError("the decoder ended without an answer"))
    yield outcomes


def load_scenes(
    path: Path, identity: Identity, sampling: Sampling, looks: SceneLooks, thumbnail: bool = True
) -> Iterator[Scene | Thumbnail]:
    """Decode a video once: its scenes one after the other, then the whole of it, and at last a thumbnail, if wanted.

    An animated picture is one scene.

    Raises:
        MediaError: it is no video, or a broken one, or there is nothing here that finds scenes.
        MemoryError: it takes more than this process may take.
    """
    from client.media.animation import load_animation, probe_animation  # noqa: PLC0415 (late, as in load_spans)
    from client.media.recent_frames import RecentFrames  # noqa: PLC0415
    from client.media.scenes import load_scenes as scenes_of  # noqa: PLC0415
    from client.media.thumbnails import SceneTiles  # noqa: PLC0415

    found: Iterator[Scene]
    recent = RecentFrames() if thumbnail else None
    tiles = SceneTiles(recent) if recent else None
    with _only_media_errors(identity):
        if _is_animation(path):
            span = Span(0, probe_animation(path).duration_us)
            each = [*(Look(span, own) for own in looks.frames), *(Look(None, own) for own in looks.whole)]
            found = map(Scene, each, load_animation(path, sampling, each, recent))
        else:
            found = scenes_of(path, sampling, looks, recent)
        for scene in found:
            if tiles and scene.look.span:
                tiles.add(scene.content)
            yield scene
        if tiles and (made := tiles.thumbnail()):
            yield made


def probe(path: Path, identity: Identity) -> Iterator[Probe]:
    """Read a video's packets and decode none: one `Probe`.

    Raises:
        MediaError: it is no video, or a broken one.
        MemoryError: it takes more than this process may take.
    """
    from client.media.animation import probe_animation  # noqa: PLC0415 (late, as in load_spans)
    from client.media.video import probe_video  # noqa: PLC0415

    with _only_media_errors(identity):
        yield probe_animation(path) if _is_animation(path) else probe_video(path)


def load_sound(
    path: Path, identity: Identity, track: int | None, thumbnail: bool = True
) -> Iterator[SoundPart | Thumbnail]:
    """Decode the sound of a file, a piece at a time, then its end, and last, of sound alone, a thumbnail, if wanted.

    `track` is counted from 1, None is the default one. An animated picture has no sound.

    Raises:
        MediaError: it is neither video nor sound, or a broken one.
        MemoryError: it takes more than this process may take.
    """
    from client.media.sound import sound_pieces  # noqa: PLC0415 (late, as in load_spans)
    from client.media.waveform import Waveform  # noqa: PLC0415

    waveform = Waveform() if thumbnail and identity.kind is Kind.AUDIO else None
    with _only_media_errors(identity):
        if _is_animation(path):
            yield SoundEnd(0)
        else:
            yield from sound_pieces(path, track, waveform)
        if waveform and (drawn := waveform.thumbnail()):
            yield drawn


def _is_animation(path: Path) -> bool:
    """Whether a file that counts as a video is a picture that moves, which Pillow decodes."""
    head = _head(path)
    return head.startswith(_ANIMATED_STARTS) and sniff(head) is Kind.IMAGE


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
