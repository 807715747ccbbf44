"""The kinds of models that the engine runs, and how each is told which language is wanted.

NLLB-200 has a token for each language: `[source] sentence </s>`, and the translation begins with the target's.
MADLAD-400 (Kudugunta et al. 2023, arxiv.org/abs/2309.04662), a T5, has `<2xx> sentence </s>`: it finds the source's
language by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from translator.languages import known

if TYPE_CHECKING:
    from collections.abc import Collection

    from translator.languages import Language
    from translator.model.job import Job

END = "</s>"
_WRITTEN_SO = {
    "arb_Arab": "ar", "azj_Latn": "az", "ckb_Arab": "ckb", "heb_Hebr": "iw", "jav_Latn": "jv", "khk_Cyrl": "mn",
    "kmr_Latn": "ku", "lvs_Latn": "lv", "nob_Latn": "no", "npi_Deva": "ne", "ory_Orya": "or", "pbt_Arab": "ps",
    "pes_Arab": "fa", "plt_Latn": "mg", "swh_Latn": "sw", "tgl_Latn": "fil", "uzn_Latn": "uz", "ydd_Hebr": "yi",
    "zho_Hans": "zh", "zsm_Latn": "ms", "als_Latn": "sq", "quy_Latn": "qu", "gaz_Latn": "om", "ayr_Latn": "ay",
}  # fmt: skip
"""MADLAD-400's codes where they are not the language's BCP-47 tag."""
_CONTROL = re.compile(r"<(?=2[A-Za-z_-]+>)")


class Family(Protocol):
    """How a model is told the languages."""

    @property
    def name(self) -> str:
        """Of the models."""

    @property
    def codes(self) -> frozenset[str]:
        """FLORES codes of the languages that the model has."""

    def source(self, job: Job) -> list[str]:
        """The tokens that the encoder gets."""

    def prefix(self, job: Job) -> list[str] | None:
        """The tokens that the translation begins with."""

    def harmless(self, text: str) -> str:
        """A text in which nothing is taken for a control token."""


@dataclass(frozen=True)
class Nllb:
    """NLLB-200."""

    codes: frozenset[str]
    name: str = "NLLB-200"

    def source(self, job: Job) -> list[str]:
        """The source's language, the sentence, the end."""
        return [job.source, *job.tokens, END]

    def prefix(self, job: Job) -> list[str]:
        """The target's language."""
        return [job.target]

    def harmless(self, text: str) -> str:
        """The text itself: its tokenizer is told to take nothing for a control token."""
        return text


@dataclass(frozen=True)
class Madlad:
    """MADLAD-400."""

    tokens: dict[str, str] = field(repr=False)
    """FLORES code -> token."""
    name: str = "MADLAD-400"

    @property
    def codes(self) -> frozenset[str]:
        """FLORES codes of the languages that the model has."""
        return frozenset(self.tokens)

    def source(self, job: Job) -> list[str]:
        """The target's language, the sentence, the end."""
        return [self.tokens[job.target], *job.tokens, END]

    def prefix(self, job: Job) -> None:
        """None: the translation begins with its first word."""

    def harmless(self, text: str) -> str:
        """A text with a space within what looks like a language's token."""
        return _CONTROL.sub("< ", text)


def family_of(vocabulary: Collection[str]) -> Family:
    """The kind of model that has this vocabulary; NLLB-200 without a language if it is neither."""
    codes = frozenset(code for code in known() if code in vocabulary)
    tokens = {code: token for code, language in known().items() if (token := _madlads(language, vocabulary))}
    return Madlad(tokens) if len(tokens) > len(codes) else Nllb(codes)


def _madlads(language: Language, vocabulary: Collection[str]) -> str | None:
    """MADLAD-400's token of a language, if it has one; a script that is not the usual one must be named in it."""
    tag = language.tag
    names = [tag.replace("-", "_"), _WRITTEN_SO.get(language.code, "")]
    if "-" not in tag:
        names += [language.code.partition("_")[0], *language.iso]
    return next((f"<2{name}>" for name in names if name and f"<2{name}>" in vocabulary), None)
