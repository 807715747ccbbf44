"""How the commands of the server run: errors of ours are one line and exit code 1, wrong arguments exit code 2.

`client` and `translator` have the like of their own, which behave the same: the three packages import nothing of each
other.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from server.errors import ServerError
from server.exit_codes import CLOSED_PIPE, INTERRUPTED
from server.signals import nobody_reads

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class Failure(click.ClickException):
    """An error of ours as the command line tells it; exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print it as one line."""
        click.echo(f"error: {self.message}", file=file, err=True)


class Option(click.Option):
    """An option whose errors name the environment variable that held the value, if one did."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What an error names: the flag, or the variable."""
        if ctx and self.name and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"{self.envvar} in the environment"
        return super().get_error_hint(ctx)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable's value, also an empty one: it is told as a wrong value, not passed over."""
        return os.environ.get(self.envvar) if isinstance(self.envvar, str) else super().resolve_envvar_value(ctx)


class Command(click.Command):
    """A command that returns its exit code, and tells errors of ours in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; returns the exit code."""
        try:
            return super().invoke(ctx)
        except ServerError as error:
            raise Failure(str(error)) from error


def run(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Run a command in this process.

    Args:
        command: What is run.
        arguments: Its command line; None: that of this process.
        name: The program's name, as messages show it.

    Returns:
        The exit code; 130 after Ctrl-C, 141 where nobody reads what it prints.
    """
    try:
        code: int | None = command.main(arguments, name, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except (BrokenPipeError, SystemExit) as end:
        seen = end.__context__ if isinstance(end, SystemExit) else end  # click has seen it first
        if not (isinstance(seen, BrokenPipeError) and nobody_reads()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what it still holds would fail at the end
        return CLOSED_PIPE
    return code or 0
