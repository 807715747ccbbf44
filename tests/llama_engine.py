"""All that needs vLLM in a fresh process, in one: importing it takes ten seconds.

    python -m tests.llama_engine FD

What the plugin's registration does, an engine of `scripts.benchmarks.plugin`, engines of `server.selftest`,
`babelview quantize --load`, which starts one too, and vLLM's own server. Each has a process of its own, forked from one
that has imported vLLM.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import traceback
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import psutil

from server.selftest.engines import ENVIRONMENT, read_results, write_jobs
from server.selftest.variants import NOT_COMPILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.context import BaseContext
    from multiprocessing.sharedctypes import Synchronized

    from server.selftest.engines import Done, Job

IMPORTED = ("vllm.entrypoints.llm", "vllm.distributed")
"""What these engines import and those of a stack do not."""
STOP_S = 30.0
"""How long vLLM's own server may take to end."""


@dataclass
class Registered:
    """What stands where once the plugin has been registered, twice.

    Attributes:
        supported: Whether vLLM knows the model.
        encoder_decoder: What transformers says of its configuration.
        picture_token: Its id.
        own_vocabulary: Of how many tokens the text's configuration knows.
        vocabulary: How many there are, as vLLM counts.
        asked: Who is asked about vLLM's settings.
        model_imported: Whether the model has been imported.
    """

    supported: bool
    encoder_decoder: bool
    picture_token: int
    own_vocabulary: int
    vocabulary: int
    asked: str
    model_imported: bool


@dataclass
class Benchmarked:
    """What an engine of `scripts.benchmarks.plugin` measured.

    Attributes:
        decodings: With pictures, and without: seconds of each step, tokens a second, and the unit.
        asked: One after the other, and together: runs of the tower, seconds, and the unit.
        errors: What it said to what cannot be measured, and to what is wrong.
        exit_code: Of its process, which was told to end.
    """

    decodings: list[tuple[list[float], float, str]]
    asked: list[tuple[int, float, str]]
    errors: list[str]
    exit_code: int | None


@dataclass
class Quantized:
    """How the command ended: its exit code, and what it said."""

    code: int
    said: str


@dataclass
class AllDone:
    """All that was done in the process.

    Attributes:
        benchmarked: None where it failed: its trace is on standard error.
        graphs: How many PyTorch compiled for the engines that ask for it; others are told not to.
    """

    registered: Registered
    benchmarked: Benchmarked | None
    engines: dict[str, Done]
    graphs: int
    quantized: Quantized


@dataclass
class Imported:
    """The process that has imported vLLM, as its parent has it."""

    _asking: Connection

    def run(self, jobs: dict[str, Job], quantize: tuple[Path, Path], benchmarked: Path, folder: Path) -> AllDone:
        """Run it all and wait.

        Args:
            jobs: The engines, by name.
            quantize: A checkpoint, and where to `babelview quantize --load` it to.
            benchmarked: A checkpoint for the engine of the plugin's benchmark.
            folder: For files.
        """
        wanted, results = folder / "jobs.json", folder / "results.jsonl"
        write_jobs(jobs, wanted)
        self._asking.send(("run", wanted, results, benchmarked, *map(str, quantize)))
        registered, measured, graphs, quantized = self._asking.recv()
        return AllDone(
            Registered(**registered),
            Benchmarked(**measured) if measured else None,
            read_results(results),
            graphs,
            Quantized(**quantized),
        )

    @contextmanager
    def serving(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
        """vLLM's own server, with these arguments, inside the block."""
        self._asking.send(("serve", arguments, environment, log))
        server = psutil.Process(self._asking.recv())
        try:
            yield server
        finally:
            server.terminate()
            self._asking.send(("wait",))
            self._asking.recv()


@contextmanager
def imported() -> Iterator[Imported]:
    """A process that imports vLLM and does what it is told until the end of the block."""
    ours, theirs = multiprocessing.Pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.llama_engine", str(theirs.fileno())],
        env=os.environ | ENVIRONMENT | NOT_COMPILED,
        cwd=Path(__file__).parent.parent,
        pass_fds=[theirs.fileno()],
    ):
        theirs.close()
        with ours:
            yield Imported(ours)


def register() -> Registered:
    """Register the plugin as vLLM does in each of its processes."""
    from server import llama_vision  # noqa: PLC0415 - here and below: not in the process of the tests

    for _ in range(2):
        llama_vision.register()
    from transformers import AutoConfig  # noqa: PLC0415
    from vllm import ModelRegistry  # noqa: PLC0415
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP  # noqa: PLC0415
    from vllm.transformers_utils.model_arch_config_convertor import MODEL_ARCH_CONFIG_CONVERTORS  # noqa: PLC0415

    architecture = "MllamaForConditionalGeneration"
    config = AutoConfig.for_model("mllama")
    return Registered(
        architecture in ModelRegistry.get_supported_archs(),
        config.is_encoder_decoder,
        config.image_token_index,
        config.text_config.vocab_size,
        MODEL_ARCH_CONFIG_CONVERTORS["mllama"](config, config.text_config).get_vocab_size(),
        MODELS_CONFIG_MAP[architecture].verify_and_update_config.__name__,
        "server.llama_vision.model" in sys.modules,
    )


def benchmark(checkpoint: str, forked: BaseContext) -> Benchmarked:
    """Measure with the engine of the plugin's benchmark, forked instead of started anew as the benchmark does."""
    from scripts.benchmarks.plugin.__main__ import PICTURE  # noqa: PLC0415
    from scripts.benchmarks.plugin.engine import Engine, EngineError, Settings  # noqa: PLC0415

    arguments = {
        "enforce_eager": True,
        "gpu_memory_utilization": 0.05,
        "max_model_len": 256,
        "max_num_batched_tokens": 1024,
        "max_num_seqs": 4,
    }
    errors = []
    with mock.patch.dict(os.environ), mock.patch("multiprocessing.get_context", return_value=forked):
        with Engine(Settings(checkpoint, arguments)) as engine:
            (process,) = multiprocessing.active_children()
            decodings = [engine.decode(4, 16, 12, picture) for picture in (PICTURE, None)]
            asked = [engine.ask(3, 2, PICTURE, together=together) for together in (False, True)]
            for requests, tokens in ((2, 1), (1, -1)):
                try:
                    engine.decode(requests, 16, tokens, None)
                except EngineError as error:
                    errors.append(str(error))
        exit_code = process.exitcode
    return Benchmarked(
        [(found.steps_s, found.tokens_per_s, found.unit) for found in decodings],
        [(found.tower_runs, found.spent_s, found.unit) for found in asked],
        errors,
        exit_code,
    )


def run_engine(name: str, job: dict[str, Any], results: Path, graphs: Synchronized[int]) -> None:
    """Run an engine of the selftest, and count in `graphs` what PyTorch compiles for it."""
    import torch._dynamo  # noqa: PLC0415

    from server.selftest.engine_process import run_and_tell  # noqa: PLC0415

    compiled = "compilation_config" in job["arguments"]
    if compiled:
        for setting in NOT_COMPILED:
            del os.environ[setting]
    # Else vLLM looks nine times through all that was imported.
    with mock.patch("gc.unfreeze"), torch._dynamo.config.patch(disable=not compiled):
        run_and_tell(name, job, results)
    graphs.value += torch._dynamo.utils.counters["stats"]["unique_graphs"]


def quantize(said: Connection, *arguments: str) -> None:
    """Run `babelview quantize`."""
    from server import quantize as command  # noqa: PLC0415

    with redirect_stdout(io.StringIO()) as output:
        code = command.main(arguments)
    said.send(Quantized(code, output.getvalue()))


def serve(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run vLLM's own server; its engine is started anew, as vLLM does it, and imports all by itself."""
    from vllm.entrypoints.launchers.api_server import entry  # noqa: PLC0415

    with log.open("w") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    os.environ.update(environment)
    sys.argv = ["vllm", *arguments]
    entry.main()


def import_all() -> Registered:
    """Import what engines do, and what is registered before."""
    gc.disable()  # as `server.engines.vllm_entry` does: what is imported is no garbage, and there is much of it
    registered = register()
    from vllm.platforms import current_platform  # noqa: PLC0415

    from server.engines import vllm_entry  # noqa: PLC0415

    # Single functions too are made a graph of, and not C++.
    type(current_platform).simple_compile_backend = "aot_eager"
    for name in IMPORTED:
        importlib.import_module(name)
    vllm_entry.prepare()
    gc.enable()
    return registered


def main() -> None:
    """Do what is asked for, each in a process of its own, forked: it finds vLLM imported."""
    asked = Connection(int(sys.argv[1]))
    registered = dataclasses.asdict(import_all())
    forked = multiprocessing.get_context("fork")

    def started(do: Callable[..., None], *arguments: Any) -> Any:
        process = forked.Process(target=do, args=arguments)
        process.start()
        return process

    def all_done(wanted: Path, results: Path, benchmarked: Path, *checkpoints: str) -> tuple[Any, ...]:
        measured = None
        try:
            measured = dataclasses.asdict(benchmark(str(benchmarked), forked))
        except Exception:  # noqa: BLE001 - the tests of what else is done here shall run
            traceback.print_exc()
        graphs = forked.Value("i", 0)
        for name, job in json.loads(wanted.read_text()).items():
            started(run_engine, name, job, results, graphs).join()
        receiver, sender = forked.Pipe(duplex=False)
        with sender:
            started(quantize, sender, *checkpoints, "--load").join()
        return registered, measured, graphs.value, dataclasses.asdict(receiver.recv())

    # vLLM looks at a model's class in a process of its own, that imports vLLM again; once, then it remembers it.
    with mock.patch("vllm.model_executor.models.registry._run_in_subprocess", lambda look: look()):
        while True:
            try:
                what, *arguments = asked.recv()
            except EOFError:  # whoever asks is gone
                for process in multiprocessing.active_children():
                    process.terminate()
                return
            if what == "run":
                asked.send(all_done(*arguments))
            elif what == "serve":
                server = started(serve, *arguments)
                asked.send(server.pid)
            else:
                server.join(STOP_S)
                server.kill()  # one that has not minded SIGTERM
                server.join()
                asked.send(server.exitcode)


if __name__ == "__main__":
    main()
