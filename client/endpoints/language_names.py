"""The languages of NLLB-200: FLORES codes, what else they are called, English names, from `language_names.tsv`."""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import cache
from importlib import resources


@cache
def language_name(code: str) -> str:
    """The English name of a FLORES code or language tag as a part of a field name: "spanish", "chinese_simplified"."""
    plain = unicodedata.normalize("NFKD", _names().get(code, code)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def shown_name(code: str) -> str:
    """The English name of a FLORES code, "Chinese (Simplified)"; the code where it is not known."""
    return _names().get(code, code)


def language_tag(code: str) -> str:
    """The language tag of a FLORES code (BCP 47): "zh-Hans"; made of its parts where it is not known."""
    return next((row["tag"] for row in _rows() if row["code"] == code), code.replace("_", "-"))


def language_code(name: str) -> str:
    """The FLORES code that a code, a language tag or an ISO 639 code means ("de", "deu"); any other name as it is."""
    return _codes().get(name.lower(), name)


def known_codes() -> list[str]:
    """All FLORES codes."""
    return [row["code"] for row in _rows()]


def known_names() -> list[str]:
    """The English names of all languages: "Chinese (Simplified)"."""
    return [row["name"] for row in _rows()]


def may_be(code: str) -> bool:
    """Whether a code can name a language: a FLORES code of NLLB-200 in whatever script, or any language tag."""
    language, _, script = code.lower().partition("_")
    if script:
        return language in {row["code"].partition("_")[0] for row in _rows()}
    return re.fullmatch(r"[a-z]{2,3}(-[a-z0-9-]+)?", language) is not None


@cache
def _rows() -> list[dict[str, str]]:
    table = resources.files("client.endpoints").joinpath("language_names.tsv").read_text("utf-8")
    return list(csv.DictReader(table.splitlines(), delimiter="\t"))


@cache
def _codes() -> dict[str, str]:
    rows = _rows()
    return {name.lower(): row["code"] for row in rows for name in (row["code"], row["tag"], *row["also"].split())}


@cache
def _names() -> dict[str, str]:
    return {row[column]: row["name"] for row in _rows() for column in ("code", "tag")}
