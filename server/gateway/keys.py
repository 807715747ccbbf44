"""`python -m server.gateway.keys`: makes API keys, and hashes of keys that exist."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.command import CONTEXT, Command, run
from server.errors import PreflightError
from server.gateway.keyring import NAME, hash_line

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = """\
Make API keys; only their SHA-256 is kept. NAME is whose key it is, and stands in logs.

\b
  python -m server.gateway.keys new alice --file keys.txt    a new key, shown once; its hash goes to the file
  python -m server.gateway.keys hash alice < key.txt         the line for a key that exists

A file has a line `NAME sha256:HEX` per key. BABELVIEW_API_KEYS holds `NAME=KEY`, or keys alone, with commas between
them; a KEY may be written as `sha256:HEX` there too.
"""


@click.command("keys", cls=Command, help=HELP, context_settings=CONTEXT)
@click.argument("action", type=click.Choice(["new", "hash"]))
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), help="Append the hash to this file.")
def keys(action: str, name: str, file: Path | None) -> int:
    """Make or hash a key; returns the exit code."""
    if not NAME.fullmatch(name):
        raise click.BadParameter("a name has letters, digits, dots, dashes and underscores only", param_hint="NAME")
    key = f"bv-{secrets.token_urlsafe(32)}" if action == "new" else sys.stdin.readline().strip()
    line = hash_line(name, key)
    if file is None:
        click.echo(line)
    else:
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as opened:
                opened.write(f"{line}\n")
        except OSError as error:
            raise PreflightError(str(error)) from error
    if action == "new":
        click.echo(key)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(keys, arguments, "python -m server.gateway.keys")


if __name__ == "__main__":
    sys.exit(main())
