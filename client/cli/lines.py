"""Messages as lines of standard error."""

from __future__ import annotations

import os
import sys

CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
"""File names may hold line breaks, what moves the cursor of a terminal, and what turns the direction of writing."""


def in_lines(text: str) -> str:
    """A message as a terminal shows it: one of several lines, such as a server's, has the others indented."""
    first, *others = text.replace("\r\n", "\n").split("\n")
    lines = [first, *(line if line.startswith(" ") else f"    {line}" for line in others)]
    return "\n".join(line.translate(CONTROL).rstrip() for line in lines if line.strip())


def write_line(text: str) -> None:
    """Write a line, or several, to standard error; if that is full, or nobody reads it, the run goes on in silence."""
    if sys.stderr:
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except OSError:
            fall_silent()


def fall_silent() -> None:
    """Let what is still written to standard error go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
