"""How an answer is read, by the name that its prompt gives: `text`, `list` ..., or by a JSON schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.tasks import structured
from client.tasks.answers import READERS, Reading
from client.tasks.schemas import is_structured

if TYPE_CHECKING:
    from collections.abc import Callable


def reader_of(name: str) -> Callable[[str], Reading]:
    """What reads answers."""
    return (lambda text: _read(name, text)) if is_structured(name) else READERS[name]


def _read(name: str, text: str) -> Reading:
    data, problem = structured.read(name, text)
    return Reading(
        text, data=data, schema=name, warnings=(f"the answer is kept as text: {problem}",) if problem else ()
    )
