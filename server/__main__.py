"""`python -m server`: run the stack of a profile."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from server.alone import run_engine, run_gateway
from server.display import Display
from server.engines.dummy import with_dummy_weights
from server.errors import ProfileError, ServerError
from server.profile import available_profiles, load_profile
from server.sizing.check import check
from server.stack import run_until_signal, stack_of, write_ready_file
from server.status_table import DEFAULT_PORT, print_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.profile import Profile
    from server.supervision.supervisor import ProcessSupervisor

FAILED = 1
EXAMPLES = """\
examples:
  python -m server up --profile demo              start everything; Ctrl-C stops it
  python -m server up --profile demo --port 9000  the gateway on another port
  python -m server up --profile ./mine.toml       a profile of your own
  python -m server up --profile gpu-24gb --dummy-weights      real shapes, random weights: for benchmarks
  python -m server check --profile gpu-24gb       what would run, and whether it fits; starts nothing
  python -m server check --profile gpu-80gb --gpu-memory 79   the same for a card that is not here
  python -m server status                         how the parts of the running stack are
  python -m server models --profile demo          what a profile serves
parts alone, for containers:
  python -m server engine llama-3.2-11b-vision --profile gpu-80gb --host 0.0.0.0 --port 8000
  python -m server gateway --profile gpu-80gb --host 0.0.0.0 --translator http://translator:8003 \\
      --engine llama-3.2-11b-vision=http://vision:8000 --engine llava-next-video-7b=http://video:8000

settings: command line > environment (BABELVIEW_PROFILE, BABELVIEW_HOST, BABELVIEW_PORT,
BABELVIEW_TRANSLATOR_PORT, BABELVIEW_LOG_DIR) > profile.
exit codes of `up`: 0 stopped by Ctrl-C or SIGTERM while it ran, 1 failed or a part was given up, 2 usage,
128 + signal stopped before it was ready (130 for Ctrl-C).
`check`: 0 it would run, 1 it would not. `status`: 0 all parts are ready, 1 one is not, 3 nothing runs.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    args = _parser().parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=140)
    try:
        if args.command == "status":
            return print_status(_port(args.port, "BABELVIEW_PORT") or DEFAULT_PORT, console, as_json=args.json)
        name = args.profile or os.environ.get("BABELVIEW_PROFILE", "demo")
        profile = load_profile(name).with_settings(
            host=args.host or os.environ.get("BABELVIEW_HOST"),
            port=_port(args.port, "BABELVIEW_PORT"),
            translator_port=_port(args.translator_port, "BABELVIEW_TRANSLATOR_PORT"),
        )
        if args.dummy_weights:
            profile = with_dummy_weights(profile)
        if args.command == "models":
            _print_models(profile, console)
            return 0
        if args.command == "check":
            return 0 if check(profile, console, args.gpu_memory) else FAILED
        if args.command == "engine":
            run_engine(profile, args.model, profile.gateway.host, profile.gateway.port)
        if args.command == "gateway":
            run_gateway(profile, dict(args.engine), args.translator)
            return 0
        logs = args.log_dir or Path(os.environ.get("BABELVIEW_LOG_DIR", "logs"))
        return asyncio.run(_up(profile, logs, args.ready_file, console))
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


async def _up(profile: Profile, logs: Path, ready_file: Path | None, console: Console) -> int:
    display = Display(console)
    was_healthy = False
    async with stack_of(profile, logs=logs, reporter=display) as stack:

        def when_healthy(supervisors: Sequence[ProcessSupervisor]) -> None:
            nonlocal was_healthy
            was_healthy = True
            display.running(supervisors)
            if ready_file:
                write_ready_file(ready_file, _ready(supervisors))

        number = await run_until_signal(stack, when_healthy, display.stopping)
    if not was_healthy:
        return 128 + number
    return FAILED if any(supervisor.given_up for supervisor in stack.supervisors) else 0


def _ready(supervisors: Sequence[ProcessSupervisor]) -> dict[str, object]:
    """What a script that started the stack wants to know."""
    addresses = {supervisor.part.name: supervisor.part.address for supervisor in supervisors}
    return {
        "endpoint": addresses["gateway"],
        "translator": addresses.get("translator"),
        "pid": os.getpid(),
        "parts": {k.part.name: {"pid": k.pid, "start_seconds": k.start_s} for k in supervisors},
    }


def _port(given: int | None, variable: str) -> int | None:
    """A port from the command line, or else from the environment."""
    if given is not None or variable not in os.environ:
        return given
    try:
        return port_number(os.environ[variable])
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise ProfileError(f"{variable}: {error}") from error


def port_number(text: str) -> int:
    """A TCP port, or 0 for a free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"not a port between 0 and 65535: {text!r}")
    return int(text)


def _name_and_url(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not (name and equals and url):
        raise argparse.ArgumentTypeError(f"not NAME=URL: {text!r}")
    return name, url


def _gibibytes(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < math.inf:
        raise argparse.ArgumentTypeError(f"not a size in GiB: {text!r}")
    return size


def _print_models(profile: Profile, console: Console) -> None:
    table = Table()
    for column in ("served name", "aliases", "weights", "context", "frames", "pictures"):
        table.add_column(column, overflow="fold")
    for engine in profile.engines:
        limits = (engine.max_model_len, engine.max_frames, engine.max_images)
        table.add_row(engine.name, ", ".join(engine.aliases), engine.model, *(str(limit or "-") for limit in limits))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Host Babelview's models.",
        epilog=EXAMPLES,
        formatter_class=formatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="{up,check,status,models,engine,gateway}")
    common = argparse.ArgumentParser(add_help=False)
    known = ", ".join(available_profiles())
    common.add_argument("--profile", help=f"{known}, or a .toml file (default: demo)")
    common.add_argument("--host", help="where the gateway listens (default: the profile's, loopback)")
    common.add_argument("--port", type=port_number, help="the gateway's port; 0 takes a free one")
    common.add_argument("--translator-port", type=port_number, help="the translator's port; 0 takes a free one")
    common.add_argument(
        "--dummy-weights",
        action="store_true",
        help="random weights of the published shapes, no download: answers are noise, as long as max_tokens allows",
    )
    up = commands.add_parser(
        "up", parents=[common], help="start a profile's stack", epilog=EXAMPLES, formatter_class=formatter
    )
    up.add_argument("--log-dir", type=Path, help="a log per part goes there (default: logs)")
    up.add_argument("--ready-file", type=Path, help="JSON with addresses and process ids, written when all is healthy")
    look = commands.add_parser(
        "check", parents=[common], help="what would run, and does it fit", epilog=EXAMPLES, formatter_class=formatter
    )
    look.add_argument(
        "--gpu-memory", type=_gibibytes, metavar="GIB", help="ask for cards of this size instead of those here"
    )
    status = commands.add_parser(
        "status", help="how the parts of a running stack are", epilog=EXAMPLES, formatter_class=formatter
    )
    status.add_argument("--port", type=port_number, help=f"the gateway's port (default: {DEFAULT_PORT})")
    status.add_argument("--json", action="store_true", help="the same for scripts")
    engine = commands.add_parser(
        "engine", parents=[common], help="one engine alone", epilog=EXAMPLES, formatter_class=formatter
    )
    engine.add_argument("model", help="the served name of its model")
    gateway = commands.add_parser(
        "gateway", parents=[common], help="the gateway alone", epilog=EXAMPLES, formatter_class=formatter
    )
    gateway.add_argument(
        "--engine", type=_name_and_url, action="append", default=[], metavar="NAME=URL", help="where a model is served"
    )
    gateway.add_argument("--translator", metavar="URL", help="where the translator is")
    commands.add_parser("models", parents=[common], help="list what a profile serves")
    return parser


if __name__ == "__main__":
    sys.exit(main())
