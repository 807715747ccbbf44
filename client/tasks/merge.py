"""Merges: a request about the answers to another step, made when they are all there; of many answers in levels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from client.tasks.plan import UnitRequest
from client.tasks.prompt import ANSWERS
from client.tasks.steps import OverKind
from client.tasks.units import digest, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from client.tasks.plan import AnswerKey, Request
    from client.tasks.units import Unit


class Merge(NamedTuple):
    """A request that waits for the answers to others."""

    request: Request
    inputs: list[UnitRequest]

    def follow(self, texts: Mapping[AnswerKey, str]) -> tuple[list[UnitRequest], Merge | None]:
        """What is to be asked once all inputs are among `texts`: nothing while one is missing.

        That is one request; or, where the answers are longer than a prompt may be, one for each group of them that
        follow each other, and the merge that waits for those.
        """
        if not all(ask.key in texts for ask in self.inputs):
            return [], None
        groups = list(_groups([(ask.unit, texts[ask.key]) for ask in self.inputs], self.request.over.most_characters))
        unit = merged if len(groups) == 1 else digest
        content = self.inputs[0].unit.content
        asks = [UnitRequest(unit(content, group), _filled(self.request, group)) for group in groups]
        return asks, Merge(self.request, asks) if len(groups) > 1 else None


def merges_of(requests: Iterable[Request], asks: list[UnitRequest]) -> list[Merge]:
    """The merges among `requests`, with those of `asks` that they are made of."""
    return [
        Merge(request, [ask for ask in asks if (ask.request.key, ask.request.step) == (request.key, request.over.step)])
        for request in requests
        if request.over.kind is OverKind.MERGE
    ]


def _groups(said: list[tuple[Unit, str]], most: int) -> Iterator[list[tuple[Unit, str]]]:
    """Answers that go into one prompt of `most` characters together: two of them at least, shortened if need be."""
    group: list[tuple[Unit, str]] = []
    size = 0
    for unit, text in said:
        shortened = (unit, text[: most // 2 - _LABEL_CHARACTERS])
        length = len(_line(*shortened)) + 1
        if group and size + length > most:
            yield group
            group, size = [], 0
        group.append(shortened)
        size += length
    yield group


_LABEL_CHARACTERS = 32
"""Room for the time before an answer."""


def _filled(request: Request, said: list[tuple[Unit, str]]) -> Request:
    return replace(request, prompt=request.prompt.replace(ANSWERS, "\n".join(_line(unit, text) for unit, text in said)))


def _line(unit: Unit, text: str) -> str:
    return f"[{unit.span}] {text}" if unit.span else text
