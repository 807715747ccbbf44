"""A task is a folder of prompts, `prompts/<task>/image.md` and `video.md`; see prompts/README.md.

`{question}` in a prompt stands for the user's own question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import UsageError
from client.hints import did_you_mean
from client.media.kinds import Kind
from client.tasks.prompt import QUESTION, read_prompt
from client.tasks.steps import Step

if TYPE_CHECKING:
    from client.tasks.prompt import Prompt

BUILT_IN = Path(__file__).resolve().parents[2] / "prompts"
ASK = "ask"
FIELDS = frozenset(
    {
        *("question", "text", "raw", "original_order", "label", "segments", "translations", "translation_verdicts"),
        *("verdict", "reasons", "reasoning"),
        *("generated_tokens", "request_time_sec", "tokens_per_sec", "finish_reason", "model", "prompt", "answered_at"),
    }
)
"""Of an answer in a record, where the items of a list stand under the name of their task: none may be called so."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as chosen for a run: its steps, with prompts filled in. `key` names its answer in the record."""

    key: str
    name: str
    steps: dict[Kind, tuple[Step, ...]]
    """The last one gives the answer about the whole file."""
    question: str | None = None

    @property
    def prompts(self) -> dict[Kind, Prompt]:
        """Those of the last steps."""
        return {kind: steps[-1].prompt for kind, steps in self.steps.items()}


def choose_tasks(names: list[str], questions: list[str], folder: Path | None = None) -> list[Task]:
    """Read the prompts of the named tasks, and of each question.

    `folder` adds to the built-in prompts and overrides those of the same task and kind of file.

    Raises:
        UsageError: a task does not exist, a prompt file is wrong, or nothing is asked.
    """
    available = _find(BUILT_IN)
    for name, files in _own(folder).items() if folder else ():
        available[name] = available.get(name, {}) | files
    names = list(dict.fromkeys(names))
    questions = list(dict.fromkeys(question.strip() for question in questions))
    if "" in questions:
        raise UsageError('--question "": say what to ask')
    if unknown := [name for name in names if name not in available]:
        named = ", ".join(name + did_you_mean(name, available) for name in unknown)
        raise UsageError(f"unknown task {named}; there are:\n{_listing(available)}")
    if taken := [name for name in names if name in FIELDS]:
        raise UsageError(
            f"no task can be called {', '.join(taken)}, as a field of an answer is: rename its folder in {folder}"
        )
    prompts = {name: {kind: read_prompt(path) for kind, path in available[name].items()} for name in names}
    if questions and not any(map(_takes_question, prompts.values())):
        prompts[ASK] = {kind: read_prompt(path) for kind, path in available[ASK].items()}
    if not prompts:
        raise UsageError(f"nothing to ask: give --question, or --tasks; there are:\n{_listing(available)}")
    tasks: list[Task] = []
    for name, by_kind in prompts.items():
        if not _takes_question(by_kind):
            tasks.append(Task(name, name, _whole(by_kind)))
            continue
        if not questions:
            raise UsageError(f'the task {name} needs a question: --question "..."')
        for number, question in enumerate(questions, 1):
            filled = {
                kind: replace(prompt, text=prompt.text.replace(QUESTION, question)) for kind, prompt in by_kind.items()
            }
            key = name if len(questions) == 1 else f"{name}-{number}"
            tasks.append(Task(key, name, _whole(filled), question))
    return tasks


def _whole(prompts: dict[Kind, Prompt]) -> dict[Kind, tuple[Step, ...]]:
    """A single step, about whole files."""
    return {kind: (Step(prompt),) for kind, prompt in prompts.items()}


def _takes_question(prompts: dict[Kind, Prompt]) -> bool:
    return any(QUESTION in prompt.text for prompt in prompts.values())


def _find(folder: Path) -> dict[str, dict[Kind, Path]]:
    """The prompt files of each task in a folder."""
    found: dict[str, dict[Kind, Path]] = {}
    for kind in Kind:
        for path in folder.glob(f"*/{kind}.md"):
            found.setdefault(path.parent.name, {})[kind] = path
    return found


def _own(folder: Path) -> dict[str, dict[Kind, Path]]:
    """The prompt files of each task in the user's folder, in which nothing may be overlooked."""
    if not folder.is_dir():
        raise UsageError(f"--prompts: no such folder: {folder}")
    found = _find(folder)
    files = " or ".join(f"{kind}.md" for kind in Kind)
    if not found:
        raise UsageError(f"--prompts {folder}: there are no prompts; a prompt is a file {folder}/TASK/{files}")
    for path in sorted(folder.glob("*/*.md")):
        if path not in found.get(path.parent.name, {}).values():
            raise UsageError(f"{path}: a prompt is named {files}")
    return found


def _listing(available: dict[str, dict[Kind, Path]]) -> str:
    """A line for each task: its name, and what its prompts say they are about."""
    lines: list[str] = []
    for name, files in sorted(available.items()):
        about = dict.fromkeys(read_prompt(path).about for _, path in sorted(files.items()))
        lines.append(f"  {name:<10} {' / '.join(text for text in about if text)}".rstrip())
    return "\n".join(lines)
