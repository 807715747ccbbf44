"""vLLM engines for `benchmarks.plugin`, each in a process of its own, which take turns.

An engine runs wholly in its process (no core process beside it) and is stepped by hand, so that steps in which all
requests write a token are told from those that read prompts. One that waits for its turn uses no CPU.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scripts.benchmarks.common.cli import ignoring_sigint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from types import TracebackType

    from PIL.Image import Image

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    # The other is of semaphores of engines that were killed; it removes them itself.
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::UserWarning:multiprocessing.resource_tracker",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
FIRST_WORD = 300
"""The first of 256 token ids that are used as text; any will do."""
QUESTION_TOKENS = 32
"""Of a question about a picture."""


class EngineError(Exception):
    """An engine failed; the message is its own."""


@dataclass(frozen=True)
class Settings:
    """An engine.

    Attributes:
        checkpoint: Folder or hub name.
        arguments: Further arguments of `vllm.LLM`.
        threads: Of OpenMP, on a CPU. With one, CPU-seconds are measured, which other processes hardly disturb; else and
            on a GPU seconds.
        encoder_cache: With the plugin's encoder cache, of its default size.
    """

    checkpoint: str
    arguments: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    encoder_cache: bool = True


@dataclass(frozen=True)
class Decoding:
    """Steps in which all requests wrote one token each, and nothing else was done."""

    requests: int
    steps_s: list[float]
    unit: str
    """Of the times: `s`, or `CPU-s`."""

    @property
    def tokens_per_s(self) -> float:
        """In the times' unit, of all requests together, by the median step: all steps do the same work."""
        return self.requests / median(self.steps_s)


@dataclass(frozen=True)
class Asked:
    """What several questions cost: time and runs of the vision tower, for questions about one picture."""

    spent_s: float
    tower_runs: int
    """How often the vision tower ran."""
    unit: str
    """Of `spent_s`: `s`, or `CPU-s`."""


class Engine:
    """An engine in another process."""

    def __init__(self, settings: Settings) -> None:
        """Begin to start it; whoever asks first waits until it has started."""
        from server.llama_vision.encoder_cache import CAPACITY_VARIABLE, DEFAULT_MIB  # noqa: PLC0415 - loads torch

        own = {
            CAPACITY_VARIABLE: str(DEFAULT_MIB if settings.encoder_cache else 0),
            "OMP_NUM_THREADS": str(settings.threads),
        }
        os.environ.update(ENVIRONMENT | own)
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
        with ignoring_sigint():
            self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with suppress(OSError):  # it has died
                    self._connection.send(None)
                self._process.join(30)
        finally:  # at once if something went wrong: it may start or compute for minutes
            self._connection.close()
            self._process.kill()
            self._process.join()

    def decode(
        self, requests: int, prompt_tokens: int, output_tokens: int, picture: tuple[int, int] | None
    ) -> Decoding:
        """Answer `requests` prompts at a time, each with a picture of so many pixels if there is one.

        Raises:
            EngineError: it failed.
        """
        found: Decoding = self._ask("decode", requests, prompt_tokens, output_tokens, picture)
        return found

    def ask(self, tasks: int, output_tokens: int, picture: Path | tuple[int, int], *, together: bool) -> Asked:
        """Ask `tasks` questions about one picture that it has not seen, all at once or one after the other.

        `picture` is a file, of which a new variant is made each time, or the pixels of a random one.

        Raises:
            EngineError: it failed.
        """
        found: Asked = self._ask("ask", tasks, output_tokens, picture, together)
        return found

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            self._connection.send((name, arguments))
            done = self._connection.recv()
        except (EOFError, OSError):
            raise EngineError("the engine did not start, or died; it has said why above") from None
        if isinstance(done, EngineError):
            raise done
        return done


class Worker:
    """The vLLM engine, in the process that `Engine` starts."""

    def __init__(self, settings: Settings) -> None:
        from vllm import LLM  # noqa: PLC0415 - heavy, and only for this process
        from vllm.platforms import current_platform  # noqa: PLC0415

        alone = current_platform.is_cpu() and settings.threads == 1
        self._clock, self._unit = (time.process_time, "CPU-s") if alone else (time.perf_counter, "s")
        with nullcontext() if current_platform.is_cpu() else _one_at_a_time():
            self._engine: Any = LLM(settings.checkpoint, **settings.arguments).llm_engine
        self._picture_token = getattr(self._engine.model_config.hf_config, "image_token_index", None)
        self._random = np.random.default_rng(0)

    def decode(
        self, requests: int, prompt_tokens: int, output_tokens: int, picture: tuple[int, int] | None
    ) -> Decoding:
        """Decode, as `Engine.decode` tells."""
        engine = self._engine
        pictures = [self._picture(picture) if picture else None for _ in range(requests)]
        self._add(pictures, prompt_tokens, output_tokens)
        written: set[str] = set()
        steps: list[float] = []
        while engine.has_unfinished_requests():
            all_write = len(written) == engine.get_num_unfinished_requests() == requests
            began = self._clock()
            outputs = engine.step()
            if all_write:
                steps.append(self._clock() - began)
            written.update(output.request_id for output in outputs)
        if not steps:
            raise EngineError("no step in which all requests wrote: ask for longer answers or fewer requests at a time")
        return Decoding(requests, steps, self._unit)

    def ask(self, tasks: int, output_tokens: int, picture: Path | tuple[int, int], together: bool) -> Asked:
        """Ask, as `Engine.ask` tells."""
        shown = self._picture(picture)
        cache = self._engine.model_executor.driver_worker.worker.model_runner.model.encoder_cache
        before, began = cache.misses, self._clock()
        for batch in [tasks] if together else [1] * tasks:
            self._add([shown] * batch, QUESTION_TOKENS, output_tokens)
            while self._engine.has_unfinished_requests():
                self._engine.step()
        return Asked(self._clock() - began, cache.misses - before, self._unit)

    def _add(self, pictures: list[Image | None], prompt_tokens: int, output_tokens: int) -> None:
        from vllm import SamplingParams  # noqa: PLC0415 - as above

        parameters = SamplingParams(temperature=0, max_tokens=output_tokens, ignore_eos=True)
        for number, picture in enumerate(pictures):
            words = self._random.integers(FIRST_WORD, FIRST_WORD + 256, prompt_tokens).tolist()
            shown = {"multi_modal_data": {"image": picture}} if picture else {}
            prompt = {"prompt_token_ids": [*([self._picture_token] if picture else []), *words], **shown}
            self._engine.add_request(str(number), prompt, parameters)

    def _picture(self, source: Path | tuple[int, int]) -> Image:
        """A new picture, by size or as a variant of a file."""
        from PIL import Image  # noqa: PLC0415 - as above

        if not isinstance(source, tuple):
            pixels = np.array(Image.open(source).convert("RGB"))
            pixels[0, :, :] = self._random.integers(0, 255, pixels.shape[1:], dtype=np.uint8)
            return Image.fromarray(pixels)
        colours = Image.fromarray(self._random.integers(0, 255, (18, 32, 3), dtype=np.uint8))
        return colours.resize(source)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Engines on a GPU start in turn: vLLM measures the memory that goes while it starts, and takes it for its own."""
    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _serve(connection: Connection, settings: Settings) -> None:
    worker = Worker(settings)
    with suppress(EOFError):  # whoever asked has died
        while (asked := connection.recv()) is not None:
            name, arguments = asked
            try:
                connection.send(getattr(worker, name)(*arguments))
            except EngineError as error:
                connection.send(error)
            except Exception as error:  # noqa: BLE001 - it is raised on the other side
                connection.send(EngineError(f"{type(error).__name__}: {error}"))
