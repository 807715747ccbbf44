"""Answers that say nothing: an empty frame of words ("Here is a description of the image:"), and the prompt itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from client.checks.words import sequences, straight, vocabulary, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNFILLED = "a form that is not filled in"
_LONGEST_FRAME = 400
"""Characters: a longer text says something."""
_FRAME = frozenset(
    """a an the this that these those it its is are was be of in on to for with and or as at by from has have there
    here i i'm i'll i've i'd you your me my we our let let's can could will would may might please sure
    certainly course absolutely okay ok yes great happy glad help following below above follows provided
    requested given based image images picture pictures photo photos photograph photographs video videos clip
    frame frames scene scenes shot visual content contents show shows shown showing depict depicts depicted
    depicting display displays displayed displaying feature features featuring contain contains containing
    illustrate illustrates present presents portray portrays capture captures captured see seen view visible
    describe describes described describing description descriptions detailed detail details brief short
    paragraph paragraphs two three caption captions summary analysis overview answer answers response tag tags
    keyword keywords list title subject setting first second then finally what which who where when how
    happening composition text task output result results json n n/a na none null nothing unknown undefined empty
    todo tbd insert lorem ipsum placeholder example something things various""".split()  # noqa: SIM905
)
"""Words that stand around what is said of a picture."""
_MARKS = re.compile(r"<\|?(?:image|video|image_pad|audio|im_start|im_end|s|/s|pad|unk|bos|eos|endoftext)\|?>|```\w*")
_SLOT = re.compile(r"\[[^\[\]\n\"]{1,80}\]|\{[^{}\n\":]{1,80}\}|<[a-z][^<>\n]{0,60}>", re.IGNORECASE)
"""What was to be filled in: "[description of the setting]"."""
_HEADING = re.compile(r"^[\s#*>-]*(?:\(?\d{1,3}[.):]|[A-Za-z][.)])?[^:\n.!?]{0,60}:[\s*]*$")
_BARE_MARKER = re.compile(r"^\s*(?:\(?\d{1,3}[.):]|[-*+\u2022#]+)\s*$")
_TURNS = re.compile(
    r"(?:^|\n)[ \t]{0,20}(?:USER|Human|### ?(?:Instruction|Human|User))\s{0,20}:|<\|im_start\|>|<\|start_header_id\|>"
    r"|\[/?INST\]|<\|user\|>|<start_of_turn>"
)
_OF_TURNS = ("USER", "Human", "###", "<", "[")
"""One of these is in each of them, and in few answers."""
_WIDTH = 5
"""Words of the sequences by which an echo is known."""
_ECHO_WORDS, _ECHO_SHARE = 8, 0.6
"""An answer of so many words is an echo if so large a share of it stands in the prompt."""
_ECHO_BEGINS = 12
"""The prompt's first words, so many of them, before an answer."""
_ECHO_ITEMS, _ECHO_ITEM_SHARE = 5, 0.8


def find_emptiness(text: str, *, takes_question: bool, may_be_empty: bool) -> str | None:
    """Why an answer says nothing of a picture, in words; None if it does.

    `takes_question`: "No" is an answer to one; `may_be_empty`: so is a list without items.
    """
    if len(text) > _LONGEST_FRAME:
        return None
    plain = straight(text)
    if "<" in plain or "```" in plain:
        plain = _MARKS.sub(" ", plain)
    if (values := _json_texts(plain)) is not None:
        plain = "\n".join(values)
        if not plain.strip():
            return None if may_be_empty else _UNFILLED
    if not any(character.isalnum() for character in plain):
        return None if takes_question and not plain.isascii() else "no words"
    return _empty_frame(plain, takes_question=takes_question)


def _empty_frame(plain: str, *, takes_question: bool) -> str | None:
    lines = [line for line in plain.splitlines() if line.strip()]
    filled = [line for line in lines if not (":" in line and _HEADING.match(line)) and not _BARE_MARKER.match(line)]
    if not filled:
        return "nothing but headings"
    if takes_question:
        return None
    says_something = False
    for line in filled:
        said = words(_SLOT.sub(" ", line) if "[" in line or "{" in line or "<" in line else line)
        if not _FRAME.issuperset(said):
            return None
        says_something |= bool(said)
    return "nothing but words around a description" if says_something else _UNFILLED


def find_echo(text: str, prompt: str, question: str | None, items: Sequence[str] | None) -> str | None:
    """How much of an answer is the prompt, in words; None if it is not.

    An answer may use the words of a `question`; `prompt` holds it.
    """
    if any(map(text.__contains__, _OF_TURNS)) and _TURNS.search(text):
        return "it holds the marks of a conversation"
    if question and words(question) == words(text):
        return "it is the question itself"
    instruction = prompt.replace(question, " ") if question else prompt
    if items and len(items) >= _ECHO_ITEMS:
        return _echoed_items(items, instruction)
    said = words(text)
    if len(said) < _ECHO_WORDS:
        return None
    count = len(said) - _WIDTH + 1
    share = sum(map(vocabulary(instruction).__contains__, said[:count])) / count  # at most: where it could begin
    if share >= _ECHO_SHARE:
        known = sequences(instruction, _WIDTH)
        share = sum(map(known.__contains__, zip(*(said[at:] for at in range(_WIDTH)), strict=False))) / count
        if share >= _ECHO_SHARE:
            return f"{share:.0%} of it is the prompt"
    begins = words(instruction)[:_ECHO_BEGINS]
    return "it begins with the prompt" if len(begins) == _ECHO_BEGINS and said[:_ECHO_BEGINS] == begins else None


def _echoed_items(items: Sequence[str], instruction: str) -> str | None:
    there, found = f" {' '.join(words(instruction))} ", len(items)
    for item in items:
        found -= f" {' '.join(words(item))} " not in there
        if found / len(items) < _ECHO_ITEM_SHARE:
            return None
    return f"{found / len(items):.0%} of its items are words of the prompt"


def _json_texts(text: str) -> list[str] | None:
    """The strings and numbers of JSON, keys left out; None for what is none."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return list(_leaves(json.loads(text)))
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)
