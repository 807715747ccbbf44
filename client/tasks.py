"""A task is a folder of prompts, `prompts/<task>/{image,video}.md`, and a way to read the answers.

The front matter of a prompt file says `answer` (how it is read: see `READERS`) and `max_tokens`; the rest of
the file is what the model is asked. `{question}` in it stands for the user's own question.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import frontmatter
import yaml

from client.errors import UsageError
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT_IN = Path(__file__).resolve().parents[1] / "prompts"
QUESTION = "question"
_PLACE = "{question}"
_DEFAULT_MAX_TOKENS = 400
_MOST_LIST_ITEM_WORDS = 8


def read_list(text: str) -> list[str] | None:
    """The strings of a JSON array, also in a code fence or among other words, or of a plain list; else None.

    Items lose surrounding space, empty and repeated ones are dropped, order is kept.
    """
    items = _json_strings(text)
    if items is None:
        items = _plain_items(text)
    if items is None:
        return None
    return list(dict.fromkeys(item for item in (item.strip() for item in items) if item)) or None


def _json_strings(text: str) -> list[str] | None:
    array = re.search(r"\[.*\]", text, re.DOTALL)
    if not array:
        return None
    try:
        items: Any = json.loads(array.group())
    except ValueError:
        return None
    if all(isinstance(item, str | int | float) for item in items):
        return [str(item) for item in items]
    return None


def _plain_items(text: str) -> list[str] | None:
    """`a, b, c`, or one item a line, numbered or with dashes. Sentences are no list."""
    plain = re.sub(r"^```\w*$|[\[\]]", "", text, flags=re.MULTILINE).strip()
    items = [re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line) for line in re.split(r"[,\n]", plain)]
    items = [item.strip().strip("\"'") for item in items if item.strip()]
    if len(items) < 2 or any(len(item.split()) > _MOST_LIST_ITEM_WORDS or ":" in item for item in items):
        return None
    return items


READERS: dict[str, Callable[[str], list[str] | None] | None] = {"text": None, "list": read_list}
"""How an answer is read: `text` as it is, `list` as a list of strings."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked about one kind of file."""

    text: str
    answer: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Task:
    """A task as chosen for a run: its prompts, filled in. `key` names its answer in the record."""

    key: str
    name: str
    prompts: dict[Kind, Prompt]
    question: str | None = None


def choose_tasks(names: list[str], questions: list[str], folder: Path | None = None) -> list[Task]:
    """Read the prompts of the named tasks, and of each question.

    `folder` adds to the built-in prompts and overrides those of the same name.

    Raises:
        UsageError: a task does not exist, a prompt file is wrong, or nothing is asked.
    """
    if folder and not folder.is_dir():
        raise UsageError(f"--prompts: no such folder: {folder}")
    available = _available([BUILT_IN, folder] if folder else [BUILT_IN])
    names = list(dict.fromkeys(names))
    questions = list(dict.fromkeys(questions))
    if unknown := [name for name in names if name not in available]:
        raise UsageError(f"unknown task {', '.join(unknown)}; there are: {', '.join(sorted(available))}")
    if questions and QUESTION not in names:
        names.append(QUESTION)
    if not names:
        raise UsageError(f"nothing to ask: give --tasks (there are: {', '.join(sorted(available))}) or --question")
    tasks: list[Task] = []
    for name in names:
        prompts = {kind: _read_prompt(path) for kind, path in available[name].items()}
        if not any(_PLACE in prompt.text for prompt in prompts.values()):
            tasks.append(Task(name, name, prompts))
            continue
        if not questions:
            raise UsageError(f'the task {name} needs a question: --question "..."')
        for number, question in enumerate(questions, 1):
            filled = {
                kind: Prompt(prompt.text.replace(_PLACE, question), prompt.answer, prompt.max_tokens)
                for kind, prompt in prompts.items()
            }
            key = name if len(questions) == 1 else f"{name}-{number}"
            tasks.append(Task(key, name, filled, question))
    return tasks


def _available(folders: list[Path]) -> dict[str, dict[Kind, Path]]:
    found: dict[str, dict[Kind, Path]] = {}
    for folder in folders:
        for kind in Kind:
            for path in sorted(folder.glob(f"*/{kind}.md")):
                found.setdefault(path.parent.name, {})[kind] = path
    return found


def _read_prompt(path: Path) -> Prompt:
    try:
        post = frontmatter.load(str(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
    answer = post.get("answer", "text")
    max_tokens = post.get("max_tokens", _DEFAULT_MAX_TOKENS)
    if answer not in READERS:
        raise UsageError(f"{path}: answer must be one of {', '.join(READERS)}, not {answer!r}")
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise UsageError(f"{path}: max_tokens must be a whole number above 0, not {max_tokens!r}")
    if not (text := post.content.strip()):
        raise UsageError(f"{path}: there is no prompt below the front matter")
    return Prompt(text, str(answer), max_tokens)
