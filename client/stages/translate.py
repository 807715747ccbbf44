"""Translating what is new of a file."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from client.errors import RequestError, ServiceLostError, StoppedError
from client.ledger.events import TranslationsStored
from client.ledger.rows import StoredTranslation
from client.stages.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from client.endpoints.translation import TranslatorClient
    from client.job import Job, Jobs
    from client.resume import PendingTranslation
    from client.stages.items import Untranslated

logger = logging.getLogger(__name__)


class Translate(Stage):
    """Translates what is new of a file, in one call for each language that it is in."""

    def __init__(self, jobs: Jobs, translator: TranslatorClient | None) -> None:
        """Without a translator nothing is translated."""
        self._jobs, self._translator = jobs, translator

    async def process(self, item: Untranslated, /) -> AsyncGenerator[Untranslated, None]:
        """Finish the file, also if it cannot be translated: another run will."""
        (job,) = item
        if self._translator:
            for source in dict.fromkeys(pending.source for pending in job.texts):
                same = [pending for pending in job.texts if pending.source == source]
                if not await self._translate(self._translator, job, same, source):
                    return
        await self._jobs.finish(job)
        return
        yield  # type: ignore[unreachable]  # it makes this a generator, as the process of every stage is

    async def _translate(
        self, translator: TranslatorClient, job: Job, pending: list[PendingTranslation], source: str
    ) -> bool:
        """Translate what is in one language; whether the run goes on."""
        began = time.monotonic()
        missing = {code for each in pending for code in each.languages}
        languages = [code for code in dict.fromkeys((*self._jobs.plan.languages, *sorted(missing))) if code in missing]
        texts = [text for each in pending for text in each.texts]
        try:
            rows = iter(await translator.translate(texts, languages, job.name, source))
        except StoppedError:
            return False
        except (RequestError, ServiceLostError) as error:
            # Asking goes on without the translator.
            job.problems.append(f"translation: {error}")
            logger.warning("%s: translation failed: %s", job.name, error)
            return True
        took = time.monotonic() - began
        logger.info("%s: translated into %s in %.2f s", job.name, ",".join(languages), took)
        job.add_seconds(began)
        job.reused = False
        for each in pending:
            translated = [next(rows) for _ in each.texts]
            by_language = {code: StoredTranslation.joined([row[code] for row in translated]) for code in languages}
            job.events.append(TranslationsStored(each.ask, by_language))
        return True
