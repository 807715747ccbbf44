"""The commands of `babelview`: finds the one that is asked for, and imports nothing else.

`client`, `server` and `translator` never import each other. This table names where each command lives, as text; a
module is loaded when its command is run, or its help shown.
"""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "batch": ("client.batch:command", "Describe folders of pictures and videos in many languages."),
    "ask": ("client.cli.ask:command", "Ask about one file, or have a conversation about it."),
    "live": ("client.cli.live:command", "Caption a camera or a stream, while it goes on."),
    "export": ("client.cli.export:command", "Write the results of an output folder again, in any format."),
    "report": ("client.cli.report:command", "Write a page to look at, filter, review and edit the results."),
    "search": ("client.cli.search:command", "Find files by what was said about them, in any language."),
    "clips": ("client.cli.clips:command", "Cut moments out of videos: highlights, chapters, your own."),
    "captioner": ("client.captioner.command:command", "Run captions over HTTP alone: a part of babelview up."),
    "up": ("server.cli:up", "Start the stack of a profile: models, gateway, translator."),
    "check": ("server.cli:check", "Say what would run here, and whether it fits; start nothing."),
    "selftest": ("server.cli:selftest", "Prove it here: measure it, compare with transformers."),
    "status": ("server.cli:status", "Show how the parts of the running stack are."),
    "models": ("server.cli:models", "List what a profile serves."),
    "quantize": ("server.cli:quantize", "Quantize a checkpoint to 8 or 4 bits."),
    "engine": ("server.cli:engine", "Run one engine alone, for containers."),
    "gateway": ("server.cli:gateway", "Run the gateway alone, for containers."),
    "translate": ("translator.cli:translate", "Run the translation service alone."),
}
"""Command -> `module:attribute`, a `click.Command`; and what it does, in a line."""


class Dispatcher(click.Group):
    """A group whose commands are loaded when they are asked for; its own help loads none of them."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """The command of this name; None if there is none."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names; a typo gets a hint."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name each command with its line of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


cli = Dispatcher(
    "babelview",
    help="Describe pictures and videos in many languages, on your own GPU.",
    epilog="babelview COMMAND --help says more.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
cli = click.version_option(package_name="babelview", message="%(prog)s %(version)s")(cli)
