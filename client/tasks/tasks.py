"""A task is a folder of prompts; see prompts/README.md.

`image.md` is asked about pictures, `video.md` about whole videos; or `window.md` about windows of a video's time,
instead of it `talk.md` where people talk and hardly anything is to be seen, and `merge.md` about the answers;
`audio.md` stands for what is said in videos and files of sound. `{question}` in a prompt stands for the user's own
question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import UsageError
from client.hints import did_you_mean
from client.media.kinds import Kind
from client.tasks.prompt import ANSWERS, QUESTION, read_prompt
from client.tasks.prompt import TRANSCRIPT as TRANSCRIPT_PLACE
from client.tasks.steps import DEFAULT_WINDOW_S, Over, OverKind, Step, audio, merge, windows

if TYPE_CHECKING:
    from client.tasks.prompt import Prompt

BUILT_IN = Path(__file__).resolve().parents[2] / "prompts"
ASK, TRANSCRIPT = "ask", "transcript"
AUDIO, WINDOW, TALK, MERGE = Kind.AUDIO.value, "window", "talk", "merge"
"""The prompt files of tasks over time, beside those called like kinds of files; and the steps that they are."""
_OF_VIDEOS = (Kind.VIDEO.value, AUDIO, WINDOW, TALK, MERGE)
FILES = (*(kind.value for kind in Kind), WINDOW, TALK, MERGE)
"""Names of prompt files, without `.md`."""
FIELDS = frozenset(
    {
        *("question", "text", "raw", "original_order", "label", "segments", "translations", "translation_verdicts"),
        *("verdict", "reasons", "reasoning", "data", "edited", "heard"),
        *(
            "heard",
            "generated_tokens",
            "request_time_sec",
            "tokens_per_sec",
            "finish_reason",
            "model",
            "prompt",
            "answered_at",
        ),
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
    def over_time(self) -> bool:
        """Whether it goes through videos in windows."""
        return any(step.over.kind is OverKind.WINDOWS for steps in self.steps.values() for step in steps)

    @property
    def hears(self) -> bool:
        """Whether it is about sound."""
        return any(step.over.kind is OverKind.AUDIO for steps in self.steps.values() for step in steps)

    @property
    def prompts(self) -> dict[Kind, Prompt]:
        """Those of the last steps."""
        return {kind: steps[-1].prompt for kind, steps in self.steps.items()}


def choose_tasks(
    names: list[str],
    questions: list[str],
    folder: Path | None = None,
    window: Over | None = None,
    sound: Over | None = None,
) -> list[Task]:
    """Read the prompts of the named tasks, and of each question.

    `folder` adds to the built-in prompts and overrides those of the same task and kind of file. `window` is what tasks
    over time ask about; None: windows of `DEFAULT_WINDOW_S` seconds. `sound` is what is heard; None: the default track.

    Raises:
        UsageError: a task does not exist, a prompt file is wrong, or nothing is asked.
    """
    available = _find(BUILT_IN)
    for name, files in _own(folder).items() if folder else ():
        others = available.get(name, {})
        if not files.keys().isdisjoint(_OF_VIDEOS):
            others = {file: path for file, path in others.items() if file not in _OF_VIDEOS}
        available[name] = others | files
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
    prompts = {name: _read(available[name]) for name in names}
    if questions and not any(map(_takes_question, prompts.values())):
        prompts[ASK] = _read(available[ASK])
    if not prompts:
        raise UsageError(f"nothing to ask: give --question, or --tasks; there are:\n{_listing(available)}")
    tasks: list[Task] = []
    over, heard = window or windows(DEFAULT_WINDOW_S), sound or audio()
    for name, by_file in prompts.items():
        if not _takes_question(by_file):
            tasks.append(Task(name, name, _steps(by_file, over, heard)))
            continue
        if not questions:
            raise UsageError(f'the task {name} needs a question: --question "..."')
        for number, question in enumerate(questions, 1):
            filled = {
                file: replace(prompt, text=prompt.text.replace(QUESTION, question)) for file, prompt in by_file.items()
            }
            key = name if len(questions) == 1 else f"{name}-{number}"
            tasks.append(Task(key, name, _steps(filled, over, heard), question))
    return tasks


def _read(files: dict[str, Path]) -> dict[str, Prompt]:
    """The prompts of a task.

    Raises:
        UsageError: one is wrong, or they do not go together.
    """
    prompts = {file: read_prompt(path) for file, path in files.items()}
    for file, prompt in prompts.items():
        if (prompt.over == AUDIO) != (file == AUDIO):
            raise UsageError(f"{files[file]}: {AUDIO}.md is about sound and says over: audio; no other prompt does")
        if prompt.over == "windows" and file not in (Kind.VIDEO, WINDOW):
            raise UsageError(f"{files[file]}: over: {prompt.over} is for prompts about videos")
        if prompt.measure and (prompt.schema is None or file == MERGE):
            raise UsageError(
                f"{files[file]}: measure: {prompt.measure} is for files with a schema, and not for {MERGE}.md"
            )
        if prompt.hears and file not in (Kind.VIDEO, WINDOW):
            raise UsageError(f"{files[file]}: hears: true is for prompts that are shown videos")
        if prompt.frames is not None and file not in (Kind.VIDEO, WINDOW):
            raise UsageError(f"{files[file]}: frames: {prompt.frames} is for prompts that are shown videos")
    if (path := files.get(AUDIO)) and len(files) > 1:
        raise UsageError(f"{path}: a task about sound has no other prompts beside it")
    if (path := files.get(WINDOW)) and Kind.VIDEO in files:
        raise UsageError(f"{path}: a video is asked about as a whole (video.md) or in windows (window.md), not both")
    _check_beside_windows(files, prompts)
    return prompts


def _check_beside_windows(files: dict[str, Path], prompts: dict[str, Prompt]) -> None:
    """Look at the prompts that come with those about windows.

    Raises:
        UsageError: one of them has no window.md, or nowhere to put what it is about.
    """
    through_windows = _goes_through_windows(prompts)
    if path := files.get(TALK):
        if not (through_windows and _window_of(prompts).hears):
            raise UsageError(f"{path}: there is no window.md with hears: true beside it, instead of which it is asked")
        if TRANSCRIPT_PLACE not in prompts[TALK].text:
            raise UsageError(f"{path}: {TRANSCRIPT_PLACE} is missing, the place of what is said")
    if path := files.get(MERGE):
        if not through_windows:
            raise UsageError(f"{path}: there is no window.md beside it, whose answers could be merged")
        if ANSWERS not in prompts[MERGE].text:
            raise UsageError(f"{path}: {ANSWERS} is missing, the place of the answers to window.md")


def _goes_through_windows(prompts: dict[str, Prompt]) -> bool:
    return WINDOW in prompts or (Kind.VIDEO in prompts and prompts[Kind.VIDEO.value].over == "windows")


def _window_of(prompts: dict[str, Prompt]) -> Prompt:
    return prompts.get(WINDOW) or prompts[Kind.VIDEO.value]


def _steps(prompts: dict[str, Prompt], window: Over, sound: Over) -> dict[Kind, tuple[Step, ...]]:
    """What is asked about each kind of file."""
    if AUDIO in prompts:
        return dict.fromkeys((Kind.VIDEO, Kind.AUDIO), (Step(prompts[AUDIO], sound, AUDIO),))
    found: dict[Kind, tuple[Step, ...]] = {kind: (Step(prompts[kind]),) for kind in Kind if kind in prompts}
    if _goes_through_windows(prompts):
        steps = [Step(_window_of(prompts), window, WINDOW, prompts.get(TALK))]
        if MERGE in prompts:
            steps.append(Step(prompts[MERGE], merge(WINDOW), MERGE))
        found[Kind.VIDEO] = tuple(steps)
    return found


def _takes_question(prompts: dict[str, Prompt]) -> bool:
    return any(QUESTION in prompt.text for prompt in prompts.values())


def _find(folder: Path) -> dict[str, dict[str, Path]]:
    """The prompt files of each task in a folder."""
    found: dict[str, dict[str, Path]] = {}
    for file in FILES:
        for path in folder.glob(f"*/{file}.md"):
            found.setdefault(path.parent.name, {})[file] = path
    return found


def _own(folder: Path) -> dict[str, dict[str, Path]]:
    """The prompt files of each task in the user's folder, in which nothing may be overlooked."""
    if not folder.is_dir():
        raise UsageError(f"--prompts: no such folder: {folder}")
    found = _find(folder)
    files = " or ".join(f"{file}.md" for file in FILES)
    if not found:
        raise UsageError(f"--prompts {folder}: there are no prompts; a prompt is a file {folder}/TASK/{files}")
    for path in sorted(folder.glob("*/*.md")):
        if path not in found.get(path.parent.name, {}).values():
            raise UsageError(f"{path}: a prompt is named {files}")
    return found


def _listing(available: dict[str, dict[str, Path]]) -> str:
    """A line for each task: its name, and what its prompts say they are about."""
    lines: list[str] = []
    for name, files in sorted(available.items()):
        about = dict.fromkeys(read_prompt(path).about for _, path in sorted(files.items()))
        lines.append(f"  {name:<10} {' / '.join(text for text in about if text)}".rstrip())
    return "\n".join(lines)
