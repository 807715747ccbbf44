"""Merges: a request about the answers to another step, made when they are all there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from client.tasks.plan import UnitRequest
from client.tasks.steps import OverKind
from client.tasks.units import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from client.tasks.plan import AnswerKey, Request
    from client.tasks.units import Unit

ANSWERS = "{answers}"
"""Stands in a merge's prompt for the answers, a line each."""


class Merge(NamedTuple):
    """A request that waits for the answers to others."""

    request: Request
    inputs: list[UnitRequest]

    def ask(self, texts: Mapping[AnswerKey, str]) -> UnitRequest | None:
        """What is to be asked, with the texts of its inputs filled in; None while one is missing."""
        if not all(ask.key in texts for ask in self.inputs):
            return None
        said = [(ask.unit, texts[ask.key]) for ask in self.inputs]
        filled = self.request.prompt.replace(ANSWERS, "\n".join(_line(unit, text) for unit, text in said))
        return UnitRequest(merged(self.inputs[0].unit.content, said), replace(self.request, prompt=filled))


def merges_of(requests: Iterable[Request], asks: list[UnitRequest]) -> list[Merge]:
    """The merges among `requests`, with those of `asks` that they are made of."""
    return [
        Merge(request, [ask for ask in asks if (ask.request.key, ask.request.step) == (request.key, request.over.step)])
        for request in requests
        if request.over.kind is OverKind.MERGE
    ]


def _line(unit: Unit, text: str) -> str:
    return f"[{unit.span}] {text}" if unit.span else text
