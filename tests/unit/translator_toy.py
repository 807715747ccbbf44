"""What the translator's tests share: a model that answers as told, a queue before it, the service over HTTP."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from translator.batcher import Batcher, Run
from translator.detect import Detector
from translator.http import State, make_app
from translator.http.state import Loaded
from translator.languages import Languages
from translator.model.job import Job, Translation
from translator.text_translator import TextTranslator

Client = TestClient[Any, Any]
LANGUAGES = Languages({"eng_Latn", "fra_Latn", "hin_Deva", "srp_Cyrl", "zho_Hans"})
DETECTOR = Detector(LANGUAGES)


def capitals(job: Job) -> Translation:
    """The text in capitals, marked with its language; "endless" has an issue, and "explode" raises."""
    if job.text == "explode":
        raise RuntimeError("boom")
    issues = ("no end",) if "endless" in job.text else ()
    return Translation(f"<{job.target}>{job.text.upper()}", issues, score=-1e-9)


class Model:
    """Stands for the engine's `translate`: remembers its batches, and waits at a gate while that is shut."""

    def __init__(self, answer: Callable[[Job], Translation] = capitals) -> None:
        self._answer = answer
        self.batches: list[list[Job]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._running = threading.Semaphore(0)

    def __call__(self, jobs: list[Job], /) -> list[Translation]:
        self.batches.append(jobs)
        self._running.release()
        assert self.gate.wait(30)
        return [self._answer(job) for job in jobs]

    @property
    def asked(self) -> list[Job]:
        """Every sentence, in the order in which it was asked."""
        return [job for batch in self.batches for job in batch]

    async def is_running(self) -> None:
        """Wait until one more batch runs."""
        assert await asyncio.to_thread(self._running.acquire, timeout=30)


class Engine(Model):
    """A model whose tokens are characters."""

    def tokenize(self, text: str) -> tuple[str, ...]:
        return tuple(text)

    def job(self, text: str, source: str, target: str, tokens: tuple[str, ...] | None = None) -> Job:
        return Job(text, source, target, self.tokenize(text) if tokens is None else tokens)

    def translate(self, jobs: list[Job], /) -> list[Translation]:
        return self(jobs)


@asynccontextmanager
async def batching(model: Model, run: Run | None = None, **settings: Any) -> AsyncIterator[Batcher]:
    """A queue before `model` that works (by way of `run`, if that is given), closed in the end."""
    batcher = Batcher(run or model, **settings)
    batcher.start()
    try:
        yield batcher
    finally:
        model.gate.set()
        await batcher.close()


def load(state: State, batcher: Batcher, engine: Engine) -> None:
    """Give a service its model."""
    state.metrics.watch("toy", "capitals", batcher)
    state.loaded = Loaded(TextTranslator(engine, batcher), LANGUAGES, DETECTOR)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(engine: Engine, state: State | None = None, **queue: Any) -> AsyncIterator[Client]:
    """A client of the service, which has a model."""
    state = state or State("toy")
    async with batching(engine, ran=state.metrics.ran, **queue) as batcher:
        load(state, batcher, engine)
        async with TestClient(TestServer(make_app(state))) as client:
            yield client


async def until(true: Any) -> None:
    """Wait for something that a real server does."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (looks at a real server from outside)
            await asyncio.sleep(0.01)
