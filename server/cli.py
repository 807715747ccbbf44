"""The commands of the server: `babelview up` and `python -m server up` are the same code.

Only click is imported before the arguments are parsed; what a command needs it imports itself.
"""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from server.command import CONTEXT, Command, Option, run
from server.exit_codes import FAILED, INTERRUPTED
from server.quantize import quantize
from server.shipped_profiles import available_profiles
from server.signals import raise_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from server.profile import Profile

DEFAULT_PORT = 8000
EXAMPLES = """\b
examples:
  babelview up --profile demo                       start everything; Ctrl-C stops it
  babelview up --profile demo --port 9000           the gateway on another port
  babelview up --profile ./mine.toml                a profile of your own
  babelview up --profile gpu-24gb --dummy-weights   real shapes, random weights: for benchmarks
  babelview check --profile gpu-24gb                what would run, and whether it fits; starts nothing
  babelview check --profile gpu-80gb --gpu-memory 79    the same for a GPU that is not here
  babelview status                                  how the parts of the running stack are
  babelview models --profile demo                   what a profile serves
  babelview selftest --profile demo                 prove it: start it, measure it, compare with transformers

\b
one part alone, for containers:
  babelview engine llama-3.2-11b-vision --profile gpu-80gb --host 0.0.0.0 --port 8000
  babelview gateway --profile gpu-80gb --host 0.0.0.0 --translator http://translator:8003 \\
      --engine llama-3.2-11b-vision=http://vision:8000 --engine llava-next-video-7b=http://video:8000 \\
      --engine whisper-large-v3-turbo=http://speech:8000 --captioner http://captioner:8004

\b
settings: command line > environment (BABELVIEW_PROFILE, BABELVIEW_HOST, BABELVIEW_PORT,
BABELVIEW_TRANSLATOR_PORT, BABELVIEW_CORS, BABELVIEW_LOG_DIR) > profile > default. Other options of the translator are
set in the profile alone ([translator] args): their variables are for `babelview translate`.
exit codes of `up`: 0 stopped by Ctrl-C or SIGTERM while it ran, 1 failed or a part was given up, 2 usage,
128 + signal stopped before it was ready (130 for Ctrl-C).
`check`: 0 it would run, 1 it would not. `selftest`: 0 nothing failed, 1 something did.
`status`: 0 all parts are ready, 1 one is not, 3 nothing runs.
"""


class _NameAndUrl(click.ParamType[tuple[str, str]]):
    """`NAME=URL`."""

    name = "NAME=URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split it."""
        if isinstance(value, tuple):
            return value
        name, equals, url = str(value).partition("=")
        if not (name and equals and url):
            self.fail(f"not NAME=URL: {value!r}", param, ctx)
        return name, url


class _Gibibytes(click.ParamType[float]):
    """A positive size in GiB."""

    name = "GIB"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        try:
            size = float(value)
        except ValueError:
            size = 0.0
        if not 0 < size < math.inf:
            self.fail(f"not a size in GiB: {value!r}", param, ctx)
        return size


class _Origin(click.ParamType[str]):
    """An origin of web pages, or `*`."""

    name = "ORIGIN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it."""
        from server.gateway.config import check_origin  # noqa: PLC0415

        try:
            return check_origin(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


PORT = click.IntRange(0, 65535)
Function = TypeVar("Function", bound="Callable[..., Any]")


def _of_a_profile(function: Function, listener: str = "gateway") -> Function:
    """The options of every command that reads a profile; None means that the profile decides.

    `listener`: what listens at `--host` and `--port`.
    """
    known = ", ".join(available_profiles())
    options = (
        click.option(
            "--profile",
            default="demo",
            show_default=True,
            envvar="BABELVIEW_PROFILE",
            show_envvar=True,
            cls=Option,
            metavar="NAME",
            help=f"{known}, or a .toml file.",
        ),
        click.option(
            "--host",
            envvar="BABELVIEW_HOST",
            show_envvar=True,
            cls=Option,
            help=f"Where the {listener} listens; by default the profile's, loopback.",
        ),
        click.option(
            "--port",
            type=PORT,
            metavar="N",
            envvar="BABELVIEW_PORT",
            show_envvar=True,
            cls=Option,
            help=f"The {listener}'s port; 0 takes a free one.",
        ),
        click.option(
            "--translator-port",
            type=PORT,
            metavar="N",
            envvar="BABELVIEW_TRANSLATOR_PORT",
            show_envvar=True,
            cls=Option,
            help="The translator's port; 0 takes a free one.",
        ),
        click.option(
            "--cors",
            type=_Origin(),
            multiple=True,
            metavar="ORIGIN",
            envvar="BABELVIEW_CORS",
            show_envvar=True,
            cls=Option,
            help="Pages of this origin (https://chat.example.org) may ask the gateway from a browser; * for all. "
            "May be given several times; in the environment with spaces between.",
        ),
        click.option(
            "--dummy-weights",
            is_flag=True,
            help="Random weights of the published shapes, no download: answers are noise of max_tokens.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _command(
    name: str, *, of_a_profile: bool = True, listener: str = "gateway"
) -> Callable[[Callable[..., Any]], click.Command]:
    def made(function: Callable[..., Any]) -> click.Command:
        command = click.command(name, cls=Command, epilog=EXAMPLES, context_settings=CONTEXT)
        return command(_of_a_profile(function, listener) if of_a_profile else function)

    return made


@_command("up")
@click.option(
    "--log-dir",
    type=click.Path(path_type=Path),
    default="logs",
    show_default=True,
    envvar="BABELVIEW_LOG_DIR",
    show_envvar=True,
    cls=Option,
    help="Gets a log for each part.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="Gets JSON with addresses and process ids, written when all is healthy.",
)
def up(log_dir: Path, ready_file: Path | None, **settings: Any) -> int:
    """Start the stack of a profile: models, gateway, translator."""
    profile = _profile_here(**settings)
    try:
        from server.up import up as run_stack  # noqa: PLC0415

        return asyncio.run(run_stack(profile, logs=log_dir, ready_file=ready_file, console=_console(goes_on=True)))
    except KeyboardInterrupt:
        return INTERRUPTED


@_command("check")
@click.option(
    "--gpu-memory", type=_Gibibytes(), metavar="GIB", help="Ask for GPUs of this size instead of those of this machine."
)
@click.option("--commands", is_flag=True, help="Show the command line of each process, too.")
def check(gpu_memory: float | None, commands: bool, **settings: Any) -> int:
    """Say what would run here, and whether it fits; start nothing."""
    from server.check import check as run_check  # noqa: PLC0415

    profile = _profile_here(**settings)
    return 0 if run_check(profile, _console(), gpu_memory, show_commands=commands) else FAILED


@_command("selftest")
@click.option("--only", type=click.Choice(["models", "stack"]), help="Leave out the other part.")
@click.option("--running", is_flag=True, help="Measure the stack that runs behind --port instead of starting one.")
@click.option(
    "--limit", type=click.IntRange(10), default=600, show_default=True, metavar="S", help="Seconds for everything."
)
@click.option("--json", "as_json", is_flag=True, help="The same for scripts.")
def selftest(only: str | None, running: bool, limit: int, as_json: bool, **settings: Any) -> int:
    """Check what holds on this machine: models against transformers, the stack against its sums and limits.

    Models: toys with random weights, in the engines that there are here. Stack: start, memory, tokens, pictures and
    videos a second of the profile's real shapes. What cannot be run here is listed, with the reason.
    """
    from server.selftest.command import run_selftest  # noqa: PLC0415

    raise_interrupts()
    port = settings["port"] if settings["port"] is not None else DEFAULT_PORT
    profile = _profile_here(**settings)
    return run_selftest(
        profile,
        settings["profile"],
        parts=(only,) if only else ("models", "stack"),
        running_port=port if running else None,
        limit_s=limit,
        console=None if as_json else _console(),
    )


@_command("status", of_a_profile=False)
@click.option(
    "--port",
    type=PORT,
    metavar="N",
    default=DEFAULT_PORT,
    show_default=True,
    envvar="BABELVIEW_PORT",
    show_envvar=True,
    cls=Option,
    help="The gateway's port.",
)
@click.option("--json", "as_json", is_flag=True, help="The same for scripts.")
def status(port: int, as_json: bool) -> int:  # as click calls it
    """Show how the parts of the running stack are."""
    from server.status_table import print_status  # noqa: PLC0415

    return print_status(port, _console(), as_json=as_json)


@_command("models")
def models(**settings: Any) -> int:
    """List what a profile serves."""
    from server.display import models_table  # noqa: PLC0415

    _console().print(models_table(_profile(**settings)))
    return 0


@_command("engine", listener="engine")
@click.argument("model")
def engine(model: str, **settings: Any) -> None:
    """Run one engine alone, for containers: the one that serves MODEL."""
    from server.alone import run_engine  # noqa: PLC0415

    profile = _profile_here(**settings)
    run_engine(profile, model, profile.gateway.host, profile.gateway.port)


@_command("gateway")
@click.option(
    "--engine",
    "engines",
    type=_NameAndUrl(),
    multiple=True,
    metavar="NAME=URL",
    help="Where a model is served; NAME=URL,URL: by replicas.",
)
@click.option("--translator", metavar="URL", help="Where the translator is.")
@click.option("--captioner", metavar="URL", help="Where the captioner is.")
def gateway(
    engines: tuple[tuple[str, str], ...], translator: str | None, captioner: str | None, **settings: Any
) -> int:
    """Run the gateway alone, for containers."""
    from server.alone import run_gateway  # noqa: PLC0415

    run_gateway(_profile(**settings), dict(engines), translator, captioner)
    return 0


@click.group(context_settings=CONTEXT, epilog=EXAMPLES, no_args_is_help=True)
def cli() -> None:
    """Host Babelview's models."""


for _each in (up, check, selftest, status, models, engine, gateway, quantize):
    cli.add_command(_each)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run(cli, arguments, "python -m server")


def _profile(
    profile: str,
    *,
    host: str | None,
    port: int | None,
    translator_port: int | None,
    cors: tuple[str, ...],
    dummy_weights: bool,
) -> Profile:
    """The profile that is asked for, with what the command line and the environment say."""
    from server.profile import load_profile  # noqa: PLC0415

    found = load_profile(profile).with_settings(host=host, port=port, translator_port=translator_port, cors=cors)
    if not dummy_weights:
        return found
    from server.engines.dummy import with_dummy_weights  # noqa: PLC0415

    return with_dummy_weights(found)


def _profile_here(**settings: Any) -> Profile:
    """The same, with the arithmetic that suits this machine."""
    from server.sizing.arithmetic import suit_machine  # noqa: PLC0415

    return suit_machine(_profile(**settings))


def _console(*, goes_on: bool = False) -> Console:
    from server.display import Output  # noqa: PLC0415

    return Output(goes_on=goes_on)
