"""The batch client: `babelview batch ./ads`, or `python -m client.batch ./ads`; see `--help`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from client.cli import signals

if __name__ == "__main__":
    signals.end_at_once(signals.say_interrupted)

from client.cli.command import invoke
from client.cli.settings import batch_command, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.cli.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a batch within this process; returns the exit code.

    Raises:
        SystemExit: with code 2 and a message, if the arguments are wrong.
    """
    return _run(read_settings(arguments))


def _run(settings: Settings) -> int:
    if settings.ray:
        from client.cli.ray_run import run_on_ray  # noqa: PLC0415

        return run_on_ray(settings)
    # Imported late: HTTP and all that takes half a second, which --help need not wait for.
    from client.media.fork_server import ForkServer  # noqa: PLC0415

    fork_server = ForkServer()
    if not settings.dry_run:
        fork_server.start()  # it imports the decoders, while this process imports the rest
    try:
        from client.cli.run import run  # noqa: PLC0415

        return run(settings, fork_server)
    finally:
        fork_server.close()


def _run_and_leave(settings: Settings) -> None:
    signals.open_closed_streams()
    again = None if settings.dry_run else settings.command_line
    signals.end_at_once(partial(signals.say_interrupted, again))
    signals.leave(_run(settings))


command = batch_command(_run_and_leave)

if __name__ == "__main__":
    signals.leave(invoke(command, None, "python -m client.batch"))
