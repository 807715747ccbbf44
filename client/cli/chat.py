"""`babelview ask --chat`: lines that are questions, or commands that begin with a slash."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from client.cli.said import clock, note
from client.errors import BabelviewError, ServiceLostError, UsageError
from client.export.atomic import replacing

if TYPE_CHECKING:
    from client.cli.talk import Talk

COMMANDS = {
    "/at": "/at 1:20 looks at this moment of the video; /at alone at all of it again",
    "/task": "/task NAME asks a task of babelview batch, such as describe, tags or captions",
    "/save": "/save [FILE] writes what was said to a file: .md, or .json",
    "/help": "/help shows this",
    "/quit": "/quit ends, as Ctrl-D does; Ctrl-C ends at once",
}
_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?)", re.ASCII)


class Lines(Protocol):
    """Where lines come from."""

    async def next(self) -> str | None:
        """The next one; None at the end."""


class Piped:
    """Lines of standard input that is no terminal."""

    async def next(self) -> str | None:
        """The next one; None at the end."""
        line = await asyncio.to_thread(sys.stdin.readline)
        return line or None


class Terminal:
    """Lines that are typed, with the keys that terminals have: arrows, history, Ctrl-R, Tab for commands."""

    def __init__(self) -> None:
        """Nothing is remembered when it ends."""
        from prompt_toolkit import PromptSession  # noqa: PLC0415  # a quarter of a second, which pipes need not wait for
        from prompt_toolkit.completion import WordCompleter  # noqa: PLC0415
        from prompt_toolkit.history import InMemoryHistory  # noqa: PLC0415

        completer = WordCompleter(list(COMMANDS), sentence=True)
        self._session: PromptSession[str] = PromptSession("> ", history=InMemoryHistory(), completer=completer)

    async def next(self) -> str | None:
        """The next one; None after Ctrl-D.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        try:
            return await self._session.prompt_async()
        except EOFError:
            return None


async def converse(talk: Talk, lines: Lines | None = None) -> None:
    """Answer line after line until they end; what goes wrong with one is said, and the next one is asked.

    Raises:
        ServiceLostError: the server is gone.
    """
    typed = sys.stdin.isatty() and sys.stdout.isatty()
    lines = lines or (Terminal() if typed else Piped())
    if typed:
        note(f"about {', '.join(talk.files)}: ask away; /help lists commands")
    while (line := await lines.next()) is not None:
        line = line.strip()
        if line in ("/quit", "/exit"):
            return
        try:
            if line.startswith("/"):
                await _obey(talk, line)
            elif line:
                await talk.answer(line)
        except ServiceLostError:
            raise
        except BabelviewError as error:
            note(f"Error: {error}")


async def _obey(talk: Talk, line: str) -> None:
    """Do what a command says.

    Raises:
        BabelviewError: it cannot be done, or there is no such command.
    """
    name, _, told = line.partition(" ")
    told = told.strip()
    if name == "/at":
        at_s = _seconds(told) if told else None
        await talk.look_at(at_s)
        note("looking at all of it" if at_s is None else f"looking at {clock(at_s)}; what was said before is put aside")
    elif name == "/task" and told:
        await talk.answer(None, told)
    elif name == "/save":
        note(f"saved: {_save(talk, Path(told) if told else None)}")
    elif name == "/help":
        for text in COMMANDS.values():
            note(text)
    else:
        raise UsageError(COMMANDS.get(name, f"there is no {name}: /help lists commands"))


def _seconds(text: str) -> float:
    """Seconds of `80`, `1:20` or `1:02:03.5`.

    Raises:
        UsageError: it is no time.
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise UsageError(f"/at {text}: a time is 80, 1:20 or 1:02:03.5")
    hours, minutes, rest_s = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + rest_s


def _save(talk: Talk, path: Path | None) -> Path:
    """Write what was said; without a path to a new file that is named like the first one asked about.

    Raises:
        UsageError: nothing was said yet, or there is such a file.
        BabelviewError: it cannot be written.
    """
    if not talk.said:
        raise UsageError("/save: nothing was said yet")
    if path is None:
        path = Path(f"{Path(talk.files[0]).stem}.chat.md")
        if path.exists():
            raise UsageError(f"/save: there is a {path} already: /save FILE names another, or writes over it")
    text = _as_json(talk) if path.suffix.lower() == ".json" else _as_markdown(talk)
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise BabelviewError(f"/save: cannot write to {path}: {error.strerror or error}") from error
    return path


def _as_json(talk: Talk) -> str:
    said = [
        {
            "asked": each.asked,
            **({} if each.at_s is None else {"at": each.at_s}),
            "text": each.text,
            "verdict": each.verdict,
            **({"reasons": list(each.reasons)} if each.reasons else {}),
        }
        for each in talk.said
    ]
    return json.dumps({"files": talk.files, "said": said}, ensure_ascii=False, indent=2) + "\n"


def _as_markdown(talk: Talk) -> str:
    parts = [f"# {', '.join(talk.files)}"]
    for each in talk.said:
        at = "" if each.at_s is None else f" ({clock(each.at_s)})"
        parts += [f"**{each.asked}**{at}", each.text]
    return "\n\n".join(parts) + "\n"
