"""The keys of the endpoint and the translator: from the environment alone, so that no command line shows them."""

from __future__ import annotations

import os

from client.errors import UsageError

API_KEY, OPENAI_KEY = "BABELVIEW_API_KEY", "OPENAI_API_KEY"
"""Variables with the key of the endpoint: the first that is set counts."""
TRANSLATOR_KEY = "BABELVIEW_TRANSLATOR_API_KEY"
"""The variable with the key of the translator, which itself reads several there, with commas between."""


def endpoint_key() -> str | None:
    """The key of the OpenAI endpoint, if the environment holds one.

    Raises:
        UsageError: it cannot be a key; the message does not quote it.
    """
    return _key(API_KEY, OPENAI_KEY)


def translator_key() -> str | None:
    """The key of the translator, if the environment holds one: the first of several.

    Raises:
        UsageError: it cannot be a key; the message does not quote it.
    """
    return _key(TRANSLATOR_KEY, several=True)


def _key(*variables: str, several: bool = False) -> str | None:
    for variable in variables:
        text = os.environ.get(variable, "")
        if key := (text.partition(",")[0] if several else text).strip():  # files of secrets end with a line break
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise UsageError(f"{variable} in the environment: a key is ASCII letters, digits and marks alone")
            return key
    return None
