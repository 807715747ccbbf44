"""HTML taken apart into texts and what is around them; tags, comments and scripts stay byte for byte as they are.

Each run of text between two tags is translated by itself: a sentence with `<b>` in its middle is three texts. That
keeps every tag where it was.

The standard library's HTML parser takes minutes for 100 kB of "<a <a <a". Here a tag, comment or script that does not
end goes on to the end of the page, as it does in a browser, and so each character is looked at a few times at most.
"""

from __future__ import annotations

import html
import re

_TOKEN = re.compile(
    r"""
      <!--.*?(?:--!?>|\Z)                              # a comment
    | <[!?][^>]*+>?                                    # a doctype, or what a browser takes for a comment
    | <(?P<close>/?)(?P<name>[a-z][^\s/>]*+)           # a tag, with its attributes
      (?P<attributes>(?: [^>=] | =\s*"[^"]*+"? | =\s*'[^']*+'? | = )*+)>?
    | </(?![a-z])[^>]*+>?                              # a broken tag, which a browser takes for a comment
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_RAW_ENDS = {name: re.compile(rf"</{name}[\s/>]", re.IGNORECASE) for name in ("script", "style")}
_UNTRANSLATED = frozenset({"script", "style", "code", "pre", "textarea", "kbd", "samp", "var", "noscript", "template"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_NOT_TO_TRANSLATE = re.compile(
    r"""\stranslate\s*=\s*["']?no\b|\sclass\s*=\s*(?:["'][^"']*\bnotranslate\b|notranslate\b)""", re.IGNORECASE
)


class Page:
    """A piece of HTML, and the texts in it."""

    def __init__(self, source: str) -> None:
        """Take `source` apart; any text is HTML enough."""
        self._pieces: list[str] = []
        self._numbers: list[int] = []  # of the pieces that are texts
        self._kept: list[str] = []  # open elements: the first one's text stays as it is
        place = 0
        while match := _TOKEN.search(source, place):
            self._text(source[place : match.start()])
            place = match.end()
            name = (match["name"] or "").lower()
            if name and not match["close"] and name in _RAW_ENDS and source[place - 1] == ">":
                end = _RAW_ENDS[name].search(source, place)
                place = end.start() if end else len(source)
            elif name:
                self._tag(name, match)
            self._pieces.append(source[match.start() : place])
        self._text(source[place:])
        self.texts = [html.unescape(self._pieces[number]) for number in self._numbers]
        """What there is to translate, in order."""

    def with_texts(self, texts: list[str]) -> str:
        """The page with `texts` in place of its own."""
        pieces = list(self._pieces)
        for number, before, after in zip(self._numbers, self.texts, texts, strict=True):
            if after != before:
                pieces[number] = html.escape(after, quote=False)
        return "".join(pieces)

    def _text(self, text: str) -> None:
        if text and not self._kept and not text.isspace():
            self._numbers.append(len(self._pieces))
        self._pieces.append(text)

    def _tag(self, name: str, tag: re.Match[str]) -> None:
        """Keep count of the elements inside one whose text stays."""
        if tag["close"]:
            if self._kept and name == self._kept[0]:
                self._kept.pop()
        elif name in _VOID or (tag["attributes"].endswith("/")):
            return
        elif self._kept:
            if name == self._kept[0]:
                self._kept.append(name)
        elif name in _UNTRANSLATED or _NOT_TO_TRANSLATE.search(tag["attributes"]):
            self._kept.append(name)
