"""The service's HTTP face, with an upper-casing engine in place of a model."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from translator.batcher import Batcher
from translator.detect import Detector
from translator.http import State, make_app
from translator.http.state import Loaded
from translator.languages import Languages
from translator.model.job import Job, Translation
from translator.text_translator import TextTranslator

Client = TestClient[Any, Any]
LANGUAGES = Languages({"eng_Latn", "fra_Latn", "hin_Deva", "srp_Cyrl", "zho_Hans"})
DETECTOR = Detector(LANGUAGES)


class Engine:
    """Tokens are characters; a translation is the text in capitals, marked with the language."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()

    def tokenize(self, text: str) -> tuple[str, ...]:
        return tuple(text)

    def job(self, text: str, source: str, target: str, tokens: tuple[str, ...] | None = None) -> Job:
        return Job(text, source, target, self.tokenize(text) if tokens is None else tokens)

    def translate(self, jobs: list[Job], /) -> list[Translation]:
        self.started.set()
        assert self.gate.wait(30)
        return [
            Translation(f"<{job.target}>{job.text.upper()}", ("no end",) if "endless" in job.text else ())
            for job in jobs
        ]


def load(state: State, batcher: Batcher, engine: Engine) -> None:
    """Give a service its model."""
    state.metrics.watch("toy", "capitals", batcher)
    state.loaded = Loaded(TextTranslator(engine, batcher), LANGUAGES, DETECTOR)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(engine: Engine, state: State | None = None, **queue: Any) -> AsyncIterator[Client]:
    """A client of the service, which has a model."""
    state = state or State("toy")
    batcher = Batcher(engine.translate, ran=state.metrics.ran, **queue)
    batcher.start()
    load(state, batcher, engine)
    async with TestClient(TestServer(make_app(state))) as client:
        yield client
    engine.gate.set()
    await batcher.close()


async def until(true: Any) -> None:
    """Wait for something that a real server does."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (looks at a real server from outside)
            await asyncio.sleep(0.01)
