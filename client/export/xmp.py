"""XMP sidecars (ISO 16684-1), `a.jpg.xmp`, with the fields of the IPTC Photo Metadata Standard.

Of each text there is one in every language: the description (`dc:description`), a short alternative text
(`Iptc4xmpCore:AltTextAccessibility`) and the extended one (`Iptc4xmpCore:ExtDescrAccessibility`); the keywords
(`dc:subject`), which have no language, are the tags in English.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from client.endpoints.language_names import language_tag
from client.export.captions import as_text, in_language, language_of, translations
from client.export.sidecars import Sidecars
from client.ledger.edits import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from client.export.captions import Captioned

TAGS = "tags"
ALT_TEXT_CHARACTERS = 250
"""What the IPTC recommends as the most."""
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to say."""
_SENTENCE_END = re.compile(r"[.!?…।။።؟۔]+[\"'”’»)\]]*(?=\s)|[。！？]+[”’」』）]*")  # noqa: RUF001
_HEAD = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">
"""
_TAIL = """\
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def xmp_file(one: Captioned) -> bytes:
    """The packet of a file."""
    texts = dict(_languages(one))
    alternatives = {language: _shortened(text) for language, text in texts.items()}
    lines = [
        *_alternative("dc:description", texts),
        *_keywords(one.record["tasks"].get(TAGS)),
        *_alternative("Iptc4xmpCore:AltTextAccessibility", alternatives),
        *_alternative("Iptc4xmpCore:ExtDescrAccessibility", texts),
    ]
    return (_HEAD + "".join(f"   {line}\n" for line in lines) + _TAIL).encode()


def _languages(one: Captioned) -> Iterator[tuple[str, str]]:
    """The texts of the answer by language tags, that of the caption first."""
    answer = one.answer
    heard = map(language_of, answer.get("segments") or ())
    for language in dict.fromkeys([one.language, ENGLISH, *heard, *translations(answer)]):
        if text := as_text(in_language(answer, language)):
            yield language_tag(language), text


def _alternative(name: str, texts: Mapping[str, str]) -> Iterator[str]:
    """An `rdf:Alt` of texts in languages; the first one is the default."""
    items = [("x-default", next(iter(texts.values()))), *texts.items()]
    yield f"<{name}><rdf:Alt>"
    for tag, text in items:
        yield f" <rdf:li xml:lang={quoteattr(tag)}>{_escaped(text)}</rdf:li>"
    yield f"</rdf:Alt></{name}>"


def _keywords(tags: Mapping[str, object] | None) -> Iterator[str]:
    found = tags.get(TAGS) if tags else None
    if isinstance(found, list) and found:
        yield "<dc:subject><rdf:Bag>"
        yield from (f" <rdf:li>{_escaped(str(tag))}</rdf:li>" for tag in found)
        yield "</rdf:Bag></dc:subject>"


def _shortened(text: str) -> str:
    """As many whole sentences as there is room for; else as many words, else as many characters."""
    if len(text) <= ALT_TEXT_CHARACTERS:
        return text
    ends: Iterable[int] = (match.end() for match in _SENTENCE_END.finditer(text))
    if cut := max((end for end in ends if end <= ALT_TEXT_CHARACTERS), default=0):
        return text[:cut]
    cut = text.rfind(" ", 0, ALT_TEXT_CHARACTERS)
    return text[: cut if cut > 0 else ALT_TEXT_CHARACTERS - 1] + "…"


def _escaped(text: str) -> str:
    return escape(_UNWRITABLE.sub(" ", text))


XMP = Sidecars("xmp", ".xmp", xmp_file, whole_name=True)
