"""Answers as a terminal shows them: a text, a list, data, or what is said of times; and the same in other languages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from client.checks.issues import DOUBTFUL
from client.cli.lines import CONTROL, in_lines, write_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from client.endpoints.completion import Answer
    from client.record import Record

_SHOWN = {code: text for code, text in CONTROL.items() if chr(code) not in "\n\t"}
"""An answer may have lines, and nothing else that moves the cursor."""


def show(text: str, end: str = "\n") -> None:
    """Write to standard output, at once."""
    print(text.translate(_SHOWN), end=end, flush=True)


def note(text: str) -> None:
    """Write a line to standard error, or several."""
    write_line(in_lines(text))


def note_verdict(answer: Answer) -> None:
    """Say so if an answer is doubtful."""
    if answer.verdict == DOUBTFUL:
        note(f"doubtful answer: {'; '.join(answer.reasons)}")


def show_translations(translations: Mapping[str, str]) -> None:
    """An answer in other languages, each under its name."""
    for language, text in translations.items():
        show(f"\n{language}: {text}")


def show_record(record: Record) -> None:
    """All answers of a record, under their names where there are several; what is wrong goes to standard error."""
    several = len(record["tasks"]) > 1
    for key, answer in record["tasks"].items():
        if several:
            show(f"{key}:")
        show(text_of(key, answer))
        show_translations({language: _text(said) for language, said in answer["translations"].items()})
        if several:
            show("")
    for warning in record["warnings"]:
        note(f"warning: {warning}")
    if record["error"]:
        note(f"failed: {record['file'].translate(CONTROL)}: {record['error']}")


def clock(at_s: float) -> str:
    """A time as players show it: 1:20, 1:02:03, with tenths where there are any."""
    minutes, rest_s = divmod(round(at_s, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    rest = f"{rest_s:04.1f}".removesuffix(".0")
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"


def text_of(key: str, answer: dict[str, Any]) -> str:
    """What the answer to a task says, and what it says of times, a line each."""
    return "\n".join(_lines(key, answer))


def _lines(key: str, answer: dict[str, Any]) -> Iterator[str]:
    if (found := answer.get("text", answer.get("data", answer.get(key.partition("-")[0])))) is not None:
        yield _text(found)
    for segment in answer.get("segments", ()):
        title = f"{segment['title']}: " if "title" in segment else ""
        said = _text(segment.get("text", segment.get("data", "")))
        yield f"{clock(segment['start'])}-{clock(segment['end'])}  {title}{said}"
        for language, text in segment.get("translations", {}).items():
            yield f"    {language}: {_text(text)}"


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, list) and all(isinstance(item, str) for item in said):
        return ", ".join(said)
    return json.dumps(said, ensure_ascii=False, indent=2)
