"""HTML taken apart into texts and what is around them; tags, comments and scripts stay byte for byte as they are.

A block's text (a paragraph, a cell, a list item) is one text, with the tags within it as marks: a sentence stays one
across `<b>` and `<a>`, and across a `<br>` that it was merely wrapped at.

The standard library's HTML parser takes minutes for 100 kB of "<a <a <a". Here a tag, comment or script that does not
end goes on to the end of the page, as it does in a browser, and so each character is looked at a few times at most.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from translator.text.marked import Marked, Tag

if TYPE_CHECKING:
    from translator.text.marked import Kind

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
_INLINE_NAMES = """
    a abbr acronym b bdi bdo big br cite data del dfn em font i img ins label mark nobr q rp rt ruby s small span strike
    strong sub sup time tt u wbr
"""
_INLINE = frozenset(_INLINE_NAMES.split())
_REFERENCE = re.compile(r"(&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{0,31});?)")
_SPACES = " \t\n\r\f"
_NOT_TO_TRANSLATE = re.compile(
    r"""\stranslate\s*=\s*["']?no\b|\sclass\s*=\s*(?:["'][^"']*\bnotranslate\b|notranslate\b)""", re.IGNORECASE
)


class Page:
    """A piece of HTML, and the texts in it."""

    def __init__(self, source: str) -> None:
        """Take `source` apart; any text is HTML enough."""
        self._between: list[str] = [""]
        """What is before, between and after the texts."""
        self.texts: list[Marked] = []
        """What there is to translate, in order; a block each."""
        self._block = _Block()
        self._kept: list[str] = []  # open elements: the first one's text stays as it is
        place = 0
        while match := _TOKEN.search(source, place):
            self._text(source[place : match.start()])
            place = match.end()
            name = (match["name"] or "").lower()
            if name and not match["close"] and name in _RAW_ENDS and source[place - 1] == ">":
                end = _RAW_ENDS[name].search(source, place)
                place = end.start() if end else len(source)
            tag = source[match.start() : place]
            if self._kept or not self._stays_in_block(name, match):
                self._end_block()
                self._between[-1] += tag
            elif name == "br":
                self._block.add("\n", tag)
            else:
                self._block.tag(tag, name, "close" if match["close"] else "point" if name in _VOID else "open")
            if name:
                self._open_or_close(name, match)
        self._text(source[place:])
        self._end_block()

    def with_texts(self, texts: list[str]) -> str:
        """The page with `texts`, which are HTML, in place of its own."""
        parts = [self._between[0]]
        for text, after in zip(texts, self._between[1:], strict=True):
            parts += (text, after)
        return "".join(parts)

    def _stays_in_block(self, name: str, tag: re.Match[str]) -> bool:
        """Whether a sentence may go on across a tag: inline elements, whose text is translated, and comments."""
        if not name:
            return True
        return name in _INLINE and not (not tag["close"] and self._is_kept(name, tag))

    def _text(self, text: str) -> None:
        if self._kept:
            self._between[-1] += text
        elif text:
            for piece in _REFERENCE.split(text):
                self._block.add(html.unescape(piece) if piece.startswith("&") else piece, piece)

    def _end_block(self) -> None:
        if block := self._block.marked():
            self.texts.append(block)
            self._between.append("")
        else:
            self._between[-1] += self._block.source()
        self._block = _Block()

    def _open_or_close(self, name: str, tag: re.Match[str]) -> None:
        """Keep count of the elements inside one whose text stays."""
        if tag["close"]:
            if self._kept and name == self._kept[0]:
                self._kept.pop()
        elif name in _VOID or (tag["attributes"].endswith("/")):
            return
        elif self._kept:
            if name == self._kept[0]:
                self._kept.append(name)
        elif self._is_kept(name, tag):
            self._kept.append(name)

    @staticmethod
    def _is_kept(name: str, tag: re.Match[str]) -> bool:
        return name in _UNTRANSLATED or _NOT_TO_TRANSLATE.search(tag["attributes"]) is not None


class _Block:
    """The text of a block as it grows."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._spelled: list[str] = []
        self._tags: list[Tag] = []

    def add(self, said: str, spelled: str) -> None:
        """Add text, and how the source has it."""
        if said == spelled:
            for c in said:
                if (
                    c in _SPACES
                    and self._said[-1:] == [" "]
                    and not (self._tags and self._tags[-1].at == len(self._said))
                ):
                    self._spelled[-1] += c  # white space in a row is one space
                else:
                    self._said.append(" " if c in _SPACES else c)
                    self._spelled.append(c)
        elif said:
            self._said += said
            self._spelled += [spelled, *[""] * (len(said) - 1)]

    def tag(self, source: str, name: str, kind: Kind) -> None:
        """Add a tag."""
        self._tags.append(Tag(len(self._said), source, name, kind))

    def marked(self) -> Marked | None:
        """The block, if it has any text."""
        text = "".join(self._said)
        if not text or text.isspace():
            return None
        return Marked(text, tuple(self._tags), tuple(self._spelled), _escape, layout="html")

    def source(self) -> str:
        """The block as the source has it."""
        parts, at = [], 0
        for tag in self._tags:
            parts += [*self._spelled[at : tag.at], tag.source]
            at = tag.at
        return "".join([*parts, *self._spelled[at:]])


def _escape(text: str) -> str:
    return html.escape(text, quote=False).replace("\u00a0", "&nbsp;")
