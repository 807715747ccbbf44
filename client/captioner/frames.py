"""Pictures that make one video: it is put together on the disk, and goes the way of all videos from there."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from client.errors import MediaError
from client.media.image import picture_size
from client.media.kinds import Animated, Kind
from client.media.load import identify
from client.media.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from client.media.load import Identity
    from client.media.loaders import Loaders

_RATE = 1
"""Frames a second: when they were taken is not told."""


def join(pictures: Sequence[Path], video: Path, loaders: Loaders) -> None:
    """Make a video of pictures, which are decoded by the processes of `loaders`; for a thread.

    Raises:
        MediaError: one is no picture, or cannot be decoded; the message says which.
    """
    with av.open(str(video), "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=_RATE)
        stream.pix_fmt = "yuvj420p"
        for number, jpeg in enumerate(_jpegs(pictures, loaders)):
            if not number:
                draft = video.with_suffix(".jpg")
                draft.write_bytes(jpeg)
                stream.width, stream.height = picture_size(draft)
                draft.unlink()
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base = stream, Fraction(1, _RATE)
            packet.pts = packet.dts = number
            packet.duration = 1
            packet.is_keyframe = True
            container.mux(packet)


def _jpegs(pictures: Sequence[Path], loaders: Loaders) -> Iterator[bytes]:
    """Each picture as a JPEG, as it is loaded for a model."""
    for number, picture in enumerate(pictures):
        try:
            with closing(loaders.load(picture, _identity(picture), Sampling())) as contents:
                for content in contents:
                    yield content.jpegs[0]
        except MediaError as error:
            raise MediaError(f"frame {number}: {error}") from error


def _identity(picture: Path) -> Identity:
    identity = identify(picture, Animated.FIRST)
    if identity.problem or identity.kind is not Kind.IMAGE:
        raise MediaError(identity.problem or f"it is a {identity.kind}, not a picture")
    return identity
