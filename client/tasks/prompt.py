"""A prompt file: front matter between two lines of `---`, then what the model is asked.

---
title: Description
about: What is shown.
answer: text
max_tokens: 512
---
Describe this picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from client.errors import UsageError
from client.tasks.answers import READERS
from client.tasks.schemas import reader_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FENCE = "---"
_DEFAULT_MAX_TOKENS = 400
QUESTION = "{question}"
"""Stands in a prompt for the user's own question."""
START, END = "{start}", "{end}"
"""Stand in the prompt of a window for its span: `12.5 s`."""
ANSWERS = "{answers}"
"""Stands in the prompt of a merge for the answers about the windows, a line each."""
TRANSCRIPT = "{transcript}"
"""Stands in a prompt about a video, or a window, for what is said in that time; nothing where it is not heard."""
_OF_TIME = (QUESTION, START, END, TRANSCRIPT)
_FILLS = {"merge": (QUESTION, ANSWERS), **dict.fromkeys(("video", "window", "talk"), _OF_TIME)}
"""By the names of files."""
OVER = ("whole", "windows", "audio")
"""What a prompt can be asked about, as its front matter says."""
MEASURES = ("quality",)
"""What can be measured instead of asked; the answer is by the prompt's schema."""
_PLACEHOLDER = re.compile(r"\{\s*[A-Za-z_]\w*\s*\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked about one kind of file."""

    text: str
    answer: str = "text"
    """How the answer is read: see `client.tasks.readers`."""
    max_tokens: int = _DEFAULT_MAX_TOKENS
    title: str = ""
    about: str = ""
    temperature: float | None = None
    """None: that of the run."""
    frames: int | None = None
    """Of a video, or of each window of it; None: as many as the run says."""
    measure: str | None = None
    """One of `MEASURES`, where that answers and no model does."""
    hears: bool = False
    """Of a video, or a window: it is told what is said, if the run hears that (`--hear`)."""
    over: str = "whole"
    """One of `OVER`."""
    schema: dict[str, Any] | None = None
    """JSON schema of the answer; its reader is that of `client.tasks.schemas` then."""


def read_prompt(path: Path) -> Prompt:
    """Read a prompt file; its front matter may be missing, whole or in part. Its name says what may be filled in.

    Raises:
        UsageError: it is wrong; the message names the file and, where there is one, the line.
    """
    try:
        # With universal newlines, and without the mark that some editors begin a file with.
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    return _prompt(path, content)


@lru_cache(maxsize=256)
def _prompt(path: Path, content: str) -> Prompt:
    """What a file of this content asks; kept, for a service reads the same files for every job."""
    lines = content.split("\n")
    begin, settings = 0, {}
    if lines[0].rstrip() == _FENCE:
        end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
        if end is None:
            raise UsageError(f"{path}, line 1: the front matter has no end: a line of {_FENCE}")
        # The fence becomes an empty line, so that YAML counts lines as an editor does.
        settings = _front_matter(path, "\n".join(["", *lines[1:end]]))
        begin = end + 1
    if not (text := "\n".join(lines[begin:]).strip()):
        raise UsageError(f"{path}, line {len(lines)}: there is no prompt below the front matter")
    fills = _FILLS.get(path.stem, (QUESTION,))
    for number, line in enumerate(lines[begin:], begin + 1):
        if unknown := [name for name in _PLACEHOLDER.findall(line) if name not in fills]:
            known = " and ".join(fills)
            raise UsageError(f"{path}, line {number}: nothing is known to fill in for {unknown[0]}, only for {known}")
    if settings.get("schema"):
        if "answer" in settings:
            raise UsageError(f"{path}: an answer by a schema is read by it: leave out `answer`")
        try:
            settings["answer"] = reader_name(settings["schema"])
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
    return Prompt(text, **settings)


def _front_matter(path: Path, text: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode | None):
            raise UsageError(f"{path}, line {node.start_mark.line + 1}: must be lines of `name: value`")
        for key, value_node in node.value if node else ():
            name, value = str(key.value), loader.construct_object(value_node, deep=True)
            if problem := _problem(name, value):
                raise UsageError(f"{path}, line {key.start_mark.line + 1}: {problem}")
            settings[name] = value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: {error.problem or error.context} (a value that holds ': ' needs quotes)") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    finally:
        loader.dispose()
    return settings


def _problem(name: str, value: Any) -> str | None:
    if name not in _SETTINGS:
        return f"there is no setting {name!r}; there are: {', '.join(_SETTINGS)}"
    right, what = _SETTINGS[name]
    return None if right(value) else f"{name} must be {what}, not {value!r}"


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": (_is_text, "a text"),
    "about": (_is_text, "a text"),
    "answer": (lambda value: value in list(READERS), f"one of {', '.join(READERS)}"),
    "max_tokens": (_is_count, "a whole number above 0"),
    "temperature": (_is_amount, "a number, 0 or above"),
    "schema": (lambda value: isinstance(value, dict) and bool(value), "a JSON schema"),
    "measure": (lambda value: value in MEASURES, f"one of {', '.join(MEASURES)}"),
    "hears": (lambda value: isinstance(value, bool), "true or false"),
    "frames": (_is_count, "a whole number above 0"),
    "over": (lambda value: value in OVER, f"one of {', '.join(OVER)}"),
}
"""Of the front matter: what is right, and what to say of what is not."""
