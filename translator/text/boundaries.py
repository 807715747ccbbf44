# ruff: noqa: RUF001  (signs of many scripts)
"""Where sentences end within a line: sentencex, and rules of ours where it errs.

sentencex is quick and loses nothing, but it does not know all abbreviations, takes the mark within a title ("Guess
Who? is a game.") for an end, and parts a quotation from the "he said" after it in Chinese and Japanese. So its
segments are cut further (`_CUTS`), and some are put together again (`_goes_on`).
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import sentencex

from translator.text import thai

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 4096
"""Characters that sentencex gets at a time: it holds the interpreter's lock while it works."""
_CHUNK_ENDS = [re.compile(r"[.!?…][\"'”’)]*\s+|[。！？।།។]\s*"), re.compile(r"\s+")]
_CUTS = [
    re.compile(pattern)
    for pattern in (
        r"(?:(?<=\.\.\.)|(?<=…))\s+(?=The\b)",  # sentencex may go on after an ellipsis
        r"(?<=\w\.)\s+(?=\. \. \. (?:[A-Z]|$))",  # an ellipsis that begins a sentence
        r"^[”」』»）\)\]]+",  # what closes the sentence before
        r"(?:^|(?<=[.!?…]))(?:</[a-zA-Z]\w*>)+(?:\s*<br\s*/?>)*\s*",  # tags that end with the sentence
        r"(?<!។ល)[។៕](?!ល។)[\s»”\"]*",  # Khmer; "។ល។" is "etc."
        r"(?:(?<=[་ཀ-ྼ]།)|(?<=[།༎]།)|(?<=༎)|(?<=གོ))\s+",  # Tibetan; after "ga" the shad is left out
    )
]
_STARTERS = {
    "da": "De Det Den Der Han Hun Vi Jeg Du I Hvad Hvor Hvem Hvorfor Hvordan Men Og Da",
    "nb": "De Det Den Der Han Hun Vi Jeg Du Hva Hvor Hvem Hvorfor Hvordan Men Og Da",
    "no": "De Det Den Der Han Hun Vi Jeg Du Hva Hvor Hvem Hvorfor Hvordan Men Og Da",
    "sv": "De Det Den Där Han Hon Vi Jag Du Vad Var Vem Varför Hur Men Och Då",
    "de": "Das Der Die Er Sie Es Wir Ich Ihr Was Wo Wer Warum Wie Aber Und Dann",
    "nl": "De Het Een Hij Zij Ze Wij We Ik Jij Wat Waar Wie Waarom Hoe Maar En Dan",
    "fr": "Le La Les Il Elle Ils Elles Nous Je Vous On Que Où Qui Pourquoi Comment Mais Et Puis",
    "es": "El La Los Las Él Ella Ellos Nosotros Yo Qué Dónde Quién Cómo Pero Y Luego",
    "it": "Il La I Le Lui Lei Loro Noi Io Che Dove Chi Perché Come Ma E Poi",
    "pt": "O A Os As Ele Ela Eles Nós Eu Que Onde Quem Como Mas E Depois",
}
"""Words with which a sentence begins, after an abbreviation that may end one; English is known to sentencex."""
_MAY_END = r"(?:\b(?:[A-Z]\.){2,}|\b(?:[Cc]o|Inc|Ltd|Corp|Jr|Sr|etc|osv|usw)\.)\s+(?=(?:%s)\b)"

_ONLY_DOTS = re.compile(r"[.…\s]+")
_BEFORE_NUMBER = re.compile(
    r"\b(?:approx|ca|godz|ok|str|стр|рис|табл|гл|čl|poz|ch|chap|sec|figs?|eqs?|nos?|vol|pp?|art|abs|nr|kap|abb|bd|cap|núm|pág)\.\s+$",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\W*[^\W\d_]+\s\d{1,3}\.\s+")
_TITLE_MARK = re.compile(r"\b[A-Z][^\s.!?]*[!?]\s+$|[!?][\"'”’»)*_]+\s*$")
_GOES_ON = re.compile(r"[,;:，、；：”」』»）\)\]]|</[a-zA-Z]")
_ORDINAL = re.compile(r"\b(?:der|die|das|dem|den|des|am|im|zum|zur|vom|beim|ab|bis|seit|det)\s\d{1,3}\.\s+$")
_WITH_ORDINALS = frozenset({"de", "da", "nb", "nn", "no", "lb"})
_ELLIPSIS_END = re.compile(r"(?:(?<!\.)\.\.\.|…|(?<![.\s])\s\. \. \.)\s+$")
_FIRST_PERSON = re.compile(r"I(?:['’ ]|$)")
_QUOTE_END = re.compile(r"[。．！？…!?.][”’」』\"]$")
_SAID = re.compile(
    r"[^，。！？；：、“”「」『』\s]{0,6}?(?:说|說|道|问|問|答|喊|叫|嚷|写|寫|想|表示|称|稱|宣布)[道着著了过過]?[，。：！？,:.]"
    r"|[^。！？「」『』、\s]{1,8}[はがも][^。！？「」『』]{0,12}?"
    r"(?:言|聞|尋|訊|叫|答|呟|つぶや|囁|ささや|述べ|告げ)[^。！？「」『』]{0,5}[。！？]"
    r"|(?:と|って)(?![きもこ])|(?:이?라고|하고|라며|라는)"
)
_SHORT = """
    डॉ डा डाॅ श्री श्रीमती सुश्री सौ प्रो प्रा रा अ पं स्व कु इं इंजी एड अॅड मो नं सं क्र रु रू पृ लि कं चि
    ए बी सी डी ई एफ एफ़ जी एच आई जे के एल एम एन ओ पी क्यू आर एस टी यू वी व्ही डब्ल्यू एक्स वाय वाई
    ডা ড ডঃ মো মোঃ প্রো মি মিস মিসেস শ্রী নং লি ਡਾ ਪ੍ਰੋ ਸ੍ਰੀ ਸ ડૉ ડો શ્રી પ્રો ଡା ଡ ଶ୍ରୀ ପ୍ରୋ
    திரு திருமதி டாக்டர் பேரா எண் డా శ్రీ ప్రొ ಡಾ ಶ್ರೀ ಪ್ರೊ ഡോ ശ്രീ പ്രൊഫ ආචාර්ය මහාචාර්ය
    Dr Prof Mr Mrs Ms TS ThS GS PGS BS د أ م ص آ ג ד מר κ κα δρ αρ г ул пл пр др проф акад им стр рис
"""
"""Doctor, Mr, Mrs, professor, the late, engineer, number, rupees and the like; in Hindi the names of letters too,
as initials are written with them. sentencex knows most of Latin script."""
_ABBREVIATIONS = frozenset(_SHORT.split())
_OF_LANGUAGE = {
    language: frozenset(words.split())
    for language, words in {
        "fr": "M MM Mme Mlle",
        "pl": "tys mln mld godz ul al os im św",
        "ro": "Dl dl Dna dna D-na d-na Str str",
        "hu": "Kb kb Pl pl",
        "id": "Bpk Jl",
        "sv": "Kl kl",
    }.items()
}
"""Words that are short for something in one language alone: "M. Dupont", "5 tys. zł"."""
_LAST_WORD = re.compile(r"(?:^|[\s(\"“«„])([^\s(\"“«„.]+)\.\s+$")
_NO_CASE = re.compile(r"[\u0590-\u0dff]")


def segments(line: str, language: str) -> Iterator[str]:
    """Cut a line at sentence ends; white space stays at the end of the sentence before it.

    Args:
        line: text without line breaks, of any length.
        language: ISO 639 code.
    """
    if thai.is_thai(line):
        yield from thai.segments(line)
        return
    whole = ""
    for segment in itertools.chain.from_iterable(_cut(part, language) for part in _chunks(line)):
        if whole and not _goes_on(whole, segment, language):
            yield whole
            whole = segment
        else:
            whole += segment
        if len(whole) > _CHUNK:  # what goes on for so long is no sentence
            yield whole
            whole = ""
    if whole:
        yield whole


def _chunks(line: str) -> Iterator[str]:
    """A line in parts of at most `_CHUNK` characters, cut after a mark or a space where there is one."""
    at = 0
    while len(line) - at > _CHUNK:
        found = (list(pattern.finditer(line, at + _CHUNK // 2, at + _CHUNK)) for pattern in _CHUNK_ENDS)
        ends = next((matches for matches in found if matches), None)
        end = ends[-1].end() if ends else at + _CHUNK
        yield line[at:end]
        at = end
    yield line[at:]


def _cut(text: str, language: str) -> Iterator[str]:
    patterns = [*_CUTS, starter] if (starter := _starter(language)) else _CUTS
    for segment in sentencex.segment(language, text):
        cuts = sorted({0, len(segment), *(match.end() for cut in patterns for match in cut.finditer(segment))})
        yield from (segment[a:b] for a, b in itertools.pairwise(cuts))


@lru_cache(maxsize=64)
def _starter(language: str) -> re.Pattern[str] | None:
    words = _STARTERS.get(language)
    return re.compile(_MAY_END % words.replace(" ", "|")) if words else None


def _goes_on(before: str, after: str, language: str) -> bool:
    """Whether what sentencex cut apart is one sentence."""
    tail, first = before[-80:], after[:1]
    word = _LAST_WORD.search(tail)
    return bool(
        _ONLY_DOTS.fullmatch(before)
        or _GOES_ON.match(after)
        or (len(before) < 60 and _LABEL.fullmatch(before))
        or (first.isdigit() and _BEFORE_NUMBER.search(tail))
        or (first.islower() and _TITLE_MARK.search(tail))
        or (language in _WITH_ORDINALS and first.isupper() and _ORDINAL.search(tail))
        or (_FIRST_PERSON.match(after) and _ELLIPSIS_END.search(tail))
        or (_QUOTE_END.search(tail) and _SAID.match(after))
        or (word and word[1] in _ABBREVIATIONS and _is_abbreviation(word[1], after))
        or (word and word[1] in _OF_LANGUAGE.get(language, ()) and after[:1].isalnum())
        or _tibetan_fragment(before)
    )


def _is_abbreviation(word: str, after: str) -> bool:
    """Whether a word before a full stop is short for something; a cased one only before a capital or a digit."""
    return bool(_NO_CASE.match(word)) or after[:1].isupper() or after[:1].isdigit()


def _tibetan_fragment(before: str) -> bool:
    """Whether this is one item of a list, as the shad, which ends sentences, also stands between words."""
    return before.rstrip().endswith("།") and before.count("་") < 2
