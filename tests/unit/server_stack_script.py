"""`python server_stack_script.py PORT FOLDER MODE`: a stack of one part, like `python -m server up`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from server.display import Display
from server.errors import PartFailedError
from server.stack import Stack, run_until_signal
from server.supervision.part import Part, Probe
from server.supervision.reaper import Reaper

PART = Path(__file__).with_name("server_part.py")


async def main() -> int:
    port, folder, mode = sys.argv[1:]
    part = Part(
        name="toy",
        what="a toy",
        command=(sys.executable, str(PART), port, folder, mode),
        address=f"http://127.0.0.1:{port}",
        probe=Probe(f"http://127.0.0.1:{port}", "/health"),
        stop_grace_s=1.0,
        stages=(("stage two", "two"),),
    )
    display = Display(Console(width=200))
    runtime = Path(tempfile.mkdtemp(dir=folder, prefix="run-"))
    async with Reaper(runtime) as reaper:
        stack = Stack([part], logs=Path(folder), reaper=reaper, reporter=display)
        try:
            await run_until_signal(stack, display.running, display.stopping)
        except PartFailedError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
