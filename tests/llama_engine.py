"""All that needs vLLM in a fresh process, in one: importing it takes ten seconds.

    python -m tests.llama_engine jobs.json results.jsonl BENCHMARKED SRC DST

What the plugin's registration does, an engine of `scripts.benchmarks.plugin`, engines of `server.selftest`, and
`babelview quantize --load`, which starts one too.
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
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from server.selftest.engines import ENVIRONMENT, read_results, write_jobs
from server.selftest.variants import NOT_COMPILED

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from multiprocessing.sharedctypes import Synchronized

    from server.selftest.engines import Done, Job

IMPORTED = (
    *("vllm.entrypoints.llm", "vllm.v1.worker.cpu_worker", "vllm.distributed"),
    *("server.llama_vision.model", "vllm.model_executor.models.llava_next_video"),
)
"""What engines import."""


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


def run(jobs: dict[str, Job], quantize: tuple[Path, Path], benchmarked: Path, folder: Path) -> AllDone:
    """Run it all and wait.

    Args:
        jobs: The engines, by name.
        quantize: A checkpoint, and where to `babelview quantize --load` it to.
        benchmarked: A checkpoint for the engine of the plugin's benchmark.
        folder: For files.
    """
    wanted, results = folder / "jobs.json", folder / "results.jsonl"
    write_jobs(jobs, wanted)
    said = subprocess.run(
        [sys.executable, "-m", "tests.llama_engine", *map(str, (wanted, results, benchmarked, *quantize))],
        env=os.environ | ENVIRONMENT | NOT_COMPILED,
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    told = json.loads(said.splitlines()[-1])
    return AllDone(
        Registered(**told["registered"]),
        Benchmarked(**told["benchmarked"]) if told["benchmarked"] else None,
        read_results(results),
        told["graphs"],
        Quantized(**told["quantized"]),
    )


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


def quantize(source: str, target: str, said: Connection) -> None:
    """Run `babelview quantize --load`."""
    from server import quantize as command  # noqa: PLC0415

    with redirect_stdout(io.StringIO()) as output:
        code = command.main([source, target, "--load"])
    said.send(Quantized(code, output.getvalue()))


def main() -> None:
    """Do all; after the imports each engine has a process of its own, forked: it finds vLLM imported."""
    wanted, results, benchmarked, *checkpoints = sys.argv[1:]
    gc.disable()  # as `server.engines.vllm_entry` does: what is imported is no garbage, and there is much of it
    told: dict[str, Any] = {"registered": dataclasses.asdict(register()), "benchmarked": None}
    from vllm.platforms import current_platform  # noqa: PLC0415

    # Single functions too are made a graph of, and not C++.
    type(current_platform).simple_compile_backend = "aot_eager"
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    forked = multiprocessing.get_context("fork")

    def in_a_process(do: Callable[..., None], *arguments: Any) -> None:
        process = forked.Process(target=do, args=arguments)
        process.start()
        process.join()

    graphs = forked.Value("i", 0)
    receiver, sender = forked.Pipe(duplex=False)
    # vLLM looks at a model's class in a process of its own, that imports vLLM again; once, then it remembers it.
    with mock.patch("vllm.model_executor.models.registry._run_in_subprocess", lambda look: look()):
        try:
            told["benchmarked"] = dataclasses.asdict(benchmark(benchmarked, forked))
        except Exception:  # noqa: BLE001 - the tests of what else is done here shall run
            traceback.print_exc()
        for name, job in json.loads(Path(wanted).read_text()).items():
            in_a_process(run_engine, name, job, Path(results), graphs)
        in_a_process(quantize, *checkpoints, sender)
    sender.close()
    quantized = receiver.recv()
    print(json.dumps(told | {"graphs": graphs.value, "quantized": dataclasses.asdict(quantized)}))


if __name__ == "__main__":
    main()
