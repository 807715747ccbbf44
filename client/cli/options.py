"""Command line options in groups, each of which can be set in the environment too (`BABELVIEW_*`)."""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PREFIX = "BABELVIEW_"
API_KEY, TRANSLATOR_KEY = PREFIX + "API_KEY", PREFIX + "TRANSLATOR_API_KEY"
OPENAI_KEY = "OPENAI_API_KEY"
OTHERS = frozenset(
    PREFIX + name
    for name in (
        *("API_KEY", "TRANSLATOR_API_KEY"),
        *("API_KEYS", "PROFILE", "HOST", "PORT", "LOG_DIR", "ENCODER_CACHE_MIB", "CACHE"),
        *("TRANSLATOR_MODEL", "TRANSLATOR_HOST", "TRANSLATOR_PORT"),
    )
)
"""Variables that are not options of the client: its keys, and those of the server and the translator."""
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, slots=True)
class _Option:
    variable: str
    default: str | None
    read: Callable[[str], Any]


class Options:
    """An `ArgumentParser` whose options fall back to the environment and then to their defaults."""

    def __init__(self, **parser: Any) -> None:
        """`parser` are the arguments of `ArgumentParser`."""
        width = min(shutil.get_terminal_size((110, 24)).columns, 110)
        self.parser = argparse.ArgumentParser(
            formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width, max_help_position=26),
            allow_abbrev=False,
            **parser,
        )
        self._options: dict[str, _Option] = {}
        self._alternatives: list[list[str]] = []
        self._typed: set[str] = set()
        self._group: argparse._ActionsContainer = self.parser

    def group(self, title: str, description: str | None = None) -> None:
        """What is added from now on stands under this title in the help."""
        self._group = self.parser.add_argument_group(title, description)

    def option(self, flag: str, default: str | None, read: Callable[[str], Any] = str, **settings: Any) -> None:
        """An option with a value; `read` makes it of a string, also of the default and the variable."""
        shown = f"(default: {default})" if default else ""
        settings["help"] = f"{settings['help']} {shown}".rstrip().replace("%", "%%")
        action = self._group.add_argument(flag, type=read, **settings)
        self._options[action.dest] = _Option(_variable(flag), default, read)

    def switch(self, flag: str, **settings: Any) -> None:
        """An option that is on or off; the variable is 1 or 0."""
        action = self._group.add_argument(flag, action="store_const", const=True, **settings)
        self._options[action.dest] = _Option(_variable(flag), "0", _switch)

    def alternatives(self, *flags: str) -> None:
        """At most one of these may be set; one on the command line wins over others in the environment."""
        self._alternatives.append([_name(flag) for flag in flags])

    def unset(self, flag: str, **settings: Any) -> None:
        """An argument or option that the environment cannot set."""
        self._group.add_argument(flag, **settings)

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Read the command line, then the environment, then the defaults.

        Raises:
            SystemExit: with code 2 and a message that names what is wrong, with code 0 after `--help`.
        """
        given = self.parser.parse_args(arguments)
        self._typed = {name for name in self._options if getattr(given, name) is not None}
        settled = {name for group in self._alternatives for name in group if self._one_of(group, given)}
        for name, option in self._options.items():
            if getattr(given, name) is None and name not in settled:
                setattr(given, name, self._fallback(option))
        for group in self._alternatives:
            self._one_of(group, given)
        return given

    def typed(self, flag: str) -> bool:
        """Whether an option stood on the command line that `read` has read, not in the environment alone."""
        return _name(flag) in self._typed

    def _one_of(self, group: list[str], given: argparse.Namespace) -> bool:
        """Whether one of these is set; two of them are an error."""
        flags = ["--" + name.replace("_", "-") for name in group if getattr(given, name) is not None]
        if len(flags) > 1:
            self.parser.error(f"{' and '.join(flags)} cannot be combined: choose one")
        return bool(flags)

    def _fallback(self, option: _Option) -> Any:
        text = os.environ.get(option.variable)
        if text is None:
            return None if option.default is None else option.read(option.default)
        try:
            return option.read(text)
        except argparse.ArgumentTypeError as error:
            self.parser.error(f"{option.variable} in the environment: {error}")

    def key(self, *variables: str, several: bool = False) -> str | None:
        """The first of these environment variables that is set; of `several`, with commas between, the first key.

        It is a secret, which no message quotes.
        """
        for variable in variables:
            text = os.environ.get(variable, "")
            if key := (text.partition(",")[0] if several else text).strip():  # files of secrets end with a line break
                if not (key.isascii() and key.isprintable()) or " " in key:
                    self.parser.error(f"{variable} in the environment: a key is ASCII letters, digits and marks alone")
                return key
        return None

    def unknown_variables(self) -> list[str]:
        """A warning for each `BABELVIEW_*` variable that means nothing."""
        known = {option.variable for option in self._options.values()}
        warnings: list[str] = []
        for name in sorted(os.environ):
            if name.startswith(PREFIX) and name not in known | OTHERS:
                near = difflib.get_close_matches(name, known, n=1)
                meant = f": did you mean {near[0]}?" if near else " (see --help)"
                warnings.append(f"warning: {name} is set but is no setting of this command{meant}")
        return warnings


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _variable(flag: str) -> str:
    return PREFIX + _name(flag).upper()


def _switch(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise argparse.ArgumentTypeError(f"must be 1 or 0, not {text!r}")
    return text.lower() in _YES
