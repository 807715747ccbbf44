"""How the commands of this package read their options and end.

`client` and `server` have the like of their own, which behave the same: the three packages import nothing of each
other.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from translator.signals import CLOSED_PIPE, INTERRUPTED, nobody_reads

if TYPE_CHECKING:
    from collections.abc import Sequence


class Option(click.Option):
    """An option whose errors name the variable, if that is where its value came from."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The flag, or the environment variable that held the value."""
        if ctx and self.name and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"{self._variable(ctx)} in the environment"
        return super().get_error_hint(ctx)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable's value, also an empty one: `BABELVIEW_TRANSLATOR_SCRIPTS=` is none, not the default ones."""
        return os.environ.get(self._variable(ctx))

    def _variable(self, ctx: click.Context) -> str:
        return f"{ctx.auto_envvar_prefix}_{(self.name or '').upper()}"


def run(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Run a command in this process.

    Args:
        command: what is run.
        arguments: its command line; None: that of this process.
        name: the program's name, as messages show it.

    Returns:
        the exit code; 2 for wrong usage, 130 after Ctrl-C, 141 where nobody reads what it prints.
    """
    try:
        code: int | None = command.main(arguments, name, standalone_mode=False)
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
