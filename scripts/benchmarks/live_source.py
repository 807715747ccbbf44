"""A camera for `scripts.benchmarks.live`: it shows the colour that a schedule has for now.

    python -m scripts.benchmarks.live_source rtsp://127.0.0.1:8554/camera schedule.json

The schedule is a list of [when, colour], seconds since 1970 and RGB. It sends until it is killed, and comes back by
itself when whom it sends to is not there.
"""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE, SIZE = 10, (320, 180)
_AGAIN_S = 0.3


def main(url: str, schedule: list[tuple[float, list[int]]]) -> None:
    """Send for ever."""
    protocol = url.partition("://")[0]
    form, options = ("rtsp", {"rtsp_transport": "tcp"}) if protocol == "rtsp" else ("mpegts", {})
    while True:
        try:
            _send(url, form, options, schedule)
        except (av.FFmpegError, OSError):
            time.sleep(_AGAIN_S)


def _send(url: str, form: str, options: dict[str, str], schedule: list[tuple[float, list[int]]]) -> None:
    with av.open(url, "w", format=form, options=options) as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE)}
        )
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        began_s, number = time.monotonic(), 0
        while True:
            colour = next(shown for when_s, shown in reversed(schedule) if when_s <= time.time())
            pixels = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
            pixels[:] = colour
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            number += 1
            time.sleep(max(0.0, began_s + number / RATE - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()))
