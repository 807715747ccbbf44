"""Sources for live sessions: a stream that a program sends, frame by frame, each with its own number in it."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
SENDER = """
import sys, time
sys.path[:0] = sys.argv[5].split(":")
from fractions import Fraction
import av
from media_files import SIZE, numbered
url, form, rate, options = sys.argv[1], sys.argv[2] or None, int(sys.argv[3]), dict(
    pair.split("=") for pair in sys.argv[4].split(",") if pair)
for attempt in range(100):  # who listens may not be there yet
    try:
        container = av.open(url, "w", format=form, options=options)
        quick = {"preset": "ultrafast", "tune": "zerolatency", "g": "2"}
        stream = container.add_stream("libx264", rate=rate, options=quick)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.thread_count = 1
        began = time.monotonic()
        for number in range(600):
            frame = av.VideoFrame.from_ndarray(numbered(number))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
            time.sleep(max(0, began + number / rate - time.monotonic()))
    except (av.FFmpegError, OSError):
        time.sleep(0.1)
"""


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def sending(url: str, form: str = "", *, rate: int = 20, options: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A process that sends frames 0, 1, 2, ... there, for half a minute at most."""
    where = ":".join(map(str, (HERE, HERE.parents[1])))
    process = subprocess.Popen([sys.executable, "-c", SENDER, url, form, str(rate), options, where])
    try:
        yield process
    finally:
        process.kill()
        process.wait()
