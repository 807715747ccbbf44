"""A model's reasoning, told from its answer: in the marks that models put around it, or by how it reads."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMES = "think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|internal_monologue|antthinking|cot"
_OPEN = re.compile(
    rf"<(?:seed:)?(?:{_NAMES})>|\[THINK\]|\u25c1think\u25b7|<\|begin_of_thought\|>|<\|START_THINKING\|>"
    r"|<unused94>(?:thought)?|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<]*<\|message\|>"
    r"|<\|(?:think|thinking)\|>",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"</(?:seed:)?(?:{_NAMES})\s*>|\[/THINK\]|\u25c1/think\u25b7|<\|end_of_thought\|>|<\|END_THINKING\|>|<unused95>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^<]*<\|message\|>|<\|end\|>"
    r"|<\|/(?:think|thinking)\|>",
    re.IGNORECASE,
)
"""Marks of DeepSeek, Qwen, GLM and others (`<think>`), Seed-OSS, Magistral (`[THINK]`), Kimi-VL, Open Thoughts, Cohere,
MedGemma (`<unused94>`) and gpt-oss (channels), around what is no answer."""
_LONE_CLOSE = re.compile(
    rf"(?<![\"'`\u201c\u2018(])</(?:seed:)?(?:{_NAMES})\s*>(?![\"'`\u201d\u2019)])|\[/THINK\]|\u25c1/think\u25b7",
    re.IGNORECASE,
)
"""Templates of chats may hold the mark that opens: then the answer has only the other one."""
_INLINE = 80
"""From so many characters on, marks within a line are no quote of what a picture shows."""
_PROSE = (
    re.compile(
        r"here(?:'s| is) my (?:thought process|reasoning)\s*:"
        r"\s*(?P<thoughts>.*?)\n\s{0,20}here(?:'s| is) my (?:response"
        r"|answer)"
        r"\s*:\s*",
        re.IGNORECASE | re.DOTALL,
    ),
    re.compile(r"analysis(?=[A-Z\s])(?P<thoughts>.*?)assistantfinal\s*", re.DOTALL),
    re.compile(
        r"[#*\s]*(?:thinking|thoughts?|(?:my )?reasoning|thought process|thinking process|chain of"
        r" thought)\s*:?\**:?\s+"
        r"(?P<thoughts>.*?)\n[#*\s]{0,20}(?:final )?(?:answer|response|caption|output)\s*(?::\**|\**:|\**\n)\s*",
        re.IGNORECASE | re.DOTALL,
    ),
)
"""Of Granite; of gpt-oss, where a server drops the marks; and under headings."""
_WRAPPER = re.compile(r"\s*<(answer|output|response|final|final_answer)>", re.IGNORECASE)
_MOST_BLOCKS = 100
_LINE_START = 200
"""Characters before a mark that are looked at."""
_AROUND = re.compile(
    r"<\|(?:begin_of_box|end_of_box|begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE)\|>", re.IGNORECASE
)
"""Marks around an answer: of GLM, Open Thoughts, Cohere."""
_END = re.compile(r"<\|(?:return|im_end|eot_id|end_of_text|endoftext|end)\|>\s*$")
_READS_SO = re.compile(
    r"\W*(?:(?:okay|ok|alright|all right|hmm+|right|so|well|got it|first|wait)[,.]? )*"
    r"(?:(?:the|this) user (?:wants|is asking|asks|asked|has asked|has (?:provided|given|shared|uploaded|sent)"
    r"|needs|provided|would like|sent|uploaded|shared)\b"
    r"|(?:let me|let's|i'll|i will|i'm going to) (?:now |first |carefully |start by |begin by |try to |just )*"
    r"(?:think|look|see\b|analy[sz]e|start|begin|tackle|figure|break (?:this|it) down|examin|check|consider|go through"
    r"|work through|identif)"
    r"|(?:i need to|i have to|i should|we need to|we have to|we should|we must|my task is to|the task is to"
    r"|(?:i am|i'm|i've been|i was|we are|we're) asked to)"
    r" (?:now |first |carefully |start by |begin by |try to |just )*"
    r"(?:think|look|see\b|analy[sz]e|start|begin|describ|tackle|figure|examin|check|consider|produc|answer|writ|identif"
    r"|respond|creat|generat|provid|follow|list|find|determin)"
    r"|(?:hmm+|wait|okay|alright), (?:let me|let's|so|the|this|i|we|first|what)\b"
    r"|(?:here's a |my )?(?:thinking|thought) process\b|chain of thought\b)",
    re.IGNORECASE,
)
_OFFERS = re.compile(
    r"\W*(?:sure|certainly|of course|absolutely|great)\b|\W*(?:let me|i'll|i will) (?:describe|provide|list|answer)"
    r"[^.:\n]{0,80}[:!]|\W*let's (?:take a (?:closer )?look|explore|dive)",
    re.IGNORECASE,
)


class Split(NamedTuple):
    """An answer without its reasoning."""

    text: str
    reasoning: str | None


def split_reasoning(text: str) -> Split:
    """Take a model's reasoning out of what it wrote; nothing is left of a text that was cut off while it reasoned.

    What a picture shows may hold such marks too: those within a line count only around many words, or where they end
    what has no beginning.
    """
    thoughts: list[str] = []
    if "<" in text or "[" in text or "\u25c1" in text:
        text = _without_blocks(text, thoughts)
        text = _AROUND.sub("", text)
    for form in _PROSE:
        if found := form.match(text):
            thoughts.append(found["thoughts"])
            text = text[found.end() :]
            break
    if not thoughts:
        return Split(text.strip(), None)
    text = _END.sub("", text)
    if wrapper := _WRAPPER.match(text):
        text = text[wrapper.end() :].strip()
        end = text.lower().rfind(f"</{wrapper[1].lower()}")
        text = text[:end] if end >= 0 and text[end:].endswith(">") and "\n" not in text[end:] else text
    return Split(text.strip(), "\n\n".join(part for thought in thoughts if (part := thought.strip())) or None)


def reads_like_reasoning(text: str) -> bool:
    """Whether a text begins as models think aloud ("Okay, the user wants me to describe ..."), without any marks."""
    return _READS_SO.match(text) is not None and _OFFERS.match(text) is None


def _without_blocks(text: str, thoughts: list[str]) -> str:
    kept: list[str] = []
    at = begin = 0
    closing = _CLOSE.search(text)
    for _ in range(_MOST_BLOCKS):
        if not (opening := _OPEN.search(text, at)):
            break
        if closing and closing.start() < opening.end():  # each closing mark is looked for once
            closing = _CLOSE.search(text, opening.end())
        first = not text[max(0, opening.start() - _LINE_START) : opening.start()].rpartition("\n")[2].strip()
        end = closing.start() if closing else len(text)
        if not first and (closing is None or end - opening.end() < _INLINE):
            at = opening.end()
            continue
        kept.append(text[begin : opening.start()])
        thoughts.append(text[opening.end() : end])
        at = begin = closing.end() if closing else len(text)
    kept.append(text[begin:])
    last = next(reversed([*_LONE_CLOSE.finditer(kept[-1])]), None)
    if last and not _OPEN.search(kept[-1], 0, last.start()) and not any(part.strip() for part in kept[:-1]):
        thoughts.append(kept[-1][: last.start()])
        kept[-1] = kept[-1][last.end() :]
    return "".join(kept)
