"""The languages of NLLB-200: its FLORES codes ("spa_Latn"), BCP-47 tags and English names.

`languages.tsv` holds all 202. What a model can be asked for is less: the codes that its tokenizer has.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Language:
    """One language in one script."""

    code: str
    """FLORES-200 code, the language token of NLLB: "spa_Latn"."""
    tag: str
    """BCP-47 tag, with the script only where NLLB has the language in several: "es", "zh-Hans"."""
    name: str
    """English name."""

    @property
    def primary(self) -> str:
        """The tag's language alone, as ISO 639 writes it: "es", "zh"."""
        return self.tag.partition("-")[0]


class UnknownLanguageError(ValueError):
    """A language code that the model does not have."""

    def __init__(self, code: str) -> None:
        """Name the code, and say where the right ones are."""
        super().__init__(
            f"unknown language {code!r}: use a FLORES-200 code such as 'fra_Latn' (GET /languages lists all)"
        )
        self.code = code


@cache
def known() -> dict[str, Language]:
    """Every language of NLLB-200 by FLORES code."""
    table = resources.files(__package__).joinpath("languages.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines(), delimiter="\t")
    return {row["code"]: Language(row["code"], row["tag"], row["name"]) for row in rows}


class Languages:
    """The languages of one model."""

    def __init__(self, tokens: Iterable[str]) -> None:
        """Keep the languages whose codes are among `tokens`, the model's vocabulary."""
        have = set(tokens)
        self.all = [language for code, language in sorted(known().items()) if code in have]
        self._by_code = {language.code: language for language in self.all}

    def find(self, code: str) -> Language:
        """The language with this FLORES code.

        Raises:
            UnknownLanguageError: the model does not have it.
        """
        try:
            return self._by_code[code]
        except KeyError:
            raise UnknownLanguageError(code) from None
