"""Events of live sessions, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from client.endpoints.completion import Answer
from client.live.asker import unit_of
from client.live.events import LiveAnswer, LiveCaption, LiveSaid, LiveSession
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks import transcript
from client.tasks.plan import IMAGE_MODEL, VIDEO_MODEL, UnitRequest, make_plan
from client.tasks.tasks import choose_tasks

BEGAN = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
SECOND = 1_000_000
PLAN = make_plan(
    choose_tasks(["captions"], []), {Kind.IMAGE: IMAGE_MODEL, Kind.VIDEO: VIDEO_MODEL}, 0.0, Sampling(), ()
)


def caption(start_s: float, end_s: float, text: str, session: LiveSession | None = None) -> LiveCaption:
    session = session or LiveSession("1", BEGAN)
    start_us, end_us = round(start_s * SECOND), round(end_s * SECOND)
    ask = UnitRequest(unit_of(session, start_us, end_us), PLAN.requests[Kind.VIDEO][0])
    return LiveCaption(
        session=session,
        start_us=start_us,
        end_us=end_us,
        answers=(LiveAnswer(ask, Answer(text, "stop", 1, 1, 0.1)),),
        lag_s=0.5,
    )


def said(start_s: float, end_s: float, text: str) -> LiveSaid:
    """What is said, in English."""
    answer = transcript.to_text([transcript.Said(start_s, end_s, text)], "eng_Latn")
    like = caption(start_s, end_s, answer)
    return LiveSaid(session=like.session, start_us=like.start_us, end_us=like.end_us, answer=like.answers[0])
