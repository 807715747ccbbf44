"""`babelview ask ad.mp4 "How does it end?"`: a question about one file, or a conversation; see `--help`."""

from __future__ import annotations

import asyncio
import json
import sys
import termios
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.cli import signals, values
from client.cli.command import Command, Option
from client.cli.options import BATCH_OPTIONS, SAMPLING
from client.cli.settings import settings_of
from client.errors import BabelviewError, UsageError
from client.media.kinds import by_suffix

if TYPE_CHECKING:
    from client.api.babelview import Babelview
    from client.cli.settings import Settings

DONE, FAILED, USAGE = 0, 1, 2
_DESCRIPTION = """\
Ask about a picture, a video or a sound, and see the answer as it comes.

  babelview ask ad.mp4 "How does it end?"            a question
  babelview ask old.jpg new.jpg "What has changed?"  several pictures side by side
  babelview ask https://example.org/ad.jpg "What is sold?" --languages de,ja
  babelview ask ad.mp4 --task describe               a task of babelview batch
  babelview ask ad.mp4 --task captions --window 5    over time
  babelview ask ad.mp4 --chat                        a conversation: questions, and /help

Nothing is kept: babelview batch is for folders, and remembers. Answers go to standard output, all else to standard
error. Exit code: 0 answered, 1 not, 2 wrong usage, 130 interrupted (Ctrl-C ends it at once).
"""
_EPILOG = """\
Options can be set in the environment too (BABELVIEW_BASE_URL and so on), but for --task, --chat, --json and --hear.
Keys come from the environment alone: BABELVIEW_API_KEY, else OPENAI_API_KEY; for the translator
BABELVIEW_TRANSLATOR_API_KEY.
"""
_OWN = (
    Option(
        "--task",
        group="questions",
        metavar="NAME",
        help="ask this task of babelview batch, such as describe or tags, in the place of a question",
        allow_from_autoenv=False,
    ),
    Option(
        "--chat",
        group="questions",
        is_flag=True,
        help="go on asking: a line is a question, /help lists commands; Ctrl-D ends it",
        allow_from_autoenv=False,
    ),
    Option(
        "--json",
        "as_json",
        group="questions",
        is_flag=True,
        help="give the file's record, as results.json of a batch has it; of several pictures question and answer",
        allow_from_autoenv=False,
    ),
    Option(
        "--hear/--no-hear",
        group="questions",
        is_flag=True,
        default=False,
        show_default=False,
        help="tell the model what is said in the video, which a speech model transcribes first  [default: --no-hear]",
        allow_from_autoenv=False,
    ),
    Option(
        "--languages",
        group="questions",
        default="",
        show_default="none",
        type=values.languages,
        metavar="A,B",
        help="translate the answer too",
    ),
)
_SHARED = (
    *("glossary", "window", "stride", "min_scene", "max_scene", "prompts", "temperature", "max_tokens"),
    *("frames", "fps", "every", "max_frames", "frame_size", "fit", "animated"),
    *("base_url", "model", "image_model", "video_model", "text_model", "speech_model", "frames_as", "translator"),
    *("timeout", "wait", "max_download_mb"),
)
"""Options of `batch` that this command has too."""
_OF_BATCH: dict[str, Any] = {
    "manifest": (),
    "column": None,
    "include": (),
    "exclude": (),
    "output": ".",
    "ray": None,
    "format": [],
    "only_run": False,
    "report": False,
    "no_thumbnails": True,
    "concurrency": 32,
    "loaders": 2,
    "redo": None,
    "dry_run": False,
    "price_in": None,
    "price_out": None,
    "quiet": True,
    "log_file": None,
    "audio_track": None,
    "word_times": False,
    "ask_once": False,
    "merge_characters": next(int(str(it.default)) for it in BATCH_OPTIONS if it.name == "merge_characters"),
}
"""Values of those that it has not."""


def _callback(words: tuple[str, ...], task: str | None, *, chat: bool, as_json: bool, **given: Any) -> None:
    signals.end_at_once()
    signals.open_closed_streams()
    files, question = _told(words, task, chat=chat, as_json=as_json)
    asks = {"tasks": [task] if task else [], "question": [question] if question else []}
    settings = settings_of(click.get_current_context(), {**_OF_BATCH, **given, **asks, "paths": files})
    signals.leave(_run(settings, question, task, chat=chat, as_json=as_json))


def _told(words: tuple[str, ...], task: str | None, *, chat: bool, as_json: bool) -> tuple[list[str], str | None]:
    """The files and the question among the arguments.

    Raises:
        click.UsageError: there is none, or they do not go together.
    """
    if chat and as_json:
        raise click.UsageError("--json and --chat cannot be combined: /save FILE.json keeps a conversation")
    *files, last = words
    if task or (chat and _names_file(last)):
        return [*words], None
    if not files:
        if not chat and by_suffix(Path(last).suffix) and " " not in last and not _names_file(last):
            raise click.UsageError(f"no such file or folder: {last}")
        what = f'babelview ask {last} "What is it?"' if _names_file(last) else f'babelview ask FILE "{last}"'
        raise click.UsageError(f"give a file and a question, or --task, or --chat: {what}")
    if _names_file(last):
        raise click.UsageError(f"{last} is a file: the last argument is the question; or give --task, or --chat")
    if not last.strip():
        raise click.UsageError("the question is empty: say what to ask")
    if missing := next((word for word in files if not _names_file(word)), None):
        raise click.UsageError(f"no such file or folder: {missing} (the question is one argument: is it in quotes?)")
    return files, last.strip()


def _names_file(word: str) -> bool:
    with suppress(OSError):  # a question may be longer than a name
        return Path(word).exists() or ("://" in word and " " not in word)
    return False


def _run(settings: Settings, question: str | None, task: str | None, *, chat: bool, as_json: bool) -> int:
    """Ask; gives the exit code."""
    # Imported late: HTTP and all that takes half a second, which --help need not wait for.
    from client.api.babelview import Babelview  # noqa: PLC0415
    from client.api.options import plan_of  # noqa: PLC0415
    from client.api.session import one_source  # noqa: PLC0415
    from client.cli.log import open_log  # noqa: PLC0415
    from client.cli.said import note  # noqa: PLC0415

    try:
        open_log(None)  # what happens is told in our own words
        for warning in settings.warnings:
            note(warning)
        babelview = settings.session(Babelview)
        babelview.notify = note
        if question or task:
            plan_of(settings.options(), babelview.models)
        for file in settings.paths:
            one_source(file)
        signals.end_at_once(partial(_clean_up, babelview, _terminal()))
        return asyncio.run(_ask(babelview, settings, question, task, chat=chat, as_json=as_json))
    except KeyboardInterrupt:
        return signals.INTERRUPTED
    except BabelviewError as error:
        note(f"Error: {error}")
        return USAGE if isinstance(error, UsageError) else FAILED
    except BrokenPipeError:
        if not signals.nobody_reads():
            raise
        return signals.CLOSED_PIPE


def _terminal() -> list[Any] | None:
    """How the terminal is set, if there is one."""
    return termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None


def _clean_up(babelview: Babelview, terminal: list[Any] | None) -> None:
    """Leave no files behind, and the terminal as it was: a prompt has it send keys, not lines."""
    babelview.discard()
    if terminal is not None:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, terminal)


async def _ask(
    babelview: Babelview, settings: Settings, question: str | None, task: str | None, *, chat: bool, as_json: bool
) -> int:
    from client.cli.talk import Talk  # noqa: PLC0415  # late, as in _run

    async with babelview, Talk(babelview, settings.paths, settings.options()) as talk:
        if chat:
            from client.cli.chat import converse  # noqa: PLC0415

            if question or task:
                await talk.answer(question, task)
            await converse(talk)
            return DONE
        if as_json:
            found = await talk.record(question, task)
            print(json.dumps(found, ensure_ascii=False, indent=2), flush=True)
            return FAILED if found["error"] else DONE
        return DONE if await talk.answer(question, task) else FAILED


_shared = {option.name: option for option in BATCH_OPTIONS}
command = Command(
    "ask",
    params=[
        click.Argument(["words"], nargs=-1, required=True, metavar='FILE... ["QUESTION"]'),
        *_OWN,
        *(_shared[name] for name in _SHARED),
    ],
    groups={"sampling": SAMPLING},
    callback=_callback,
    help=_DESCRIPTION,
    epilog=_EPILOG,
)
