"""Commands of click whose options stand in groups and can be set in the environment too (`BABELVIEW_*`)."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from client.cli.signals import CLOSED_PIPE, nobody_reads

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "BABELVIEW"
ARGUMENTS = f"{__name__}.arguments"
WIDTH, NARROWEST = 110, 50


class Option(click.Option):
    """An option that belongs to a group of the help; errors name its variable when the value came from there."""

    def __init__(self, *flags: str, group: str, **attributes: Any) -> None:
        """`flags` and `attributes` as `click.Option` takes them; the default is shown in the help."""
        attributes.setdefault("show_default", attributes.get("default") is not None)
        super().__init__(flags, **attributes)
        self.group = group

    @property
    def variable(self) -> str | None:
        """The environment variable that sets it, if one does."""
        return f"{PREFIX}_{self.name.upper()}" if self.name and self.allow_from_autoenv else None

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable's value, also an empty one: `BABELVIEW_LANGUAGES=` is no language, not the default ones."""
        return os.environ.get(self.variable) if self.variable else super().resolve_envvar_value(ctx)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Where a wrong value stood, for its error: the flag, or the variable in the environment."""
        if ctx and self.name and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"{self.variable} in the environment"
        return super().get_error_hint(ctx)


class Command(click.Command):
    """A command with grouped options; its help keeps the lines of its texts as they are."""

    def __init__(self, name: str, *, groups: dict[str, str] | None = None, **attributes: Any) -> None:
        """`groups` gives those groups of options that need it a text of their own."""
        columns = shutil.get_terminal_size((WIDTH, 24)).columns
        settings = {
            "auto_envvar_prefix": PREFIX,
            "help_option_names": ["-h", "--help"],
            "allow_extra_args": True,  # they are refused in our words
            "terminal_width": max(min(columns, WIDTH), NARROWEST),
        }
        super().__init__(name, context_settings=settings, **attributes)
        self._groups = groups or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, and keep what was typed in `ctx.meta[ARGUMENTS]`."""
        ctx.meta[ARGUMENTS] = tuple(args)
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            ctx.fail(self._too_many(ctx, left))
        return left

    def _too_many(self, ctx: click.Context, left: list[str]) -> str:
        """What is told of arguments that are left when all parameters have theirs."""
        taken = [parameter for parameter in self.params if isinstance(parameter, click.Argument) and parameter.name]
        if len(taken) != 1:
            return f"takes no argument {', '.join(left)}"
        given = [str(ctx.params[taken[0].name or ""]), *left]
        name = taken[0].make_metavar(ctx)
        again = "run it once for each; a name with spaces in it needs quotes"
        return f"takes one {name}, not {len(given)} ({', '.join(given)}): {again}"

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description."""
        formatter.write(f"\n{self.help}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group, in the order in which they were given."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if row := parameter.get_help_record(ctx):
                groups.setdefault(parameter.group if isinstance(parameter, Option) else "other", []).append(row)
        for name, rows in groups.items():
            with formatter.section(name):
                if text := self._groups.get(name):
                    formatter.write_text(text)
                formatter.write_dl(rows, col_max=26)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the text that stands at the end of the help."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}")


def typed(ctx: click.Context, name: str) -> bool:
    """Whether an option stood on the command line; the environment does not count."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def invoke(command: click.Command, arguments: Sequence[str] | None, prog: str) -> Any:
    """Run a command within this process; gives what it returns, or an exit code after `--help`.

    Raises:
        SystemExit: with code 2 and a message, if the arguments are wrong; with 1, if there is no room for output; with
            141, if nobody reads it.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        result = command.main(arguments, prog, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EPIPE):
            raise
        gone = nobody_reads()
        _write_no_more()
        raise SystemExit(CLOSED_PIPE if gone else f"Error: {error.strerror}") from None
    except SystemExit as end:
        if not (isinstance(end.__context__, BrokenPipeError) and nobody_reads()):
            raise
        _write_no_more()
        raise SystemExit(CLOSED_PIPE) from None  # click has seen it first
    except click.Abort:
        raise KeyboardInterrupt from None
    return result


def _write_no_more() -> None:
    """Let what standard output still holds go nowhere: it would fail again at the end."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
