"""Frame-exact access to a video by presentation order, decoding as little as can be.

Two ways. `Seeker` knows every packet's time stamp after one pass over the file (no decoding), jumps to the
keyframe before each wanted frame and decodes from there, leaving out frames that no other needs. `InOrder`
decodes all from the beginning and tolerates errors: slower, right for every file, and used wherever the first
way cannot promise to be exact.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import av

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

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
# So many packets after a frame show whether any of them is shown before it.
_PROBE = 4
# How far before a keyframe seeking may have to aim to land before it, in seconds.
_RUN_UPS = (Fraction(1, 2), 2, 8)


class InexactError(Exception):
    """Seeking cannot promise the right frames of this file."""


class Entry(NamedTuple):
    """A packet: times in the stream's time base, whether decoding can begin at it, and its size in bytes."""

    pts: int | None
    dts: int | None
    key: bool
    hidden: bool
    duration: int
    size: int


def scan(container: InputContainer, stream: VideoStream) -> tuple[list[Entry], bool]:
    """Read all packets, decode none: the entries in decoding order, and whether nothing was amiss."""
    entries: list[Entry] = []
    clean = True
    try:
        for packet in container.demux(stream):
            if packet.size == 0:  # the flush packet that ends the demuxer's sequence
                continue
            if packet.is_corrupt:  # such as the last one of a file that was cut
                clean = False
                continue
            marks = packet.is_keyframe, packet.is_discard
            entries.append(Entry(packet.pts, packet.dts, *marks, packet.duration or 0, packet.size))
    except av.FFmpegError:
        clean = False
    return entries, clean


class Seeker:
    """Decodes single frames of a file whose packets are known."""

    def __init__(self, container: InputContainer, stream: VideoStream, entries: list[Entry]) -> None:
        """Check that time stamps of packets tell the displayed frames.

        Raises:
            InexactError: they do not.
        """
        self._container, self._stream, self._entries = container, stream, entries
        self._where = {entry.pts: place for place, entry in enumerate(entries)}
        shown = [entry.pts for entry in entries if entry.pts is not None and not entry.hidden]
        if (
            container.format.name in _ORDERED_FORMATS
            or stream.codec_context.codec.canonical_name not in _SEEKABLE_CODECS
            or not shown
            or None in self._where
            or len(self._where) != len(entries)
            or not entries[0].key
            # Frames shown before the first keyframe refer to what came before it: decoders drop them.
            or min(shown) < (entries[0].pts or 0)
            # AVI has no display times, and what is guessed for it may be wrong.
            or (container.format.name == "avi" and stream.codec_context.has_b_frames)
        ):
            raise InexactError
        # No frame was reordered, although the codec may: or nobody noted where it is really shown.
        self._doubtful = bool(stream.codec_context.has_b_frames) and [*self._where] == sorted(shown)

    def frames(self, wanted: Iterable[int]) -> Iterator[av.VideoFrame]:
        """Decode the frames with these presentation times (from `shown`), in order.

        Raises:
            InexactError: a frame did not come out.
            av.FFmpegError: the file is damaged.
        """
        groups: dict[int, list[int]] = {}
        for pts in sorted(wanted):
            groups.setdefault(self._start(self._where[pts]), []).append(pts)
        for start, times in groups.items():
            missing = set(times)
            before: int | None = None
            for frame in self._decode(start, times):
                if frame.pts is None or (before is not None and frame.pts <= before):
                    raise InexactError  # these are not the times at which they are shown
                before = frame.pts
                if frame.pts in missing:
                    missing.remove(frame.pts)
                    yield frame
            if missing:
                raise InexactError

    def _start(self, place: int) -> int:
        """Where decoding must begin to get the packet at `place` right."""
        shown_at = self._entries[place].pts
        for start in range(place, -1, -1):
            entry = self._entries[start]
            # Frames shown before their keyframe (open GOP) also refer to the group before it.
            if entry.key and entry.pts is not None and shown_at is not None and entry.pts <= shown_at:
                return start
        raise InexactError

    def _decode(self, start: int, times: list[int]) -> Iterator[av.VideoFrame]:
        wanted = {self._where[pts] for pts in times}
        last = max(wanted)
        codec = self._stream.codec_context
        can_skip = codec.name in _DISPOSABLE_CODECS and not self._doubtful
        if self._doubtful:
            last = min(last + _PROBE, len(self._entries) - 1)
        first_shown = self._entries[start].pts or 0
        for place, packet in self._packets(start):
            if packet.pts is not None and packet.pts < first_shown:
                continue  # shown before the keyframe: refers to a group that was not decoded
            needed = place in wanted or self._entries[place].key
            codec.skip_frame = "NONREF" if can_skip and not needed else "DEFAULT"
            yield from packet.decode()
            if place == last:
                break
        # All that the last wanted frame needs has been sent: the decoder gives it up without reading on.
        yield from self._stream.decode(None)

    def _packets(self, start: int) -> Iterator[tuple[int, av.Packet[VideoStream]]]:
        """Packets from `start` on, with their places in decoding order."""
        entry = self._entries[start]
        # Some demuxers seek by presentation time, some by decoding time, which is the lower one, and some land
        # a bit behind.
        times = [time for time in (entry.pts, entry.dts) if time is not None]
        tick = self._stream.time_base or Fraction(1)
        for time in (*times, *(min(times) - round(run_up / tick) for run_up in _RUN_UPS)):
            self._container.seek(time, stream=self._stream)
            arrived = False
            for packet in self._container.demux(self._stream):
                place = self._where.get(packet.pts)
                # In a transport stream the first packet may be the rest of one.
                whole = place is not None and packet.size == self._entries[place].size
                if packet.size == 0 or (arrived and not whole) or (place is not None and place > start and not arrived):
                    break
                arrived = arrived or (place == start and whole)
                if arrived and place is not None:
                    yield place, packet
            if arrived:
                return
        raise InexactError


class InOrder:
    """Decodes a freshly opened stream from the beginning to its end, whatever is broken on the way."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        """Nothing is read yet."""
        self._container, self._stream = container, stream
        self.errors = 0
        """Packets that could not be read or decoded, so far; not those before the first good frame, because
        recordings of broadcasts begin in the middle of something."""

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """All frames in the order of presentation."""
        packets = self._container.demux(self._stream)
        begun = False
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.EOFError):
                return
            except av.FFmpegError:
                self.errors += 1
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.errors += begun
                continue
            begun = begun or bool(frames)
            yield from frames
