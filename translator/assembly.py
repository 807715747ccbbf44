"""A translated text put together: its sentences with their tags and line breaks, and all that stood between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from translator.text.placement import Mark, Part, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.checks.review import Reviewed, Verdict
    from translator.prepared import Prepared, PreparedSentence
    from translator.text.marked import Marked
    from translator.text.placement import Anchor


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a text and what became of it."""

    source: str
    """As the text has it, with the line breaks that it was wrapped at, without tags."""
    text: str
    """Its translation, on as many lines."""
    reason: str | None = None
    """What was wrong with the translation, or with the first one if it was retried; None if nothing was. Of an `ok`
    one what is worth to know, if anything: figures given in other units."""
    verdict: Verdict = "ok"
    """`retried`: the first translation had an issue, this later one has none; `doubtful`: this is the best of
    several, and has the issue that `reason` says."""
    score: float | None = field(default=None, compare=False)
    """Mean log-probability of its tokens, which changes in the third decimal with the company in a batch; None if
    the model was not asked."""
    alternatives: tuple[str, ...] = field(default=(), compare=False)
    """Other translations, the likeliest first."""
    by: str = ""
    """Which other model translated it; empty for the service's own."""


@dataclass(frozen=True, slots=True)
class TranslatedText:
    """A text in another language; what stood between the sentences is as it was."""

    text: str
    sentences: list[Sentence]
    alternatives: list[str] = field(default_factory=list, compare=False)
    """The text with the second best translation of each sentence that has one, with the third best, and so on."""


class _Result(Protocol):
    def __call__(self, one: Prepared, sentence: PreparedSentence, target: str, /) -> Reviewed:
        """What became of a sentence."""


def assemble(prepared: Prepared, target: str, result: _Result) -> TranslatedText:
    """Put a text together in another language.

    Args:
        prepared: the text.
        target: FLORES code of the language.
        result: says what became of a sentence.
    """
    results = [result(prepared, sentence, target) for sentence in prepared.sentences]
    pairs = list(zip(prepared.sentences, results, strict=True))
    said = [_say(prepared.marked, sentence, one.text, one.anchors) for sentence, one in pairs]
    others: list[str] = []
    for number in range(max((len(one.alternatives) for one in results), default=0)):
        other = [
            _say(prepared.marked, sentence, one.alternatives[number]) if number < len(one.alternatives) else already
            for (sentence, one), already in zip(pairs, said, strict=True)
        ]
        others.append(_whole(prepared, other))
    done = [_sentence(prepared.marked, *one) for one in zip(prepared.sentences, results, said, strict=True)]
    return TranslatedText(_whole(prepared, said), done, others)


def _sentence(marked: Marked, sentence: PreparedSentence, result: Reviewed, parts: list[Part] | None) -> Sentence:
    source = marked.text[sentence.start : sentence.end]
    text = source if parts is None else "".join(part.plain for part in parts)
    return Sentence(source, text, result.reason, result.verdict, result.score, result.alternatives, result.by)


def _say(marked: Marked, sentence: PreparedSentence, text: str, anchors: Sequence[Anchor] = ()) -> list[Part] | None:
    """The parts of a sentence's translation; None if it is the sentence itself, which stays byte for byte."""
    if text == sentence.said:
        return None
    if not sentence.tags and not sentence.unwrapped.breaks:
        return [Part(text)]
    return place(sentence.said, text, _marks(marked, sentence), anchors)


def _marks(marked: Marked, sentence: PreparedSentence) -> list[Mark]:
    """What stands within a sentence besides its words."""
    start, unwrapped = sentence.start, sentence.unwrapped
    marks = [
        Mark(at, marked.written(start + first, start + last), line_break=marked.text[start + first : start + last])
        for at, first, last in unwrapped.breaks
    ]
    inside = set(sentence.tags)
    for number in sentence.tags:
        tag, partner = marked.tags[number], marked.partners.get(number)
        at = unwrapped.at(tag.at - start)
        if partner not in inside or partner is None:
            marks.append(Mark(at, tag.source))
        elif partner > number:
            closing = marked.tags[partner]
            marks.append(Mark(at, tag.source, unwrapped.at(closing.at - start), closing.source))
    return marks


def _whole(prepared: Prepared, said: Sequence[list[Part] | None]) -> str:
    """The text with its sentences' translations, and all tags that are around sentences."""
    marked = prepared.marked
    within = {
        number for sentence, parts in zip(prepared.sentences, said, strict=True) if parts for number in sentence.tags
    }
    outside = [tag for number, tag in enumerate(marked.tags) if number not in within]
    built: list[str] = []
    at = next_tag = 0

    def source(end: int) -> None:
        """Go on with the source, tags included, up to a character."""
        nonlocal at, next_tag
        while next_tag < len(outside) and outside[next_tag].at <= end:
            tag = outside[next_tag]
            built.extend((marked.written(at, tag.at), tag.source))
            at, next_tag = max(at, tag.at), next_tag + 1  # a tag too many of a sentence follows it
        built.append(marked.written(at, end))
        at = end

    for sentence, parts in zip(prepared.sentences, said, strict=True):
        if parts is None:
            continue
        source(sentence.start)
        built.extend(marked.escape(part.plain) if part.written is None else part.written for part in parts)
        at = sentence.end
    source(len(marked.text))
    return "".join(built)
