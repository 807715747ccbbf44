"""What was asked about a file before: the model is told of it where a question follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from client.api.options import plan_of
from client.errors import UsageError
from client.tasks.plan import Turn
from client.tasks.steps import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.api.options import Asked, Models
    from client.captioner.api_types import Earlier
    from client.tasks.plan import Request


def told_before(asked: Asked, history: Sequence[Earlier], models: Models) -> Asked:
    """The same, where the questions come after those of `history`; tasks are asked as ever.

    The earlier ones are put as they were then, so that what a server keeps of them serves again: where the questions
    are told what is said in the file, so are they.

    Raises:
        UsageError: one of them is no question about a whole file.
    """
    for number, earlier in enumerate(history):
        if (earlier.question is None) == (earlier.task is None):
            raise UsageError(f"history[{number}]: give what was asked, either a question or a task")
    tasks = list(dict.fromkeys(earlier.task for earlier in history if earlier.task is not None))
    questions = list(dict.fromkeys(earlier.question for earlier in history if earlier.question is not None))
    before = {
        hears: plan_of({"tasks": tasks, "questions": questions, "hear": hears}, models).plan.requests
        for hears in {request.hears for kind in asked.plan.requests for request in asked.plan.requests[kind]}
    }
    requests = {
        kind: [
            replace(request, earlier=tuple(_turn(earlier, before[request.hears][kind]) for earlier in history))
            if request.question is not None
            else request
            for request in asked.plan.requests[kind]
        ]
        for kind in asked.plan.requests
    }
    return asked._replace(plan=replace(asked.plan, requests=requests))


def _turn(earlier: Earlier, requests: Sequence[Request]) -> Turn:
    asked = [
        request
        for request in requests
        if (request.question == earlier.question if earlier.question is not None else request.task == earlier.task)
    ]
    if len(asked) != 1 or asked[0].over != WHOLE or asked[0].measure:
        raise UsageError(f"history: {earlier.task or earlier.question!r} is not one question about a whole file")
    return Turn(asked[0].prompt, earlier.answer)
