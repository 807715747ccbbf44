"""`python reaper_process.py FOLDER [--detach]`: kills process groups and removes FOLDER when its standard input ends.

Before that it reads the groups: `+GROUP` to be killed, `-GROUP` gone by itself.
Detached it is no child of who starts it: Ray kills the children of an actor that ends, and the last one to go must
not be among the first.
A script without imports of ours: it must be there at once and weigh nothing.
"""

import os
import shutil
import signal
import sys


def main(folder: str, *options: str) -> None:
    """Wait for the supervisor to end."""
    if "--detach" in options:
        if os.fork():
            os._exit(0)
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line[0] == "+" else groups.discard
        change(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
