"""A part that a test plays: answers GET /health on a port or a Unix socket, has a child, and misbehaves when told to.

`python server_part.py PORT-OR-SOCKET FOLDER MODE [HEARTBEAT]` writes its process ids to FOLDER/pids, a line per start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer, ThreadingUnixStreamServer


def note(event: str) -> None:
    """A line in FOLDER/events, which several parts may share."""
    with (Path(sys.argv[2]).parent / "events").open("a") as events:
        events.write(f"{event} {Path(sys.argv[2]).name}\n")


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if (Path(sys.argv[2]) / "ill").exists():
            time.sleep(3600)
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        note("slept" if self.path == "/sleep?level=1" else self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    listens, folder, mode = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    with (folder / "pids").open("a") as pids:
        pids.write(f"{os.getpid()} {child.pid}\n")
    note("started")
    print("stage two", flush=True)
    if mode == "fail":
        sys.exit("no weights in the box")
    while mode == "told" and not (folder / "go").exists():
        time.sleep(0.01)
    if mode == "stepping":  # as an engine does: it tells of a step that takes long
        from server.supervision.heartbeat import Heartbeat  # noqa: PLC0415

        Heartbeat(sys.argv[4]).step_begins()
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note("ignores")
    server: BaseServer
    if listens.isdecimal():
        server = ThreadingHTTPServer(("127.0.0.1", int(listens)), Health)
    else:
        server = ThreadingUnixStreamServer(listens, Health)
    if mode.startswith("crash"):
        server.handle_request()
        if mode == "crash-asleep":
            server.handle_request()
        time.sleep(0.3)  # for the answer to leave
        os.kill(os.getpid(), signal.SIGSEGV)
    server.serve_forever()


if __name__ == "__main__":
    main()
