"""Every answer is checked; one that is no caption is asked for once more, and what stays bad is said to be.

The second try is sampled anew, with a seed and a penalty on what was said before: at temperature 0 the same request
gives the same answer. The better of the two is kept.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from client.checks.issues import ASKED_AGAIN, DOUBTFUL, RETRIED, WORST, Issue, IssueKind, find_issues
from client.checks.reasoning import split_reasoning
from client.endpoints.chat import OtherTry
from client.errors import DeclinedError, RefusedError, RequestError
from client.tasks.steps import OverKind

if TYPE_CHECKING:
    from client.endpoints.chat import ModelClient
    from client.endpoints.completion import Answer
    from client.endpoints.streamed import StreamedModel
    from client.tasks.plan import Request

_TEMPERATURE = 0.7
_PENALTY = 0.6
"""Of OpenAI's `frequency_penalty` (-2 to 2), for loops; a caption repeats small words anyway."""
_SEEDS = 1 << 31


class Reviewed(NamedTuple):
    """The answer that is kept, with its verdict, and all that were given."""

    answer: Answer
    given: list[Answer]


async def ask_reviewed(
    model: ModelClient | StreamedModel, request: Request, parts: bytes, label: str, *, once: bool = False
) -> Reviewed:
    """Ask a question, a second time if the answer is no caption, unless `once` is enough.

    The other arguments are those of `ModelClient.ask`.

    Raises:
        RefusedError: there was no answer, but a refusal or reasoning alone.
        RequestError: it was not answered.
        ServiceLostError: the server is gone.
        StoppedError: the run was stopped.
    """
    given: list[Answer] = []
    declined: DeclinedError | None = None
    first: Answer | None = None
    try:
        first, issues = _check(await model.ask(request, parts, label), request)
        given.append(first)
    except DeclinedError as error:
        declined, issues = error, [Issue(IssueKind.REFUSAL, str(error))]
    if once and declined:
        raise declined
    if first and (once or not any(issue.kind in ASKED_AGAIN for issue in issues)):
        return Reviewed(_judged(_with_text(first), issues, issues), given)
    try:
        second, remaining = _check(await model.ask(request, parts, label, _other_try(request, issues)), request)
    except RequestError:  # an endpoint may refuse the penalty; what there is stays
        if declined:
            raise declined from None
        second, remaining = given[0], issues
    else:
        given.append(second)
    kept, left = (second, remaining) if first is None or _badness(remaining) < _badness(issues) else (first, issues)
    return Reviewed(_judged(_with_text(kept), left, issues), given)


def review(answer: Answer, request: Request) -> Answer:
    """An answer that was shown as it came, and so is not asked for again: without its reasoning, and with a verdict.

    Raises:
        RefusedError: it is reasoning alone.
    """
    answer, issues = _check(answer, request)
    return _judged(_with_text(answer), issues, issues)


def _with_text(answer: Answer) -> Answer:
    if not answer.text:
        raise RefusedError(
            f"the model wrote {answer.generated_tokens} tokens of reasoning and no answer: give it more room "
            "(max_tokens in the front matter of a prompt of your own), or turn its reasoning off"
        )
    return answer


def _check(answer: Answer, request: Request) -> tuple[Answer, list[Issue]]:
    """An answer without its reasoning, which stands beside it, and what speaks against it."""
    split = split_reasoning(answer.text)
    thoughts = "\n\n".join(part for part in (answer.reasoning, split.reasoning) if part) or None
    if (split.text, thoughts) != (answer.text, answer.reasoning):
        answer = replace(answer, text=split.text, reasoning=thoughts)
    if not split.text:
        return answer, [Issue(IssueKind.REASONING_ONLY, "no answer came after it")]
    merged = request.over.kind is OverKind.MERGE
    return answer, find_issues(split.text, request.prompt, request.question, request.answer, merged=merged)


def _other_try(request: Request, issues: list[Issue]) -> OtherTry:
    loops = any(issue.kind in (IssueKind.LOOP, IssueKind.ECHO) for issue in issues)
    return OtherTry(
        seed=random.randrange(_SEEDS),
        temperature=max(request.temperature, _TEMPERATURE),
        frequency_penalty=_PENALTY if loops else 0.0,
    )


def _badness(issues: list[Issue]) -> tuple[int, int]:
    """How bad an answer is: by the worst of its issues, then by their number."""
    return (max((len(WORST) - WORST.index(issue.kind) for issue in issues), default=0), len(issues))


def _judged(answer: Answer, left: list[Issue], first: list[Issue]) -> Answer:
    """The answer with its verdict: the reasons are what is left, or what was wrong with the first one."""
    if not (left or first):
        return answer  # as it came: it counts as `ok` until something speaks against it
    verdict = DOUBTFUL if left else RETRIED
    return replace(answer, verdict=verdict, reasons=tuple(str(issue) for issue in left or first))
