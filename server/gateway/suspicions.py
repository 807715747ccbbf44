"""What is wrong with a request if an engine fails at it: some contradictions show only while it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

STRUCTURES = ("structured_outputs", "response_format", "text", "tool_choice")
NARROWING = ("allowed_token_ids", "logit_bias", "bad_words", "min_tokens", "stop_token_ids", "ignore_eos")
"""What takes tokens away that a structure may need."""


class Suspicion(NamedTuple):
    """What explains the failure of an engine."""

    refusal: RequestError
    unexplained: bool
    """Whether it does so only if the engine itself says nothing."""


def suspicion_of(asked: Mapping[str, Any], *, media: bool) -> Suspicion | None:
    """What an engine's failure at this request comes of, if something in the request explains it."""
    if media and (refusal := _of_truncation(asked)):
        return Suspicion(refusal, unexplained=False)
    refusal = _of_structure(asked)
    return Suspicion(refusal, unexplained=True) if refusal else None


def _of_truncation(asked: Mapping[str, Any]) -> RequestError | None:
    """What stands for media was cut off."""
    most = asked.get("truncate_prompt_tokens")
    if type(most) is not int or most < 0:
        return None
    message = f"truncate_prompt_tokens: of a prompt of {most} tokens the picture or video would be cut off"
    return RequestError(400, message, param="truncate_prompt_tokens", code="invalid_parameter")


def _of_structure(asked: Mapping[str, Any]) -> RequestError | None:
    """None of the tokens that the structure of an answer allows is left, or its schema turned out to be too much."""
    structure = next((name for name in STRUCTURES if asked.get(name)), None)
    if structure is None:
        return None
    narrowing = [name for name in NARROWING if asked.get(name)]
    if narrowing:
        message = f"{structure} and {', '.join(narrowing)} contradict each other: no token is left that both allow"
    else:
        message = f"{structure} could not be followed to its end: a pattern or a number in its schema is too complex"
    return RequestError(400, message, param=narrowing[0] if narrowing else structure, code="invalid_parameter")
