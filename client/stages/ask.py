"""Asking: requests are sent, and the answers are checked."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from client.checks.issues import OK
from client.checks.review import ask_reviewed
from client.endpoints.completion import Answer
from client.endpoints.streamed import StreamedModel
from client.errors import RefusedError, RequestError, StoppedError
from client.ledger.events import AnswerStored, RequestFailed
from client.resume import new_translations
from client.stages.items import Question, Untranslated
from client.stages.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from client.endpoints.chat import ModelClient
    from client.job import Job, Jobs
    from client.tasks.plan import UnitRequest

Told: TypeAlias = "Callable[[UnitRequest, str | None], None]"
"""Is told the pieces of an answer as they come; None: it is asked for once more, and what was told is void."""

logger = logging.getLogger(__name__)


class Ask(Stage):
    """Sends requests, and checks the answers; the last one of a file sends the file on."""

    def __init__(
        self, jobs: Jobs, model: ModelClient, *, at_once: int, once: bool = False, told: Told | None = None
    ) -> None:
        """`at_once` requests go to `model`, a second time for what is no caption, unless `once` is enough.

        Answers stream if they are to be `told`.
        """
        self._jobs, self._model, self._once, self._told = jobs, model, once, told
        self._slots = asyncio.Semaphore(at_once)

    async def process(self, item: Question, /) -> AsyncGenerator[Untranslated, None]:
        """Give the file once it has all answers, if any of them is to be translated."""
        job, ask, parts = item
        job.asking_since = job.asking_since or time.monotonic()
        if not await self._ask_all(job, ask, parts):
            return
        job.add_seconds(job.asking_since)
        if not job.texts:
            await self._jobs.finish(job)
            return
        await self._jobs.ledger.write(*job.take_events())
        yield Untranslated(job)

    async def _ask_all(self, job: Job, ask: UnitRequest, parts: bytes) -> bool:
        """Ask, and then for all that is to be merged of the answer; returns whether nothing is missing any more."""
        async with self._slots:  # until the answer is stored: a kill costs what is in flight alone
            asked, text = await self._ask(job, ask, parts)
            if not asked:
                return False
            merges = await self._jobs.followers(job, ask, text) if text is not None else []
            job.pending -= 1
            self._jobs.count(job)
            last = job.pending == 0
            if not last:
                await self._jobs.ledger.write(*job.take_events())
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self._ask_all(job, merge, b"")) for merge in merges]
        return last or any(task.result() for task in asking)

    async def _ask(self, job: Job, ask: UnitRequest, parts: bytes) -> tuple[bool, str | None]:
        """Send a request: whether it came to an end, and the text of the answer if there is one."""
        if ask.request.measure:
            job.events.append(AnswerStored(ask, Answer(parts.decode(), "stop", 0, 0, 0.0)))
            return True, parts.decode()
        progress = self._jobs.progress
        progress.in_flight += 1
        answer: Answer | None = None
        try:
            model = StreamedModel(self._model, partial(self._told, ask)) if self._told else self._model
            answer, given = await ask_reviewed(model, ask.request, parts, job.name, once=self._once)
        except StoppedError:
            return False, None
        except RequestError as error:
            reason, final = str(error), isinstance(error, RefusedError)
            job.problems.append(f"{ask.label}: {reason}")
            progress.requests_failed += 1
            logger.warning("%s %s: failed: %s", job.name, ask.label, reason)
            job.events.append(RequestFailed(ask, reason, final))
        else:
            job.events.append(AnswerStored(ask, answer))
            progress.count(answer.verdict, given)
            _log_answer(job, ask, answer)
            job.texts += new_translations(ask, answer.text, self._jobs.plan)
        finally:
            progress.in_flight -= 1
        progress.requests += 1
        return True, answer.text if answer else None


def _log_answer(job: Job, ask: UnitRequest, answer: Answer) -> None:
    logger.info(
        "%s %s: answered in %.2f s, %d + %d tokens, %s",
        *(job.name, ask.label, answer.request_s, answer.prompt_tokens, answer.generated_tokens, answer.finish_reason),
    )
    if answer.verdict != OK:
        logger.warning("%s %s: %s answer: %s", job.name, ask.label, answer.verdict, "; ".join(answer.reasons))
