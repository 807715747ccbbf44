"""Frame-exact access to a video by presentation order, decoding as little as can be.

Two ways. `IndexedDecoder` knows every packet's time stamp after one pass over the file (no decoding), jumps to the
keyframe before each wanted frame and decodes from there, leaving out frames that no other needs. `InOrder`
decodes all from the beginning and tolerates errors: slower, right for every file, and used wherever the first
way cannot promise to be exact.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import av
import av.logging
import numpy as np
from av.video.frame import PictureType

from client.errors import DamagedError, InexactError, MediaError
from client.media.containers import ENCRYPTED
from client.media.jpeg import is_spoilt_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

NO_TIME = -(1 << 63)
"""Stands for a time that a file does not tell, as in FFmpeg."""

# Only where the bitstream says of a frame that *no* other frame refers to it. HEVC's mark speaks of one
# temporal layer alone, VP9 and AV1 have none.
_DISPOSABLE_CODECS = frozenset({"h264", "mpeg4", "mpeg1video", "mpeg2video"})
# Codecs whose marks of keyframes can be relied on, and whose packets are displayed frames one to one (not
# VP8's). The many others are old and their files small.
_SEEKABLE_CODECS = frozenset(
    {"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "prores", "dnxhd", "mjpeg", "theora"}
    | {"wmv2", "msmpeg4v3", "flv1", "h263"}
)
# Formats without time stamps, or with some only.
_ORDERED_FORMATS = frozenset({"mpeg", "h264", "hevc", "m4v", "mpegvideo", "obu"})
# Codecs of which damage shows in the decoder's log alone: its frames come as if nothing had been.
_TELLING_CODECS = frozenset({"av1", "libdav1d"})
# Formats of which damage shows in the demuxer's log alone: it goes on where it finds something again.
_TELLING_FORMATS = frozenset({"matroska,webm"})
# So many packets after a frame show whether any of them is shown before it.
_LOOKAHEAD_PACKETS = 4
# How far before a keyframe seeking may have to aim to land before it.
_SEEK_MARGINS_S = (Fraction(1, 2), 2, 8)


class Packets(NamedTuple):
    """A stream's packets in decoding order, a column for each property: hours have hundreds of thousands."""

    pts: NDArray[np.int64]
    """In the stream's time base, as `dts` and `duration`."""
    dts: NDArray[np.int64]
    duration: NDArray[np.int64]
    size: NDArray[np.int64]
    """Bytes."""
    key: NDArray[np.bool_]
    """Whether decoding can begin here."""
    hidden: NDArray[np.bool_]
    position: int
    """The byte of the file at which the first one begins; 0 where that is unknown."""

    def shown(self) -> tuple[NDArray[np.int64], int]:
        """When frames are shown, ascending, as far as it is told; and the duration of the last of them."""
        times = np.where(self.pts == NO_TIME, self.dts, self.pts)[~self.hidden]
        order = np.argsort(times, kind="stable")
        return times[order], int(self.duration[~self.hidden][order[-1]]) if len(order) else 0


def _demux(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    # After the last packet PyAV stumbles over streams that begin in mid-file, as in recordings of broadcasts.
    with suppress(IndexError):
        yield from container.demux(stream)


@contextmanager
def _complaints(*, heard: bool) -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg calls an error in its log meanwhile; nothing where it is not to be heard."""
    if not heard:
        yield []
        return
    level, repeated = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as lines:
            yield lines
    finally:
        av.logging.set_skip_repeated(repeated)
        av.logging.set_level(level)


def _is_spoilt(packet: av.Packet[VideoStream], codec: str) -> bool:
    """Whether the packet is a JPEG, of which FFmpeg's decoder says nothing, that is not what it was."""
    return codec == "mjpeg" and is_spoilt_jpeg(bytes(packet))


def scan(container: InputContainer, stream: VideoStream) -> tuple[Packets, bool]:
    """Read all packets, decode none; and say whether nothing was amiss.

    Raises:
        MediaError: they are encrypted.
    """
    pts, dts, duration, size, key, hidden = (array(kind) for kind in "qqqqbb")
    clean, position = True, 0
    with _complaints(heard=container.format.name in _TELLING_FORMATS) as complaints:
        try:
            for packet in _demux(container, stream):
                if packet.size == 0:  # the flush packet that ends the demuxer's sequence
                    continue
                if packet.is_corrupt:  # such as the last one of a file that was cut
                    clean = False
                    continue
                if packet.has_sidedata("encryption_info"):
                    raise MediaError(ENCRYPTED)
                if not pts:
                    position = packet.pos or 0
                pts.append(NO_TIME if packet.pts is None else packet.pts)
                dts.append(NO_TIME if packet.dts is None else packet.dts)
                duration.append(packet.duration or 0)
                size.append(packet.size)
                key.append(packet.is_keyframe)
                hidden.append(packet.is_discard)
        except av.FFmpegError:
            clean = False
        clean = clean and not complaints
    numbers = [np.frombuffer(column, np.int64) for column in (pts, dts, duration, size)]
    marks = [np.frombuffer(column, np.bool_) for column in (key, hidden)]
    return Packets(*numbers, *marks, position=position), clean  # type: ignore[arg-type,misc]


class IndexedDecoder:
    """Decodes single frames of a file whose packets are known."""

    def __init__(self, container: InputContainer, stream: VideoStream, packets: Packets) -> None:
        """Check that time stamps of packets tell the displayed frames.

        Raises:
            InexactError: they do not.
        """
        self._container, self._stream, self._known = container, stream, packets
        self.errors = 0
        """Of the packets that were decoded so far: those whose frames came, but are not what they were."""
        self._order = np.argsort(packets.pts, kind="stable")
        ascending = packets.pts[self._order]
        self._ascending = array("q", ascending.tobytes())
        shown, _ = packets.shown()
        if (
            container.format.name in _ORDERED_FORMATS
            or stream.codec_context.codec.canonical_name not in _SEEKABLE_CODECS
            or not len(shown)
            or ascending[0] == NO_TIME
            or not np.diff(ascending).all()
            or not packets.key[0]
            # Frames shown before the first keyframe refer to what came before it: decoders drop them.
            or shown[0] < packets.pts[0]
            # AVI has no display times, and what is guessed for it may be wrong.
            or (container.format.name == "avi" and stream.codec_context.has_b_frames)
        ):
            raise InexactError
        # No frame was reordered, although the codec may: or nobody noted where it is really shown.
        self._doubtful = bool(stream.codec_context.has_b_frames) and np.array_equal(packets.pts, shown)

    def frames(self, wanted: Iterable[int]) -> Iterator[av.VideoFrame]:
        """Decode the frames with these presentation times (from `shown`), in order.

        Raises:
            InexactError: a frame did not come out.
            DamagedError: a frame's picture is not what it was.
            av.FFmpegError: the file is damaged.
        """
        groups: dict[int, list[int]] = {}
        for pts in sorted(wanted):
            groups.setdefault(self._start(pts), []).append(pts)
        for start, times in groups.items():
            missing = set(times)
            before: int | None = None
            for frame in self._decode(start, times):
                if frame.pts is None or (before is not None and frame.pts <= before):
                    raise InexactError  # these are not the times at which they are shown
                # Some files call every packet a keyframe, also those that refer to others.
                if before is None and frame.pict_type not in (PictureType.NONE, PictureType.I, PictureType.SI):
                    raise InexactError
                if frame.is_corrupt:
                    raise DamagedError
                before = frame.pts
                if frame.pts in missing:
                    missing.remove(frame.pts)
                    yield frame
            if missing:
                raise InexactError

    def _index(self, pts: int | None) -> int | None:
        """The index in decoding order of the packet with this time."""
        if pts is None:
            return None
        rank = bisect_left(self._ascending, pts)
        found = rank < len(self._ascending) and self._ascending[rank] == pts
        return int(self._order[rank]) if found else None

    def _start(self, pts: int) -> int:
        """Where decoding must begin to get the packet with this time right."""
        before = slice((self._index(pts) or 0) + 1)
        # Frames shown before their keyframe (open GOP) also refer to the group before it.
        starts = np.flatnonzero(self._known.key[before] & (self._known.pts[before] <= pts))
        if not len(starts):
            raise InexactError
        return int(starts[-1])

    def _decode(self, start: int, times: list[int]) -> Iterator[av.VideoFrame]:
        wanted = {index for pts in times if (index := self._index(pts)) is not None}
        last = max(wanted)
        codec = self._stream.codec_context
        can_skip = codec.name in _DISPOSABLE_CODECS and not self._doubtful
        if self._doubtful:
            last = min(last + _LOOKAHEAD_PACKETS, len(self._known.pts) - 1)
        first_shown = int(self._known.pts[start])
        with _complaints(heard=codec.name in _TELLING_CODECS) as complaints:
            for index, packet in self._packets(start):
                if packet.pts is not None and packet.pts < first_shown:
                    continue  # shown before the keyframe: refers to a group that was not decoded
                needed = index in wanted or self._known.key[index]
                codec.skip_frame = "NONREF" if can_skip and not needed else "DEFAULT"
                frames = packet.decode()
                self.errors += bool(complaints) or (index in wanted and _is_spoilt(packet, codec.name))
                complaints.clear()
                yield from frames
                if index == last:
                    break
        # All that the last wanted frame needs has been sent: the decoder gives it up without reading on.
        yield from self._stream.decode(None)

    def _packets(self, start: int) -> Iterator[tuple[int, av.Packet[VideoStream]]]:
        """Packets from `start` on, with their places in decoding order."""
        # Some demuxers seek by presentation time, some by decoding time, which is the lower one, and some land
        # a bit behind.
        columns = self._known.pts, self._known.dts
        times = [int(column[start]) for column in columns if column[start] != NO_TIME]
        tick = self._stream.time_base or Fraction(1)
        for time in (*times, *(min(times) - round(margin / tick) for margin in _SEEK_MARGINS_S)):
            self._container.seek(time, stream=self._stream)
            arrived = False
            for packet in _demux(self._container, self._stream):
                index = self._index(packet.pts)
                # In a transport stream the first packet may be the rest of one.
                whole = index is not None and packet.size == self._known.size[index]
                if packet.size == 0 or (arrived and not whole) or (index is not None and index > start and not arrived):
                    break
                arrived = arrived or (index == start and whole)
                if arrived and index is not None:
                    yield index, packet
            if arrived:
                return
        raise InexactError


class InOrder:
    """Decodes a freshly opened stream from the beginning to its end, whatever is broken on the way."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        """Wrap a stream of which nothing was read."""
        self._container, self._stream = container, stream
        self.errors = 0
        """Packets that could not be read or (wholly) decoded, so far; not those before the first keyframe, because
        recordings of broadcasts begin in the middle of something."""

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """All frames in the order of presentation."""
        packets = _demux(self._container, self._stream)
        codec = self._stream.codec_context.name
        begun = False
        with _complaints(heard=codec in _TELLING_CODECS) as complaints:
            while True:
                try:
                    packet = next(packets)
                except (StopIteration, av.EOFError):
                    return
                except av.FFmpegError:
                    self.errors += 1
                    return
                begun = begun or packet.is_keyframe
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self.errors += begun
                    continue
                begun = begun or bool(frames)
                spoilt = bool(complaints) or any(frame.is_corrupt for frame in frames) or _is_spoilt(packet, codec)
                self.errors += begun and spoilt
                complaints.clear()
                yield from frames
