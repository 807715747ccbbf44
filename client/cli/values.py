"""The values of options: functions that make one of its text, for click; they raise `click.BadParameter`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import BadParameter
from click.types import BoolParamType

from client.cluster.address import cluster_address
from client.endpoints.addresses import endpoint_addresses, server_address
from client.endpoints.language_names import check_languages, language_code
from client.errors import LanguageError, UsageError

if TYPE_CHECKING:
    from click import Context, Parameter

_ENGLISH = "eng_Latn"
SCENES = "scenes"
"""A window from cut to cut."""


class Switch(BoolParamType):
    """A switch, which is a flag on the command line and a word in the environment."""

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> bool:
        """True for 1, true, yes, on; False for 0, false, no, off and nothing at all."""
        on = self.str_to_bool(value)
        if on is None:
            raise BadParameter(f"must be 1 or 0, not {value!r}", ctx, param)
        return on


def names(text: str) -> list[str]:
    """Names with commas between, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def languages(text: str) -> list[str]:
    """FLORES codes of languages other than English, with commas between, each once.

    Tags and ISO codes become FLORES codes, so that a language has one name in the ledger; tags of others stay.
    """
    given = names(text)
    codes = [language_code(name) for name in given]
    if _ENGLISH in codes:
        raise BadParameter(f"answers are in English already: leave {given[codes.index(_ENGLISH)]} out")
    try:
        check_languages(codes)
    except LanguageError as error:
        raise BadParameter(str(error)) from None
    return list(dict.fromkeys(codes))


def language(text: str) -> str:
    """The FLORES code of a language that is named by code, tag or ISO code; what is none stays."""
    return language_code(text.strip())


def folder(text: str) -> Path:
    """The path of a folder, which need not be there yet."""
    if not text.strip():
        raise BadParameter("must name a folder; . is the working one")
    return Path(text)


def output(text: str) -> str:
    """A folder, which need not be there yet, or a URL."""
    return text if "://" in text else str(folder(text))


def cluster(text: str) -> str:
    """A Ray cluster; nothing for none."""
    try:
        return text and cluster_address(text)
    except UsageError as error:
        raise BadParameter(str(error)) from None


def count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise BadParameter(f"must be a whole number above 0, not {text!r}")
    return int(text)


def amount(text: str) -> float:
    """A finite number, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise BadParameter(f"must be a number, 0 or more, not {text!r}")
    return number


def seconds(text: str) -> float:
    """A finite time, more than 0."""
    number = amount(text)
    if number == 0:
        raise BadParameter("must be more than 0")
    return number


def window(text: str) -> float | str:
    """Seconds, more than 0, or `SCENES`."""
    if text == SCENES:
        return text
    try:
        return seconds(text)
    except BadParameter as error:
        raise BadParameter(f"{error.message}; or {SCENES}") from None


def fraction(text: str) -> Fraction:
    """An exact number above 0, such as 0.5 or 1/3."""
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        number = Fraction(0)
    if number <= 0:
        raise BadParameter(f"must be a number above 0, not {text!r}")
    return number


def url(text: str) -> str:
    """The address of a server, without a slash at its end."""
    try:
        return server_address(text)
    except UsageError as error:
        raise BadParameter(str(error)) from None


def base_url(text: str) -> str:
    """The address of an OpenAI endpoint, or of several; `/v1` where only a host is given. A query is kept (Azure)."""
    try:
        return ",".join(endpoint_addresses(text))
    except UsageError as error:
        raise BadParameter(str(error)) from None
