"""Whether a run hears what is said in videos, where neither `--hear` nor `--no-hear` says so.

A folder goes on as in its last run, so that nothing that was asked is asked again; a new one hears where a speech
model is served.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from client.media.kinds import Kind, by_suffix
from client.tasks.prompt import read_prompt
from client.tasks.steps import OverKind
from client.tasks.tasks import BUILT_IN

if TYPE_CHECKING:
    from client.endpoints.chat import ModelClient
    from client.sources.source import Source
    from client.tasks.plan import Plan


def could_hear(plan: Plan, sources: list[Source]) -> bool:
    """Whether a plan that hears is told anything by that, with sources of which some are videos, or may be."""
    kinds = {by_suffix(PurePath(source.where).suffix) for source in sources}
    return bool(_hearing(plan)) and not kinds.isdisjoint((Kind.VIDEO, None))


def heard_before(plan: Plan, earlier: Plan | None) -> bool | None:
    """Whether an earlier run heard; None where it asked nothing that can hear.

    What it did where it asked the same counts, else what it did in other tasks.
    """
    looked = (OverKind.WHOLE, OverKind.WINDOWS)
    asked = [it for it in (earlier.requests[Kind.VIDEO] if earlier else []) if it.over.kind in looked]
    same = [request.hears for request in asked if request.task in _hearing(plan)]
    others = same or [request.hears for request in asked if request.hears or request.task in _able()]
    return any(others) if others else None


async def serves_speech(endpoint: ModelClient, speech_model: str) -> bool:
    """Whether the endpoint lists the speech model; it is waited for, as a run does.

    Raises:
        UsageError: it is no OpenAI endpoint.
        ServiceLostError: it is not there, or keeps us out.
        StoppedError: the run was stopped meanwhile.
    """
    await endpoint.check(set())
    return endpoint.lists(speech_model)


def _able() -> set[str]:
    """The tasks that come with the package and hear, if the run does."""
    return {path.parent.name for path in BUILT_IN.glob("*/*.md") if read_prompt(path).hears}


def _hearing(plan: Plan) -> set[str]:
    return {request.task for request in plan.requests[Kind.VIDEO] if request.hears}
