"""vLLM engines in a process of their own, one after the other, and `babelview quantize --load`, which starts one too.

    python -m tests.llama_engine jobs.json results.json

An engine changes much of its process (threads, default types, patched modules), and needs settings in the
environment before anything is imported; so tests do not run it in theirs.
"""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import os
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass
class Request:
    """A prompt as token ids, files of its pictures, and how many tokens to write."""

    prompt: list[int]
    pictures: list[str] = field(default_factory=list)
    tokens: int = 16


@dataclass
class Job:
    """An engine (arguments of `vllm.LLM`) and its batches; the requests of a batch run together.

    Before the last batch vLLM's encoder cache is reset.
    """

    checkpoint: str
    batches: list[list[Request]]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class Written:
    """What the engine wrote for a request."""

    tokens: list[int]
    logprobs: list[float]


@dataclass
class Batch:
    """What an engine did with a batch.

    Attributes:
        written: What it wrote for each request.
        error: Why it refused the batch, or None.
        preemptions: How often a request had to give way to others and was computed again.
        tower_runs: Pictures for which the vision tower ran.
        cached: Pictures for which it did not.
    """

    written: list[Written]
    error: str | None
    preemptions: int
    tower_runs: int
    cached: int


@dataclass
class Quantized:
    """How the command ended: its exit code, and what it said."""

    code: int
    said: str


def run(jobs: dict[str, Job], quantize: tuple[Path, Path], folder: Path) -> tuple[dict[str, list[Batch]], Quantized]:
    """Run engines and wait for what they write; an engine that failed is left out, its trace is on stderr.

    Args:
        jobs: The engines, by name.
        quantize: A checkpoint, and where to `babelview quantize --load` it to.
        folder: For files.
    """
    wanted, results = folder / "jobs.json", folder / "results.json"
    engines = {name: dataclasses.asdict(job) for name, job in jobs.items()}
    wanted.write_text(json.dumps({"engines": engines, "quantize": list(map(str, quantize))}))
    subprocess.run(
        [sys.executable, "-m", "tests.llama_engine", str(wanted), str(results)],
        env=os.environ | ENVIRONMENT,
        cwd=Path(__file__).parent.parent,
        check=True,
    )
    done = json.loads(results.read_text())
    written = {name: [_read(batch) for batch in batches] for name, batches in done["engines"].items()}
    return written, Quantized(**done["quantize"])


def _read(batch: dict[str, Any]) -> Batch:
    return Batch(**(batch | {"written": [Written(**written) for written in batch["written"]]}))


def run_job(job: dict[str, Any]) -> list[Batch]:
    """Run one engine in this process."""
    from PIL import Image  # noqa: PLC0415 - here and below: not in the process of the tests
    from vllm import LLM, SamplingParams  # noqa: PLC0415
    from vllm.exceptions import VLLMClientError  # noqa: PLC0415

    engine = LLM(
        job["checkpoint"],
        **{
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 128,
            "max_num_batched_tokens": 256,
            "max_num_seqs": 8,
            "limit_mm_per_prompt": {"image": 3},
            "gpu_memory_utilization": 0.05,
            "block_size": 32,
            "disable_log_stats": False,
            **job["arguments"],
        },
    )
    runner = engine.llm_engine.model_executor.driver_worker.worker.model_runner
    cache = runner.model.encoder_cache
    done = []
    for number, batch in enumerate(job["batches"], 1):
        if number == len(job["batches"]):
            engine.llm_engine.reset_encoder_cache()
        prompts, parameters = [], []
        for request in batch:
            pictures = [Image.open(path) for path in request["pictures"]]
            data = {"multi_modal_data": {"image": pictures}} if pictures else {}
            prompts.append({"prompt_token_ids": request["prompt"], **data})
            count = request["tokens"]
            parameters.append(SamplingParams(temperature=0, max_tokens=count, min_tokens=count, logprobs=0))
        earlier = (_preemptions(engine), cache.misses, cache.hits)
        outputs, error = [], None
        try:
            outputs = engine.generate(prompts, parameters, use_tqdm=False)
        except (ValueError, VLLMClientError) as refused:
            error = str(refused)
        written = [_written(output.outputs[0]) for output in outputs]
        counts = (_preemptions(engine), cache.misses, cache.hits)
        done.append(Batch(written, error, *(now - then for now, then in zip(counts, earlier, strict=True))))
    return done


def _preemptions(engine: Any) -> int:
    return sum(metric.value for metric in engine.get_metrics() if metric.name == "vllm:num_preemptions")


def _written(output: Any) -> Written:
    logprobs = [step[token].logprob for step, token in zip(output.logprobs, output.token_ids, strict=True)]
    return Written(list(output.token_ids), logprobs)


def main() -> None:
    """Run the jobs of a file."""
    from vllm.distributed import cleanup_dist_env_and_memory  # noqa: PLC0415

    from server import quantize  # noqa: PLC0415

    paths = map(Path, sys.argv[1:])
    wanted, results = json.loads(next(paths).read_text()), next(paths)
    done = {}
    for name, job in wanted["engines"].items():
        try:
            done[name] = [dataclasses.asdict(batch) for batch in run_job(job)]
        except Exception:  # noqa: BLE001 - the tests of the other engines shall run
            traceback.print_exc()
        gc.collect()
        cleanup_dist_env_and_memory()
    with redirect_stdout(io.StringIO()) as said:
        code = quantize.main([*wanted["quantize"], "--load"])
    results.write_text(json.dumps({"engines": done, "quantize": {"code": code, "said": said.getvalue()}}))


if __name__ == "__main__":
    main()
