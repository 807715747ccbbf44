"""The work of a request: each of its files goes through the batch's own pipeline, and comes back as a record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from client.api.options import plan_of
from client.api.session import Session
from client.captioner.api_types import Asking
from client.captioner.frames import join
from client.captioner.history import told_before
from client.captioner.threads import in_thread
from client.endpoints.addresses import same_server
from client.errors import BabelviewError, LanguageError, MediaError, RejectedError, UsageError
from client.media import fork_server, loaders
from client.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from client.api.options import Asked, Models, Options
    from client.captioner.api_types import Item
    from client.captioner.config import Config
    from client.captioner.feed import Feed
    from client.record import Record

FILES_AT_ONCE = 4
"""Of one request."""


class Work:
    """Describes the files of requests."""

    def __init__(self, config: Config) -> None:
        """Nothing is started before there is something to do."""
        self._models, self._limits = config.models, config.limits
        limits = config.limits
        self._fork_server = fork_server.ForkServer(limits.decoder_bytes, limits.decoders)
        self._of_jobs = asyncio.Semaphore(max(1, limits.decoders // 2))
        """Files of jobs: while their windows are asked about, they are not done, and requests would wait for them."""

    def close(self) -> None:
        """End the processes that decode."""
        self._fork_server.close()

    async def check(self, items: Sequence[Item], key: str | None) -> None:
        """Look whether what is asked can be, before anything is done.

        Raises:
            RejectedError: it cannot; says why, and which parameter is wrong.
        """
        session = self._session(key, 0.0)
        for item in items:
            if item.asking.languages and self._models.translator is None:
                raise _wrong("languages", "languages: this captioner has no translator")
            _check(item.asking, session)
        if languages := {code for item in items for code in item.asking.languages or ()}:
            async with session:
                try:
                    await session.check_languages(sorted(languages))
                except LanguageError as error:
                    raise _wrong("languages", str(error)) from error
                except UsageError:  # it is no translator, or does not take the key: the work will tell
                    pass

    def _session(self, key: str | None, wait_s: float) -> Session:
        models = self._models
        # The caller's key is for the gateway: a translator beside it has one of its own.
        behind = models.translator is None or same_server(models.translator, models.base_url)
        return Session(
            models.base_url,
            api_key=key,
            translator=models.translator,
            translator_key=key if behind else None,
            image_model=models.image_model,
            video_model=models.video_model,
            text_model=models.text_model,
            speech_model=models.speech_model,
            frames_as=models.frames_as,
            loaders=1,
            timeout_s=self._limits.timeout_s,
            wait_s=wait_s,
            fork_server=self._fork_server,
        )

    async def describe(
        self, items: Sequence[Item], folder: Path, key: str | None, feed: Feed, *, wait_s: float, is_job: bool = False
    ) -> list[Record]:
        """The records of all files, in their order; what was answered is kept in `folder`, and not asked again.

        `key` is that of the caller, whom the models are asked for. They are waited for `wait_s` seconds.

        Raises:
            UsageError: what is asked cannot be.
            ServiceLostError: a server was away for too long, or does not take the key.
        """
        slots = self._of_jobs if is_job else asyncio.Semaphore(FILES_AT_ONCE)
        async with self._session(key, wait_s) as session:

            async def one(number: int, item: Item) -> Record:
                async with slots:
                    record = await self._record(session, number, item, folder, feed)
                feed.finished(number, record)
                return record

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(number, item)) for number, item in enumerate(items)]
            except BaseExceptionGroup as errors:
                found = next((it for it in errors.exceptions if isinstance(it, BabelviewError)), errors)
                raise found from found.__cause__  # which says more: that a key is wrong, or that its quota is spent
        return [task.result() for task in tasks]

    async def _record(self, session: Session, number: int, item: Item, folder: Path, feed: Feed) -> Record:
        asked = _asked(item.asking, session.models)
        paths = [folder / name for name in item.files]
        output = folder / f"{number}.out"
        if item.frames:
            video = folder / f"{number}.mkv"
            try:
                await self._joined(paths, video)
            except MediaError as error:
                return _unread(item, str(error))
            paths = [video]
        source = Source(item.name, str(paths[0]))
        return await session.record(
            source, asked, output, progress=feed.counters(number), refresh=feed.refresh, told=feed.told(number)
        )

    async def _joined(self, pictures: list[Path], video: Path) -> None:
        decoders = loaders.Loaders(1, self._fork_server)
        try:
            await in_thread(join, pictures, video, decoders, stop=decoders.close)
        finally:
            decoders.close()


_TOGETHER = (("languages",), ("task", "tasks", "question", "questions"), ("window",), ("history",))
"""Parameters that can be wrong beyond their types: each of these groups needs those before it."""


def _check(asking: Asking, session: Session) -> None:
    """Raises what is wrong with it, with the parameter that it is wrong with."""
    tried: dict[str, Any] = {}
    for names in _TOGETHER:
        given = {name: value for name in names if (value := getattr(asking, name)) is not None}
        tried |= given
        try:
            _asked(Asking(**tried), session.models)
        except UsageError as error:
            raise _wrong(next(iter(given), None), str(error)) from error
    _asked(asking, session.models)


def _wrong(param: str | None, message: str) -> RejectedError:
    return RejectedError(400, message, param=param, code="invalid_parameter")


def _asked(asking: Asking, models: Models) -> Asked:
    """What is asked; errors are those of `plan_of` and `told_before`."""
    asked = plan_of(_options(asking), models)
    return told_before(asked, asking.history, models) if asking.history else asked


def _options(asking: Asking) -> Options:
    """What is asked, as the batch's options say it."""
    options: Options = {"languages": asking.languages or []}
    tasks, questions = list(asking.tasks or ()), list(asking.questions or ())
    if asking.task:
        tasks.insert(0, asking.task)
    if asking.question:
        questions.insert(0, asking.question)
    if tasks or questions:
        options |= {"tasks": list(dict.fromkeys(tasks)), "questions": list(dict.fromkeys(questions))}
    if asking.window is not None:
        options["window"] = asking.window
    if asking.max_length is not None:
        options["max_tokens"] = asking.max_length
    if asking.num_frames is not None:
        options["frames"] = asking.num_frames
    if asking.temperature is not None:
        options["temperature"] = asking.temperature
    if asking.hear is not None:
        options["hear"] = asking.hear
    return options


def _unread(item: Item, problem: str) -> Record:
    """The record of a file that cannot be read."""
    known = {"file": item.name, "kind": None, "sha256": None, "size_mb": None}
    return {**known, "tasks": {}, "total_processing_time_sec": 0.0, "warnings": [], "error": problem}
