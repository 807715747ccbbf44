"""What one request is about: a whole file, a window of its time, its sound, or what is merged of other answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from client.media.content import Span

if TYPE_CHECKING:
    from collections.abc import Iterable


_HEARD_DIGITS = 16


class UnitKind(StrEnum):
    """The sorts of units, as the ledger names them; a whole file's is not kept there."""

    WHOLE = "whole"
    WINDOW = "window"
    AUDIO = "audio"
    MERGE = "merge"
    DIGEST = "digest"
    """Merged of some of many answers, to be merged with others in its turn."""
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Unit:
    """What one request is about. Its `id` is the first part of the key of an answer."""

    id: str
    """Of a whole file its sha256, of a window `sha256@start-end`, of a merge, or a part of one, `sha256+hash` of its
    inputs' answers; `#digest` behind it: of the transcript that goes with it."""
    content: str
    """The sha256 of the file."""
    kind: UnitKind = UnitKind.WHOLE
    start_us: int | None = None
    """With `end_us` a half open span of time: microseconds, 0 is when the first frame is displayed. Of a digest that
    of its inputs."""
    end_us: int | None = None
    inputs: tuple[str, ...] = ()
    """Of a merge or digest: the ids of the units whose answers it is made of."""

    @property
    def span(self) -> Span | None:
        """The time that it is about; None: all of it."""
        return None if self.start_us is None or self.end_us is None else Span(self.start_us, self.end_us)


def whole(content: str) -> Unit:
    """A whole file."""
    return Unit(content, content)


def window(content: str, span: Span) -> Unit:
    """A span of a video's time."""
    return Unit(f"{content}@{span.start_us}-{span.end_us}", content, UnitKind.WINDOW, *span)


def sound(content: str, span: Span) -> Unit:
    """A piece of a file's sound."""
    return Unit(f"{content}@{span.start_us}-{span.end_us}", content, UnitKind.AUDIO, *span)


def heard(unit: Unit, said: str) -> Unit:
    """A whole file, or a window, together with what is said in it: another one if that changes.

    Of a whole file it counts as merged, of what is shown and what was said.
    """
    digest = hashlib.sha256(said.encode()).hexdigest()[:_HEARD_DIGITS]
    kind = UnitKind.MERGE if unit.kind is UnitKind.WHOLE else unit.kind
    return replace(unit, id=f"{unit.id}#{digest}", kind=kind)


def merged(content: str, inputs: Iterable[tuple[Unit, str]]) -> Unit:
    """What is merged of the answers (units and texts) about parts of a file: another one if any answer changes."""
    name, units = _of_inputs(content, inputs)
    return Unit(name, content, UnitKind.MERGE, inputs=tuple(unit.id for unit in units))


def digest(content: str, inputs: Iterable[tuple[Unit, str]]) -> Unit:
    """What is merged of some of the answers, those of a span of time, to be merged again with the others."""
    name, units = _of_inputs(content, inputs)
    starts = [unit.start_us for unit in units if unit.start_us is not None]
    ends = [unit.end_us for unit in units if unit.end_us is not None]
    span = (min(starts, default=None), max(ends, default=None))
    return Unit(name, content, UnitKind.DIGEST, *span, inputs=tuple(unit.id for unit in units))


def _of_inputs(content: str, inputs: Iterable[tuple[Unit, str]]) -> tuple[str, list[Unit]]:
    """The id of what is made of some answers, and their units."""
    found, units = hashlib.sha256(), list[Unit]()
    for unit, text in inputs:
        found.update(f"{unit.id}\0{text}\0".encode())
        units.append(unit)
    return f"{content}+{found.hexdigest()}", units
