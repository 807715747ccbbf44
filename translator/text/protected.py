"""Protected spans: what must come through a translation as it is.

Addresses, handles and hashtags, placeholders of several languages and tools, tags of HTML and of subtitles, HTML's
character references, codes of products and vouchers ("SAVE20", "WH-1000XM4"), emoji.
"""

from __future__ import annotations

import re

_EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b05-\u2bff]"
_ELEMENTS = (
    "a abbr acronym address article aside audio b base bdi bdo big blockquote body br button canvas caption center "
    "cite code col data dd del details dfn dialog div dl dt em embed fieldset figure figcaption font footer form g "
    "h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd label legend li link main map mark meta nav "
    "object ol option p param picture pre q rp rt ruby s samp script section select small source span strike strong "
    "style sub summary sup svg table tbody td template textarea tfoot th thead time title tr track tt u ul use v var "
    "video wbr x"
)
_VALUE = r"\"[^\"<]{0,2000}\"|'[^'<]{0,2000}'|[^\s\"'<>]{1,2000}"
_TAG = (
    rf"</?(?:{'|'.join(_ELEMENTS.split())}|[a-z]{{0,8}}\d{{1,3}})"
    rf"(?:\s{{1,9}}[\w:@.-]{{1,60}}(?:\s{{0,9}}=\s{{0,9}}(?:{_VALUE}))?){{0,40}}\s{{0,9}}/?>"
)
_OVERRIDE = r"\{\\[^{}\n]{1,80}\}"
_REFERENCE = r"&(?:[a-z][a-z0-9]{1,30}|\#\d{1,7}|\#x[\da-f]{1,6});"
_PATTERN = re.compile(
    rf"""
      (?:https?|ftp)://[^\s<>"']*[\w/] | www\.[\w.-]+\w                          # addresses
    | (?<![\w.+-])[\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+
    | (?<!\w)@\w{{2,}} | (?<![\w&\#])\#\w*[^\W\d_]\w*                    # handles and hashtags
    | {_OVERRIDE} | {_TAG} | {_REFERENCE}
    | ^\s*```[\w+-]*\s*$                                                 # the edge of a block of code
    | [\$%]\{{\w+\}} | \{{\{{?\s?[\w.:!-]{{0,80}}\s?\}}?\}}              # placeholders
    | <%=?[^<>%]{{1,80}}%> | \[\[\w[^\[\]]{{0,80}}\]\]
    | %\(\w+\)[sdif] | %(?:\d{{1,2}}\$)?[-+0\#]?\d{{0,3}}(?:\.\d{{1,2}})?[sdifgxXu]\b | %(?:\d{{1,2}}\$)?@ | %[a-z_]\w*%
    | (?-i:\b(?: [A-Z]{{2,10}}\d{{2,}}[A-Za-z0-9]* | [A-Z]{{1,4}}-\d{{3,}}[A-Z0-9]* # codes of products
        | [A-Z]\d{{2,}}[A-Z][A-Z0-9]{{2,}} | [A-Z]\d{{3,}}[A-Z] | \d{{2,}}[A-Z]{{2,}}\d[A-Z0-9]* )(?:-[A-Z0-9]+)*\b)
    | {_EMOJI}(?:[\ufe0f\u200d\u20e3]|{_EMOJI})*
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_EDGE = re.compile(rf"{_OVERRIDE}|{_REFERENCE}|<(?:br|hr|wbr|img)\b[^<>]{{0,2000}}>", re.IGNORECASE)
_WHOLE = re.compile(r"<([a-z]\w*)(?:\s[^<>]{0,2000})?>(?P<inside>.*)</\1\s*>", re.IGNORECASE | re.DOTALL)
_REACH = 2200
"""The longest markup at an edge that is looked for, in characters."""


def find(text: str) -> list[str]:
    """The protected parts of a text, in order."""
    return [match.group() for match in _PATTERN.finditer(text)]


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each protected part, in order."""
    return [match.span() for match in _PATTERN.finditer(text)]


def without(text: str) -> str:
    """The text with a space for each protected part."""
    return _PATTERN.sub(" ", text)


def around(text: str) -> tuple[int, int]:
    """How many characters at the start and at the end are markup that says nothing of a word there.

    That is a subtitle's override ("{\\an8}"), a line break, a character reference, or tags around the whole.
    """
    if match := _EDGE.match(text):
        return match.end(), 0
    if text[-1:] in ("}", ";", ">"):
        last = [match for match in _EDGE.finditer(text, max(0, len(text) - _REACH)) if match.end() == len(text)]
        if last:
            return 0, len(text) - last[0].start()
    if text.startswith("<") and (match := _WHOLE.fullmatch(text)) and f"</{match[1]}" not in match["inside"]:
        return match.start("inside"), len(text) - match.end("inside")
    return 0, 0
