"""Which languages are near enough that a whole sentence can be the same in both, or nearly."""

from __future__ import annotations

_RELATED = [
    frozenset(group.split())
    for group in (
        "dan nob nno swe fao isl",
        "hrv bos srp slv",
        "ces slk pol szl",
        "rus ukr bel bul mkd srp",
        "spa glg por ast cat oci pap fra ita",
        "ita vec lmo lij fur scn srd",
        "ind zsm jav sun min bjn ban bug ace",
        "arb acm acq aeb ajp apc ars ary arz",
        "azj tur crh tuk tat bak kaz kir uzn",
        "hin mai bho awa mag hne npi mar san",
        "zho yue",
        "nld afr lim deu ltz",
        "zul xho ssw nso tsn sot",
        "kin run",
        "pes prs tgk",
        "twi aka",
        "bam dyu",
        "amh tir",
        "bod dzo",
    )
]


def related(first: str, second: str) -> bool:
    """Whether two FLORES codes are of related languages, or of one language in two scripts."""
    one, other = first.partition("_")[0], second.partition("_")[0]
    return one == other or any(one in group and other in group for group in _RELATED)
