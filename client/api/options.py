"""What is asked about files: the options of a call, and the plan that they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from client.endpoints.language_names import check_languages, language_code
from client.errors import LanguageError, UsageError
from client.hints import did_you_mean
from client.ledger.edits import ENGLISH
from client.ledger.redo import REDO_ALL, REDO_DOUBTFUL, REDO_FAILED
from client.media.kinds import Animated
from client.media.sampling import Sampling
from client.tasks.plan import make_plan
from client.tasks.steps import MERGED_CHARACTERS, SHORTEST_WINDOW_S, Over, audio, scenes, windows
from client.tasks.tasks import TRANSCRIPT, choose_tasks

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from client.media.kinds import Kind
    from client.tasks.plan import Plan
    from client.tasks.tasks import Task

SOUND_UNUSED = "--audio-track and --word-times are for --hear, and for tasks about sound, such as transcript"
SCENES = "scenes"
"""A window from cut to cut."""


class Options(TypedDict, total=False):
    """What is asked about files and how they are looked at, as the options of `babelview batch` say it."""

    tasks: Sequence[str]
    """`describe`, unless there are `questions`."""
    questions: Sequence[str]
    """Your own."""
    languages: Sequence[str]
    """Into which answers are translated: FLORES codes, or ISO ones such as `de`; none by default."""
    prompts: str | os.PathLike[str] | None
    """A folder of your own prompts, beside the built-in ones."""
    window: float | str | Over | None
    """What tasks over time go through a video by: seconds, or `scenes`; 10 seconds by default."""
    hear: bool
    """Whether what is said goes into what is asked about videos."""
    sound: Over | None
    """What tasks about sound hear: `client.tasks.steps.audio`; by default the track that players take."""
    frames: int
    """Of a video, evenly spread; 8 by default."""
    sampling: Sampling
    """Other ways to take frames, in the place of `frames`."""
    animated: Animated
    """What pictures that move are asked about as."""
    max_tokens: int | None
    """Of an answer, whatever its prompt says; None: as each prompt says."""
    temperature: float
    """0 by default, which always gives the likeliest answer."""
    merge_characters: int
    """Of answers in one prompt that merges them."""
    ask_once: bool
    """Whether what is no caption is not asked for a second time, but only marked as doubtful."""


class Models(NamedTuple):
    """Who is asked."""

    by_kind: dict[Kind, str]
    text: str | None
    """Who merges answers; None: who looks at pictures."""
    speech: str


class Asked(NamedTuple):
    """What options come to."""

    plan: Plan
    tasks: list[Task]
    sampling: Sampling
    animated: Animated
    ask_once: bool
    sound: Over | None
    """What is heard, where it is not the default."""
    takes_sound: bool
    """Whether files of sound alone are asked about."""


def plan_of(options: Options, models: Models, *, may_hear: bool = False) -> Asked:
    """What a run with these options asks `models`.

    `may_hear`: it is not decided yet whether what is said goes into it, so what `sound` is for may come.

    Raises:
        UsageError: they do not go together, or name what there is not.
    """
    check_names(options, Options)
    _check_values(options)
    questions = list(options.get("questions", ()))
    names = list(options.get("tasks", () if questions else ("describe",)))
    hear, sound, window = options.get("hear", False), options.get("sound"), _window(options.get("window"))
    aside = [TRANSCRIPT] if hear and TRANSCRIPT not in names else []
    prompts = options.get("prompts")
    tasks = choose_tasks([*names, *aside], questions, Path(prompts) if prompts else None, window, sound)
    hears = any(task.hears for task in tasks)
    if sound and not hears and not may_hear:
        raise UsageError(SOUND_UNUSED)
    if window and not any(task.over_time for task in tasks):
        named = ", ".join(task.name for task in tasks)
        raise UsageError(f"windows are for tasks over time, such as captions; {named} is about whole files")
    sampling = options.get("sampling") or Sampling()
    if "frames" in options:
        sampling = replace(sampling, frames=options["frames"], every=None)
    plan = make_plan(
        tasks,
        models.by_kind,
        options.get("temperature", 0.0),
        sampling,
        _languages(options.get("languages", ())),
        text_model=models.text,
        speech_model=models.speech,
        sound=(sound or audio()) if hear else None,
        aside=aside,
        merge_characters=options.get("merge_characters", MERGED_CHARACTERS),
        max_tokens=options.get("max_tokens"),
    )
    animated = options.get("animated", Animated.VIDEO)
    takes_sound = any(task.hears for task in tasks if task.name not in aside)
    return Asked(plan, tasks, sampling, animated, options.get("ask_once", False), sound, takes_sound)


def check_names(options: Mapping[str, object], known: type) -> None:
    """Make sure that options have names that `known`, a typed dictionary, has: Python takes any keyword.

    Raises:
        UsageError: one has not.
    """
    for name in options:
        if name not in known.__annotations__:
            raise UsageError(f"there is no option {name}{did_you_mean(name, list(known.__annotations__))}")


def _check_values(options: Options) -> None:
    for name in ("tasks", "questions"):
        if isinstance(given := options.get(name), str):
            raise UsageError(f"{name} are a list, such as [{given!r}]")
    if (frames := options.get("frames", 1)) < 1:
        raise UsageError(f"frames must be 1 or more, not {frames}")


def check_redo(redo: str | None, tasks: list[Task]) -> None:
    """Make sure that there is something to be done again.

    Raises:
        UsageError: there is no such thing.
    """
    known = (REDO_FAILED, REDO_DOUBTFUL, REDO_ALL, *(task.name for task in tasks))
    if redo is not None and redo not in known:
        hint = did_you_mean(redo, known)
        raise UsageError(f"--redo {redo}{hint}: must be failed, doubtful, all or one of the tasks of this run")


def _window(given: float | str | Over | None) -> Over | None:
    if given is None or isinstance(given, Over):
        return given
    if isinstance(given, str):
        if given != SCENES:
            raise UsageError(f"a window is so many seconds, or {SCENES}, not {given!r}")
        return scenes()
    if not SHORTEST_WINDOW_S <= given < float("inf"):
        raise UsageError(f"a window must be {SHORTEST_WINDOW_S} or more seconds, not {given:g}")
    return windows(given)


def _languages(given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise UsageError(f"languages are a list, such as [{given!r}]")
    codes = tuple(dict.fromkeys(language_code(name) for name in given))
    if ENGLISH in codes:
        raise LanguageError("answers are in English already: leave that out of the languages")
    check_languages(codes)
    return codes
