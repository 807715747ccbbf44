"""The servers and what they are asked with: connections, processes that decode, and runs of the pipeline."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from client.api.opened import Opened
from client.api.options import Models, check_redo, plan_of
from client.cores import cores
from client.counters import Counters
from client.endpoints.addresses import BASE_URL, TRANSLATOR, endpoint_addresses, server_address
from client.endpoints.chat import ModelClient
from client.endpoints.glossary import read_glossary
from client.endpoints.keys import endpoint_key
from client.endpoints.keys import translator_key as key_of_translator
from client.endpoints.language_names import language_code
from client.endpoints.proxy import proxy_of
from client.endpoints.speech import SpeechClient
from client.endpoints.spread import SpreadModel, SpreadSpeech
from client.endpoints.translation import SOURCE, TranslatorClient
from client.errors import BabelviewError, UsageError
from client.ledger.events import RedoEnded
from client.ledger.ledger import Ledger
from client.ledger.results import Results
from client.media.fork_server import ForkServer
from client.media.kinds import Kind
from client.media.thumbnail_folder import Thumbnails
from client.pipeline import Decoders, Pipeline
from client.record import record_of
from client.sources.fetch import FOLDER, Fetcher
from client.sources.folders import Choice
from client.sources.gather import gather
from client.tasks.plan import IMAGE_MODEL, SPEECH_MODEL, VIDEO_MODEL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from types import TracebackType
    from typing import Unpack

    from client.api.options import Asked, Options
    from client.endpoints.retry import Notify, Waiting
    from client.endpoints.translation import Translated
    from client.media.kinds import Animated
    from client.record import Record
    from client.sources.source import Source
    from client.stages.ask import Told

logger = logging.getLogger(__name__)


class Session:
    """The served models and the translator, and runs that ask them about files."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        translator: str | None = None,
        translator_key: str | None = None,
        model: str | None = None,
        image_model: str = IMAGE_MODEL,
        video_model: str = VIDEO_MODEL,
        text_model: str | None = None,
        speech_model: str = SPEECH_MODEL,
        frames_as: str = "auto",
        glossary: str | os.PathLike[str] | None = None,
        concurrency: int = 32,
        shared: bool = False,
        loaders: int | None = None,
        timeout_s: float = 300.0,
        wait_s: float = 600.0,
        max_download_bytes: int = 2_000_000_000,
        notify: Notify | None = None,
        fork_server: ForkServer | None = None,
    ) -> None:
        """Nothing is connected or started yet.

        Args:
            base_url: Of any OpenAI endpoint; else `BABELVIEW_BASE_URL` in the environment, else that of a stack here.
                Several with commas between share the requests.
            api_key: Its key; else `BABELVIEW_API_KEY` or `OPENAI_API_KEY` in the environment.
            translator: Of the translation service; else `BABELVIEW_TRANSLATOR`, else that of a stack here.
            translator_key: Its key; else `BABELVIEW_TRANSLATOR_API_KEY`.
            model: Who looks at everything; else these two:
            image_model: Who looks at pictures.
            video_model: Who looks at videos.
            text_model: Who merges answers about windows; else who looks at pictures.
            speech_model: Who hears what is said.
            frames_as: How videos are sent: `video`, `images`, or `auto`, as the endpoint wants it.
            glossary: A file of terms for translations.
            concurrency: Requests in flight to each endpoint, of each call.
            shared: Whether that is so of all calls together, as well as `loaders`.
            loaders: Files of a batch that are decoded at once; as many as there are cores.
            timeout_s: Of one request.
            wait_s: For a server that is away.
            max_download_bytes: Of one URL.
            notify: Is called with lines for the user, such as that a server is waited for; else they are logged.
            fork_server: A process from which those that decode are forked, that others use too.

        Raises:
            UsageError: an address, a key or the glossary cannot be one.
        """
        self._base_urls = endpoint_addresses(base_url or os.environ.get("BABELVIEW_BASE_URL") or BASE_URL)
        self._translator_url = server_address(translator or os.environ.get("BABELVIEW_TRANSLATOR") or TRANSLATOR)
        for address in (*self._base_urls, self._translator_url):
            proxy_of(address)
        self._api_key = api_key or endpoint_key()
        self._translator_key = translator_key or key_of_translator()
        by_kind = {Kind.IMAGE: model or image_model, Kind.VIDEO: model or video_model}
        self.models = Models(by_kind, text_model, speech_model)
        self._frames_as = frames_as
        self._glossary = read_glossary(Path(glossary)) if glossary else []
        self._concurrency, self._shared, self._loaders = concurrency, shared, loaders or cores()
        self._timeout_s, self._wait_s = timeout_s, wait_s
        self._max_download_bytes = max_download_bytes
        self.notify: Notify = notify or logger.warning
        """Is called with lines for the user; may be set until it is opened."""
        self._given_fork_server = fork_server
        self.stopping = asyncio.Event()
        """Once it is set, pauses end and no further request is begun: a batch comes to its end."""
        self._open: Opened | None = None

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def open(self) -> None:
        """Make the connections; nothing is asked yet."""
        waiting: Waiting = {
            "deadline_s": self._timeout_s,
            "wait_s": self._wait_s,
            "notify": self.notify,
            "stop": self.stopping,
        }
        fork_server, model = self._given_fork_server or ForkServer(), self._model(waiting)
        self._open = Opened(
            model,
            self._speech(model, waiting),
            TranslatorClient(self._translator_url, self._translator_key, glossary=self._glossary, **waiting),
            fork_server,
            Decoders(self._loaders, fork_server) if self._shared else None,
        )

    def _model(self, waiting: Waiting) -> ModelClient:
        if len(self._base_urls) == 1 and not self._shared:
            return ModelClient(self._base_urls[0], self._api_key, frames_as=self._frames_as, **waiting)
        return SpreadModel(
            self._base_urls, self._api_key, at_once=self._concurrency, frames_as=self._frames_as, **waiting
        )

    def _speech(self, model: ModelClient, waiting: Waiting) -> SpeechClient:
        if not isinstance(model, SpreadModel):
            return SpeechClient(self._base_urls[0], self._api_key, **waiting)
        return SpreadSpeech(self._base_urls, self._api_key, hearing=model.hearing, **waiting)

    async def close(self) -> None:
        """Close the connections, end the processes, and remove what was fetched."""
        if self._open:
            opened, self._open = self._open, None
            await opened.close(keep_fork_server=self._given_fork_server is not None)

    def discard(self) -> None:
        """Remove what was fetched, of a session that is not closed any more: the process ends."""
        if self._open:
            self._open.discard()

    @property
    def opened(self) -> Opened:
        """The connections.

        Raises:
            UsageError: it is not open.
        """
        if self._open is None:
            raise UsageError("Babelview is not open: use it within `async with`, or `with`")
        return self._open

    async def caption(self, file: str | os.PathLike[str], **options: Unpack[Options]) -> Record:
        """Ask about one file or URL; gives its record (docs/output.md), whose `error` says what failed, if anything.

        Nothing is kept: what is asked twice is answered twice. Of `client.Options` all may be given.

        Raises:
            UsageError: options do not go together, or there is no such file.
            ServiceLostError: a server was away for too long.
        """
        asked = plan_of(options, self.models)
        source = one_source(file)
        output = self.opened.scratch()
        try:
            return await self.record(source, asked, output)
        finally:
            shutil.rmtree(output, ignore_errors=True)

    async def record(
        self,
        source: Source,
        asked: Asked,
        output: Path,
        *,
        progress: Counters | None = None,
        refresh: Callable[[], None] = lambda: None,
        told: Told | None = None,
    ) -> Record:
        """Ask about a source; all is kept in the ledger of `output`, and not asked again. See `caption`.

        `refresh` is called when `progress` has changed, `told` with the pieces of answers as they come.
        """
        async with aclosing(
            self._records(asked, [source], output, progress=progress, refresh=refresh, told=told)
        ) as records:
            async for record in records:
                return record
        raise BabelviewError("interrupted before the file was finished")

    async def batch(
        self,
        *paths: str | os.PathLike[str],
        output: str | os.PathLike[str] = "captions",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        redo: str | None = None,
        **options: Unpack[Options],
    ) -> AsyncGenerator[Record, None]:
        """Ask about folders, files, URLs and manifests: a record for each file, as soon as it is finished.

        All is kept in the ledger of `output`, and not asked again: `babelview export` writes it in any format.
        `include` and `exclude` choose files of folders, `redo` what is asked again, as those of `babelview batch`.

        Raises:
            UsageError: options do not go together, or a path does not exist.
            ServiceLostError: a server was away for too long; what there is, is kept.
            LedgerError: the ledger cannot be written.
        """
        asked = plan_of(options, self.models)
        check_redo(redo, asked.tasks)
        folder = Path(output)
        choice = Choice(list(include), list(exclude), sound=asked.takes_sound)
        given = [os.fspath(path) for path in paths]
        sources = gather(given, choice=choice, leave_out=folder, warn=self.notify)
        if not sources:
            raise UsageError(f"no pictures or videos in {', '.join(given) or 'nothing'}")
        async with aclosing(self._records(asked, sources, folder, redo, thumbnails=Thumbnails(folder))) as records:
            async for record in records:
                yield record

    async def translate(
        self, texts: Sequence[str], languages: Sequence[str], source: str = SOURCE
    ) -> list[dict[str, Translated]]:
        """Translate texts: for each a dictionary, by the languages' FLORES codes.

        Raises:
            UsageError: the translator does not know a language.
            RequestError, ServiceLostError: it does not answer.
        """
        codes = await self.check_languages(languages)
        return await self.opened.translator.translate(list(texts), list(codes), "texts", language_code(source))

    async def check_languages(self, languages: Sequence[str]) -> tuple[str, ...]:
        """The FLORES codes of languages, which the translator knows; one that is away is not waited for.

        Raises:
            UsageError: it does not, or is none.
        """
        codes = tuple(dict.fromkeys(map(language_code, languages)))
        await self.opened.translator.check(codes)
        return codes

    def fetcher(self, folder: Path, animated: Animated) -> Fetcher:
        """What looks at files and fetches URLs, into a folder within this one."""
        return Fetcher(folder / FOLDER, self._max_download_bytes, animated)

    @asynccontextmanager
    async def pipeline(
        self,
        asked: Asked,
        ledger: Ledger,
        output: Path,
        *,
        progress: Counters,
        refresh: Callable[[], None],
        redo: str | None = None,
        thumbnails: Thumbnails | None = None,
        completed: Callable[[Source], None] | None = None,
        told: Told | None = None,
    ) -> AsyncIterator[Pipeline]:
        """The stages of a run, whose ledger is in `output`; what they use is closed in the end."""
        opened, fetcher = self.opened, self.fetcher(output, asked.animated)
        decoders = opened.decoders or Decoders(self._loaders, opened.fork_server, thumbnails)
        pipeline = Pipeline(
            asked.plan,
            ledger,
            fetcher,
            opened.model,
            opened.translator if asked.plan.languages else None,
            speech=opened.speech,
            sampling=asked.sampling,
            concurrency=self._concurrency * len(self._base_urls),
            decoders=decoders,
            ask_once=asked.ask_once,
            redo=redo,
            progress=progress,
            refresh=refresh,
            notify=self.notify,
            stop=self.stopping,
            completed=completed,
            told=told,
        )
        try:
            yield pipeline
        finally:
            if decoders is not opened.decoders:
                decoders.close()
            pipeline.close()
            await fetcher.close()

    async def _records(
        self,
        asked: Asked,
        sources: list[Source],
        output: Path,
        redo: str | None = None,
        *,
        thumbnails: Thumbnails | None = None,
        progress: Counters | None = None,
        refresh: Callable[[], None] = lambda: None,
        told: Told | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Run; the records of the files in the order in which they are finished."""
        done: asyncio.Queue[int | None] = asyncio.Queue()
        async with AsyncExitStack() as stack:
            ledger = stack.enter_context(closing(Ledger(output)))
            ledger.begin_run(asked.plan, sources, redo)
            pipeline = await stack.enter_async_context(
                self.pipeline(
                    asked,
                    ledger,
                    output,
                    progress=progress or Counters(),
                    refresh=refresh,
                    redo=redo,
                    thumbnails=thumbnails,
                    completed=lambda source: done.put_nowait(source.position),
                    told=told,
                )
            )
            work = asyncio.create_task(pipeline.run(sources))
            work.add_done_callback(lambda _: done.put_nowait(None))
            try:
                while (first := await done.get()) is not None:
                    positions: list[int | None] = [first]
                    while not done.empty():  # what is finished together is read together
                        positions.append(done.get_nowait())
                    for record in await asyncio.to_thread(_read, output, [it for it in positions if it is not None]):
                        yield record
                    if None in positions:
                        break
                await work
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            if redo and not self.stopping.is_set():
                ledger.apply(RedoEnded(redo))


def one_source(file: str | os.PathLike[str]) -> Source:
    """The source of a single file or URL.

    Raises:
        UsageError: there is none, or it is a folder or a list of several.
    """
    text = os.fspath(file)
    if Path(text).is_dir():
        raise UsageError(f"{text} is a folder: give a file, or describe it with babelview batch")
    found = gather([text])
    if len(found) != 1:
        raise UsageError(f"{text} names {len(found)} files: give one, or describe them with babelview batch")
    return found[0]


def _read(output: Path, positions: list[int]) -> list[dict[str, Any]]:
    with Results(output, only_run=True) as results:
        return [record_of(file, results) for file in results.files(positions=positions)]
