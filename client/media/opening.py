"""A file is opened, and its video stream is found, which is not its cover picture, or a track of its sound."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import av
from av.stream import Disposition

from client.errors import MediaError
from client.media.containers import ENCRYPTED, Track, has_cipher, matroska_track, mp4_track

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from client.media.containers import Crop

# Files whose header may say all that opening them must tell, if they have no more streams than this.
_HEADER_ONLY_SUFFIXES, _HEADER_ONLY_STREAMS = frozenset({".mp4", ".m4v", ".mov"}), 8
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


class Opened(NamedTuple):
    """A video file, opened."""

    container: InputContainer
    stream: VideoStream
    crop: Crop | None
    """What its header takes off its pictures."""


@contextmanager
def opened(path: Path, *, strict: bool = True, quick: bool = False) -> Iterator[Opened]:
    """Open a file and find its video stream.

    A strict decoder reports errors, where the usual one hides them in the picture without a word. A `quick` look
    decodes nothing where the header is enough.

    Raises:
        MediaError: it cannot be opened, has no video, or is encrypted.
    """
    try:
        container = (quick and _open_undecoded(path)) or _open(path)
    except av.FFmpegError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise MediaError(f"cannot be opened as a video ({reason}): cut off, unfinished or not a video?") from error
    with container:
        videos = container.streams.video
        streams = [s for s in videos if not s.disposition & _NO_VIDEO]
        if not streams:
            found = "only sound" if container.streams.audio else "no sound either"
            cover = " and a cover picture" if videos else ""
            raise MediaError(f"no video stream in this file ({found}{cover})")
        # Of a codec that the decoder does not know, the stream says nothing at all.
        known = [s for s in streams if s.codec_context is not None]
        stream = _moving(path, known) if known else streams[0]
        track = track_of(path, container, stream)
        if track.encrypted:
            raise MediaError(ENCRYPTED)
        if not known:
            raise MediaError("the decoder does not know this video's codec, or the file is damaged")
        stream.thread_type = "NONE"  # every core already has a file of its own
        if strict:
            stream.codec_context.options = {"err_detect": "explode"}
        yield Opened(container, stream, track.crop)


class OpenedSound(NamedTuple):
    """A file, opened for its sound."""

    container: InputContainer
    stream: AudioStream | None
    """None: it is a video without sound."""
    zero_s: float
    """Where its clock starts, on that of the stream: with the first frame displayed, or with the sound itself."""
    warnings: tuple[str, ...] = ()


@contextmanager
def opened_sound(path: Path, track: int | None = None) -> Iterator[OpenedSound]:
    """Open a file and find a track of its sound: the one with this number, from 1, or else the default one.

    Raises:
        MediaError: it cannot be opened, has neither sound nor video, or is of a codec that the decoder does not know.
    """
    try:
        container = _open(path)
    except av.FFmpegError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise MediaError(f"cannot be opened ({reason}): cut off, unfinished, or neither video nor sound?") from error
    with container:
        tracks = container.streams.audio
        videos = [s for s in container.streams.video if not s.disposition & _NO_VIDEO and s.codec_context is not None]
        if not tracks:
            if not videos:
                raise MediaError("no sound in this file, and no video")
            yield OpenedSound(container, None, 0.0, ("there is no sound in this file",))
            return
        warnings: tuple[str, ...] = ()
        stream = next((s for s in tracks if s.disposition & Disposition.default), tracks[0])
        if track is not None and track <= len(tracks):
            stream = tracks[track - 1]
        elif track is not None:
            there = f"{len(tracks)} sound track{'s' * (len(tracks) != 1)}"
            warnings = (f"it has {there} and no number {track} (--audio-track): the default one was heard",)
        if stream.codec_context is None:
            raise MediaError("the decoder does not know the codec of this sound, or the file is damaged")
        stream.codec_context.thread_type = "NONE"  # every core already has a file of its own
        clock: AudioStream | VideoStream = _moving(path, videos) if videos else stream
        start = clock.start_time
        zero_s = float(start * clock.time_base) if start is not None and clock.time_base else 0.0
        yield OpenedSound(container, stream, zero_s, warnings)


def _open(path: Path, **options: object) -> InputContainer:
    # As a file, whatever its name looks like: without this, `Q4: Launch/a.mp4` would be read by the protocol "Q4".
    return av.open(f"file:{path}", metadata_errors="replace", **options)  # type: ignore[call-overload,no-any-return]  # PyAV's stub


def _open_undecoded(path: Path) -> InputContainer | None:
    """Open a file of which FFmpeg need not decode the first keyframe, as it does to learn what it holds; else None.

    The header of H.264 in MP4 says nearly all. How far frames are reordered stands there too if they are said to be:
    if not, that may have been left out.
    """
    if path.suffix.lower() not in _HEADER_ONLY_SUFFIXES:
        return None
    try:
        container = _open(path, stream_options=[{"skip_frame": "all"}] * _HEADER_ONLY_STREAMS)
    except ValueError:  # it is of another format, whose streams are known only after a while
        return None
    codecs = [stream.codec_context for stream in container.streams.video]
    if all(codec and codec.name == "h264" and codec.has_b_frames for codec in codecs):
        return container
    container.close()
    return None


def _moving(path: Path, streams: list[VideoStream]) -> VideoStream:
    """The default stream, or else the largest, of those that have more than one frame, if there are any."""
    if len(streams) > 1:
        stills = _stills(path, streams)
        streams = [stream for stream in streams if stream.index not in stills] or streams
    return max(streams, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))


def _stills(path: Path, streams: list[VideoStream]) -> set[int]:
    """The indices of those of these streams that hold one frame: covers that are not called so."""
    if all(stream.frames for stream in streams):
        return {stream.index for stream in streams if stream.frames == 1}
    counts = dict.fromkeys((stream.index for stream in streams), 0)
    with _open(path) as container, suppress(av.FFmpegError, IndexError):  # IndexError: see frames.py
        for packet in container.demux([s for s in container.streams.video if s.index in counts]):
            counts[packet.stream_index] += bool(packet.size)
            if min(counts.values()) > 1:
                break
    return {index for index, count in counts.items() if count <= 1}


def track_of(path: Path, container: InputContainer, stream: VideoStream) -> Track:
    """What the file's header says of its video stream; nothing where that cannot be read."""
    with suppress(OSError):
        names = container.format.name.split(",")
        if "mp4" in names:
            return mp4_track(path, stream.id)
        if "matroska" in names:
            videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
            width, height = (stream.width, stream.height) if stream.codec_context else (0, 0)
            return matroska_track(path, videos.index(stream), width, height)
        return Track(encrypted=has_cipher(path, names[0], stream.id))
    return Track()
