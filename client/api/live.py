"""A camera or a stream from Python: `async for event in bv.live("rtsp://...")`."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack, aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from client.api.options import Options, check_names, plan_of
from client.checks import language
from client.errors import LedgerError, UsageError
from client.live.actions import Actions, command_of, webhook_key, webhook_of
from client.live.alerts import AlertState
from client.live.asker import Asker
from client.live.events import LiveAlert
from client.live.files import JsonLines, Stills
from client.live.live_ledger import LiveLedger
from client.live.reader import Reader
from client.live.source import source_of
from client.live.subtitles import SEGMENT_S, LiveSubtitles
from client.live.watch import Hearing, LiveStats, Watch
from client.media.kinds import Kind
from client.tasks.steps import OverKind
from client.tasks.tasks import TRANSCRIPT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from client.api.opened import Opened
    from client.api.session import Session
    from client.live.events import LiveEvent
    from client.media.sampling import Sampling
    from client.tasks.plan import Plan, Request

ALERT = "alert"
"""The task, as the ledger knows it, that questions of yes or no belong to."""
EVERY_S, ROTATE_S, ANSWER_S = 2.0, 3600.0, 30.0
_GIVEN_S = 5.0
"""How long a caption may take from its answer until it is given: it is translated meanwhile."""
_ALERT_TOKENS = 8
_OF_SAMPLING = ("frames", "sampling")
_OF_PLAN = (*_OF_SAMPLING, "prompts", "languages", "temperature")


class LiveOptions(Options, total=False):
    """What is asked about a stream and how it is looked at, beside what `Options` has.

    Without `tasks` and `questions` it is `captions`, of a single frame `describe`; with `tasks=[]` the alerts
    alone. `window`, `animated`, `merge_characters` and `ask_once` say nothing here: an answer is asked for once.
    """

    every_s: float
    """From one caption to the next; 2 by default."""
    span_s: float
    """How much of the newest time its frames are of; as `every_s` by default."""
    alerts: Sequence[str]
    """Questions of yes or no."""
    alert_after: int
    """So many answers one after the other make a change; 1 by default."""
    on_alert: str | None
    """A command that is run on a change, without a shell."""
    webhook: str | None
    """A URL that is posted to on a change."""
    output: str | os.PathLike[str] | None
    """A folder for the ledger, JSON lines and stills; nothing is kept by default."""
    subtitles: bool
    """Whether live subtitles are written there too."""
    rotate_s: float
    """After which time a new session begins; an hour by default."""
    keep: int | None
    """Of JSONL files, and of the stills of alerts, so many; all by default."""
    realtime: bool | None
    """Whether a file is shown at the pace of its clock, or as one that grows; by default, whether it has stopped to."""
    input_options: Mapping[str, str]
    """FFmpeg's, for the source."""
    wait_s: float
    """How long a source may be away."""
    max_lag_s: float | None
    """How old a caption may be; by default two periods, or twice what answers take where they take longer."""
    answer_s: float
    """How long an answer may take; 30 s by default."""
    on_piece: Callable[[int, int, str], None] | None
    """Is called with the pieces of a caption as they come, and the time that it is about (microseconds)."""


class Live:
    """A source that is watched: `async for event in live`; `stats` counts."""

    def __init__(self, session: Session, source: str | os.PathLike[str], options: LiveOptions) -> None:
        """Nothing is opened before the first event is wanted.

        Raises:
            UsageError: options do not go together, or there is no such source, task, command or URL.
        """
        check_names(options, LiveOptions)
        self._session, self.options = session, options
        self.planned = plan_live(session, options)
        self.source = source_of(
            os.fspath(source), realtime=options.get("realtime"), options=options.get("input_options")
        )
        command, webhook = options.get("on_alert"), options.get("webhook")
        if (command or webhook) and not options.get("alerts"):
            raise UsageError("--on-alert and --webhook are for --alert")
        self._command = command_of(command) if command else None
        self._webhook = webhook_of(webhook) if webhook else None
        self._key = webhook_key() if webhook else None
        self._output = _output(options)
        self._events = self._run()
        self._watch: Watch | None = None
        self._reader: Reader | None = None
        self._subtitles: LiveSubtitles | None = None
        self._actions: Actions | None = None

    @property
    def stats(self) -> LiveStats:
        """What was counted so far."""
        return self._watch.stats if self._watch else LiveStats()

    @property
    def reader(self) -> Reader | None:
        """What reads the source, once it is opened."""
        return self._reader

    def __aiter__(self) -> AsyncIterator[LiveEvent]:
        """The events; errors are `MediaError` of the source and `ServiceLostError` of a server."""
        return self._events

    async def aclose(self) -> None:
        """Stop."""
        await self._events.aclose()

    def finish(self) -> None:
        """Write that no more comes, of a session that is not closed any more: the process ends."""
        self._give_up_alerts()
        if self._subtitles:
            self._subtitles.close()

    def _give_up_alerts(self) -> None:
        if self._actions:
            self._actions.give_up()
            self.stats.untold = self._actions.untold

    async def _run(self) -> AsyncGenerator[LiveEvent, None]:
        opened, options, planned = self._session.opened, self.options, self.planned
        loading = asyncio.create_task(asyncio.to_thread(language.load))  # the first answer would else be late by it
        try:
            hearing = await _ready(opened, options, planned)
        finally:
            await loading
        began = (time.monotonic(), datetime.now(UTC))
        every_s = options.get("every_s", EVERY_S)
        notify = self._session.notify
        self._reader = Reader(
            self.source,
            planned.sampling,
            options.get("span_s", every_s),
            hears=hearing is not None,
            began_s=began[0],
            wait_s=options.get("wait_s", 600.0),
            notify=notify,
            on_sound=lambda piece: self._watch.heard(piece) if self._watch else None,
        )
        asker = Asker(
            opened.model,
            opened.translator if planned.plan.languages else None,
            planned.plan,
            planned.requests,
            planned.alerts,
            kind=planned.kind,
            name=self.source.name,
            timeout_s=options.get("answer_s", ANSWER_S),
            on_piece=options.get("on_piece"),
        )
        after = options.get("alert_after", 1)
        self._watch = Watch(
            self._reader,
            asker,
            [AlertState(request.question or "", after) for request in planned.alerts],
            every_s=every_s,
            rotate_s=options.get("rotate_s", ROTATE_S),
            began=began,
            name=self.source.name,
            notify=notify,
            most_lag_s=options.get("max_lag_s"),
            hearing=hearing,
        )
        outputs = _Outputs(self, self._output, began[1], self._reader, self._watch)
        self._subtitles = outputs.subtitles
        keeping_up = asyncio.create_task(outputs.keep_up())
        actions = self._actions = Actions(self._command, self._webhook, self._key, notify)
        keeping: _Outputs | None = outputs
        try:
            async with aclosing(self._watch.events()) as events:
                async for came in events:
                    event, failure = await self._kept(came, outputs, actions)
                    yield event
                    if failure:
                        keeping = None
                        raise failure  # noqa: TRY301  # what still waits is told first
        except Exception:
            for left in self._watch.waiting():
                event, failure = await self._kept(left, keeping, actions)
                keeping = None if failure else keeping
                yield event
            raise
        finally:
            keeping_up.cancel()
            try:
                await _close(actions, outputs)
            finally:
                self._give_up_alerts()

    async def _kept(
        self, event: LiveEvent, outputs: _Outputs | None, actions: Actions
    ) -> tuple[LiveEvent, OSError | LedgerError | None]:
        """Keep an event, and do what an alert is for; the second is why it could not be kept, if it could not."""
        failure: OSError | LedgerError | None = None
        if isinstance(event, LiveAlert):
            try:
                event = outputs.keep_stills(event) if outputs else event
            except OSError as error:
                failure = error
            actions.add({"source": self.source.name, **event.to_json()})
        try:
            if outputs:
                await outputs.add(event)
        except (OSError, LedgerError) as error:
            failure = failure or error
        return event, failure


class Planned(NamedTuple):
    """What is asked about a source."""

    plan: Plan
    """As the ledger keeps it: all of it is about videos."""
    requests: list[Request]
    alerts: list[Request]
    hearing: Request | None
    """What the speech model is asked for, if it is wanted or may be."""
    sampling: Sampling
    kind: Kind
    """As which clips are sent: a single frame is a picture."""


def plan_live(session: Session, options: LiveOptions) -> Planned:
    """What options ask.

    Raises:
        UsageError: they do not go together, or a task is none that can be asked about clips.
    """
    every_s, span_s = options.get("every_s", EVERY_S), options.get("span_s", options.get("every_s", EVERY_S))
    if min(every_s, span_s, options.get("rotate_s", ROTATE_S)) <= 0:
        raise UsageError("--every, --span and --rotate are more than 0 seconds")
    frames = options.get("frames", options["sampling"].frames if "sampling" in options else None)
    kind = Kind.IMAGE if frames == 1 else Kind.VIDEO
    names = list(options.get("tasks", ()))
    questions, alerts = list(options.get("questions", ())), list(dict.fromkeys(options.get("alerts", ())))
    if "tasks" not in options and not questions:
        names = ["describe" if kind is Kind.IMAGE else "captions"]
    wanted = [*names, *([TRANSCRIPT] if options.get("hear") is not False and TRANSCRIPT not in names else [])]
    alone = [] if wanted or questions else alerts  # as a plan is of something
    asked = plan_of({**_some(options, *_OF_PLAN), "tasks": wanted, "questions": questions or alone}, session.models)
    every = {it: [] for it in Kind} if alone else asked.plan.requests
    hearing = next((it for it in every[Kind.VIDEO] if it.over.kind is OverKind.AUDIO), None)
    seen = (OverKind.WHOLE, OverKind.WINDOWS)
    requests = [it for it in every[kind] if it.over.kind in seen and it.measure is None]
    missing = [name for name in names if name not in {it.task for it in requests} | {TRANSCRIPT}]
    if missing:
        what = "a picture (--frames 1)" if kind is Kind.IMAGE else "a few frames of a video"
        raise UsageError(f"{', '.join(missing)}: cannot be asked about {what}; describe, tags and questions can")
    keys = [f"{ALERT}-{number}" for number in range(1, len(alerts) + 1)] if len(alerts) > 1 else [ALERT]
    alert_requests = [
        _alert_request(question, key, session, options, kind) for question, key in zip(alerts, keys, strict=False)
    ]
    about = [*requests, *alert_requests, *([hearing] if hearing else [])]
    plan = replace(asked.plan, requests={it: about if it is Kind.VIDEO else [] for it in Kind})
    return Planned(plan, requests, alert_requests, hearing, asked.sampling, kind)


def _alert_request(question: str, key: str, session: Session, options: LiveOptions, kind: Kind) -> Request:
    """A question of yes or no, as a question of the user's is asked."""
    if not question.strip():
        raise UsageError('--alert "": say what to ask')
    sampled = _some(options, *_OF_SAMPLING, "prompts")
    asked = plan_of({**sampled, "questions": [question]}, session.models).plan.requests[kind]
    request = next((it for it in asked if it.over.kind in (OverKind.WHOLE, OverKind.WINDOWS)), None)
    if request is None:
        raise UsageError("--alert is asked with the prompts of the task ask, and yours have none about what is shown")
    return replace(request, key=key, task=ALERT, max_tokens=_ALERT_TOKENS, temperature=0.0, translated=False)


def _some(options: LiveOptions, *names: str) -> Options:
    """Those of these options that are given."""
    return cast("Options", {name: value for name, value in options.items() if name in names})


async def _ready(opened: Opened, options: LiveOptions, planned: Planned) -> Hearing | None:
    """Look whether the servers know what is needed; who hears, if anybody does.

    Raises:
        UsageError: they do not.
        ServiceLostError: one is not there.
    """
    if planned.plan.languages:  # first: it is not waited for, if it is away
        await opened.translator.check(planned.plan.languages)
    models = {request.model for request in (*planned.requests, *planned.alerts)}
    await opened.model.check(models)
    for model in models:
        opened.model.check_media(model, planned.kind, planned.sampling.most)
    if planned.hearing is None:
        return None
    if options.get("hear") or TRANSCRIPT in options.get("tasks", ()):
        opened.model.check_speech(planned.hearing.model)
    elif not opened.model.lists(planned.hearing.model):
        return None
    return Hearing(opened.speech, planned.hearing)


def _output(options: LiveOptions) -> Path | None:
    if output := options.get("output"):
        return Path(output)
    if options.get("subtitles"):
        raise UsageError("subtitles need an output folder")
    return None


class _Outputs:
    """What is kept of a run, where anything is."""

    def __init__(self, live: Live, folder: Path | None, began: datetime, reader: Reader, watch: Watch) -> None:
        self._live, self._reader, self._watch = live, reader, watch
        self.subtitles: LiveSubtitles | None = None
        self._ledger: LiveLedger | None = None
        self._lines: JsonLines | None = None
        self._stills = Stills(folder, live.options.get("keep")) if folder else None
        if folder:
            self._ledger = LiveLedger(folder, live.planned.plan, live.source.name)
            self._lines = JsonLines(folder, live.options.get("keep"))
            if live.options.get("subtitles"):
                self.subtitles = LiveSubtitles(folder, began)

    def keep_stills(self, alert: LiveAlert) -> LiveAlert:
        """Write the stills of an alert; returns it with their paths."""
        return self._stills.keep(alert) if self._stills else alert

    async def add(self, event: LiveEvent) -> None:
        known = self._reader.began
        if self._ledger and known:
            self._ledger.facts, self._ledger.received = known.facts, self._reader.received
        if self.subtitles:
            self.subtitles.heard_until_s = self._watch.heard_until_s
        if self.subtitles and known and known.pts_s is not None:
            self.subtitles.pts_at_0_s = known.pts_s - known.at_us / 1e6
        if self._lines:
            self._lines.write(event)
        if self.subtitles:
            self.subtitles.add(event)
        if self._ledger:
            await self._ledger.add(event)

    async def keep_up(self) -> None:
        """Write the subtitles of times in which nothing comes, for ever."""
        answer_s = self._live.options.get("answer_s", ANSWER_S)
        while self.subtitles:
            await asyncio.sleep(SEGMENT_S)
            self.subtitles.heard_until_s = self._watch.heard_until_s
            with suppress(OSError):  # the next event will tell
                self.subtitles.flush(self._watch.now_s - answer_s - _GIVEN_S)

    def close(self) -> None:
        """Close all of them, also where one fails."""
        with ExitStack() as left:
            if self._ledger:
                stats = self._live.stats
                self._ledger.received = self._reader.received
                told = {"captions": stats.captions, "skipped": stats.skipped, "alerts": stats.alerts}
                left.callback(self._ledger.close, told)
            if self._lines:
                left.callback(self._lines.close)
            if self.subtitles:
                left.callback(self.subtitles.close)


async def _close(actions: Actions, outputs: _Outputs) -> None:
    """The outputs are closed also where nobody waits for the last actions."""
    try:
        await actions.close()
    finally:
        outputs.close()
