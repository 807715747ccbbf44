"""Events of live sessions, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from client.endpoints.completion import Answer
from client.live.events import LiveAnswer, LiveCaption, LiveSession
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks.plan import IMAGE_MODEL, VIDEO_MODEL, UnitRequest, make_plan
from client.tasks.tasks import choose_tasks
from client.tasks.units import whole

BEGAN = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
SECOND = 1_000_000


def caption(start_s: float, end_s: float, text: str, session: LiveSession | None = None) -> LiveCaption:
    plan = make_plan(
        choose_tasks(["captions"], []), {Kind.IMAGE: IMAGE_MODEL, Kind.VIDEO: VIDEO_MODEL}, 0.0, Sampling(), ()
    )
    ask = UnitRequest(whole("stream:1"), plan.requests[Kind.VIDEO][0])
    return LiveCaption(
        session=session or LiveSession("1", BEGAN),
        start_us=round(start_s * SECOND),
        end_us=round(end_s * SECOND),
        answers=(LiveAnswer(ask, Answer(text, "stop", 1, 1, 0.1)),),
        lag_s=0.5,
    )
