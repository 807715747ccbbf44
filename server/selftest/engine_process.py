"""The process that `server.selftest.engines` starts: runs engines one after the other.

Each result is written when it is there: what was done stays if the process is ended.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from server.selftest.engines import Batch, Done, Written

DEFAULTS: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 128,
    "max_num_batched_tokens": 256,
    "max_num_seqs": 8,
    "gpu_memory_utilization": 0.05,
    "block_size": 32,
    "num_gpu_blocks_override": 256,
    "disable_log_stats": False,
}


def run_jobs(jobs: dict[str, Any], results: Path) -> None:
    """Run engines, and append a line for each to `results`; one that fails does not take the others with it."""
    from vllm.distributed import cleanup_dist_env_and_memory  # noqa: PLC0415 - here and below: heavy

    for name, job in jobs.items():
        run_and_tell(name, job, results)
        gc.collect()
        cleanup_dist_env_and_memory()


def run_and_tell(name: str, job: dict[str, Any], results: Path) -> None:
    """Run one engine, and append a line for it to `results`."""
    try:
        done = run_job(job)
    except Exception as error:  # noqa: BLE001 - it is told
        traceback.print_exc()
        done = Done([], error=f"{type(error).__name__}: {error}")
    with results.open("a") as file:
        file.write(json.dumps({"name": name, **dataclasses.asdict(done)}) + "\n")


def run_job(job: dict[str, Any]) -> Done:
    """Run one engine in this process."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415
    from vllm.exceptions import VLLMClientError  # noqa: PLC0415

    engine = LLM(job["checkpoint"], **(DEFAULTS | job["arguments"]))
    cache = _encoder_cache(engine)
    done = []
    for number, batch in enumerate(job["batches"]):
        if number == job["reset_before"]:
            engine.llm_engine.reset_encoder_cache()
        if number == job["sleep_before"]:
            engine.sleep(level=1)
            engine.wake_up()
        parameters = [
            SamplingParams(temperature=0, max_tokens=request["tokens"], min_tokens=request["tokens"], logprobs=0)
            for request in batch
        ]
        earlier = (_preemptions(engine), *cache())
        outputs, error = [], None
        try:
            outputs = engine.generate([_prompt(request) for request in batch], parameters, use_tqdm=False)
        except (ValueError, VLLMClientError) as refused:
            error = str(refused)
        written = [_written(output.outputs[0]) for output in outputs]
        counts = (_preemptions(engine), *cache())
        done.append(Batch(written, error, *(now - then for now, then in zip(counts, earlier, strict=True))))
    return Done(done, _how_it_runs(engine))


def _prompt(request: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    pictures = [Image.open(path) for path in request["pictures"]]
    data: dict[str, Any] = {"image": pictures} if pictures else {}
    if request["video"]:
        data = {"video": np.stack([np.asarray(picture) for picture in pictures])}
    return {"prompt_token_ids": request["prompt"], **({"multi_modal_data": data} if data else {})}


def _encoder_cache(engine: Any) -> Any:
    """What counts the runs of the plugin's tower, and what it found in its cache; zeros where there is none here."""
    executor = engine.llm_engine.model_executor
    worker = getattr(getattr(executor, "driver_worker", None), "worker", None)
    cache = getattr(getattr(getattr(worker, "model_runner", None), "model", None), "encoder_cache", None)
    return lambda: (getattr(cache, "misses", 0), getattr(cache, "hits", 0))


def _how_it_runs(engine: Any) -> str:
    config = engine.llm_engine.vllm_config
    runner = "V2" if getattr(config, "use_v2_model_runner", False) else "V1"
    graphs = getattr(config.compilation_config.cudagraph_mode, "name", "NONE")
    backend = getattr(getattr(config, "attention_config", None), "backend", None)
    return f"model runner {runner}, graphs {graphs}" + (f", {backend.name}" if backend else "")


def _preemptions(engine: Any) -> int:
    return sum(metric.value for metric in engine.get_metrics() if metric.name == "vllm:num_preemptions")


def _written(output: Any) -> Written:
    logprobs = [step[token].logprob for step, token in zip(output.logprobs, output.token_ids, strict=True)]
    return Written(list(output.token_ids), logprobs)


def main() -> None:
    """Run the jobs of a file."""
    jobs, results = map(Path, sys.argv[1:])
    run_jobs(json.loads(jobs.read_text()), results)


if __name__ == "__main__":
    main()
