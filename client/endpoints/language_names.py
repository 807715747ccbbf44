"""The languages of NLLB-200: FLORES codes, what else they are called, English and own names (`language_names.tsv`)."""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import LanguageError
from client.hints import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et
eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji jv jw ka
kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl
nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw
ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
"""Languages of two letters, also withdrawn ones: no other two are a language."""


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
        known = {row["code"].partition("_")[0] for row in _rows()}
        return language in known and re.fullmatch(r"[a-z]{4}", script) is not None
    tag = re.fullmatch(r"([a-z]{2,3})(-[a-z0-9-]+)?", language)
    return tag is not None and (len(tag[1]) == 3 or tag[1] in _ISO_639_1.split())


def check_languages(codes: Iterable[str], known: Collection[str] | None = None) -> None:
    """Make sure that these are languages: of those that a translator knows, or, without one, any.

    Raises:
        LanguageError: says which are not, and what was probably meant.
    """
    unknown = [code for code in codes if (code not in known if known is not None else not may_be(code))]
    if unknown:
        such = "" if known else "; they are called as spa_Latn, es or es-MX"
        raise LanguageError(f"unknown language {_hints(unknown, known or known_codes())}{such}")


def _hints(unknown: list[str], known: Iterable[str]) -> str:
    """The unknown codes, each with the known one that was probably meant: by its code, its English or its own name."""
    spelled = {code.lower(): code for code in known}
    own = {name: code for name, code in _own_names().items() if code in spelled.values()}
    spelled = own | {language_name(code): code for code in spelled.values()} | spelled
    hints: list[str] = []
    for given in unknown:
        language = unicodedata.normalize("NFC", given)
        same = next((code for code in spelled if "_" in language and code.startswith(language.lower()[:4])), None)
        near = next((name for name in spelled if name.startswith(f"{language.lower()}_")), None)  # of several scripts
        near = near or nearest(language, spelled, cutoff=0.75)
        if near != language.lower():  # one that there is, and the translator has not, is no slip
            near = same or (None if language in known_codes() else near)
        hints.append(f"{language} (did you mean {spelled[near]}?)" if near else language)
    return ", ".join(hints)


@cache
def _rows() -> list[dict[str, str]]:
    table = Path(__file__).with_name("language_names.tsv").read_text("utf-8")
    return list(csv.DictReader(table.splitlines(), delimiter="\t"))


@cache
def _codes() -> dict[str, str]:
    rows = _rows()
    return {name.lower(): row["code"] for row in rows for name in (row["code"], row["tag"], *row["also"].split())}


@cache
def _own_names() -> dict[str, str]:
    """What languages are called in themselves, in small letters -> FLORES code; of two scripts the first."""
    rows = [(name, row["code"]) for row in reversed(_rows()) for name in row["own"].split(";") if name]
    return {unicodedata.normalize("NFC", name).lower().replace(" ", "_"): code for name, code in rows}


@cache
def _names() -> dict[str, str]:
    return {row[column]: row["name"] for row in _rows() for column in ("code", "tag")}
