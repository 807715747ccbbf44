"""Measure what the encoder cache saves: several tasks on one picture, with the cache and without.

    python scripts/bench_encoder_cache.py Llama-3.2-11B-Vision-Instruct-FP8-dynamic ad.jpg --tasks 8

Prints for each setting the seconds until all tasks had their first token, and how often the vision tower ran. The
tasks are asked one after the other, as a batch run does that asks all its tasks about a file before the next one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from server.llama_vision.encoder_cache import CAPACITY_VARIABLE, DEFAULT_MIB

ONE_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"


def measure(checkpoint: str, picture: Path, tasks: int, dtype: str, memory: float) -> tuple[float, int]:
    """Run the tasks in this process.

    Returns:
        Seconds, and how many times the vision tower ran.
    """
    from PIL import Image  # noqa: PLC0415 - here and below: only the measuring process needs the engine
    from vllm import LLM, SamplingParams  # noqa: PLC0415

    engine = LLM(
        checkpoint,
        dtype=dtype,
        enforce_eager=True,
        gpu_memory_utilization=memory,
        max_model_len=1024,
        max_num_batched_tokens=8192,
        max_num_seqs=8,
    )
    image = Image.open(picture).convert("RGB")
    first_token = SamplingParams(max_tokens=1)

    def ask(task: str, shown: Image.Image) -> None:
        prompt = f"<|image|><|begin_of_text|>{task}"
        engine.generate({"prompt": prompt, "multi_modal_data": {"image": shown}}, first_token, use_tqdm=False)

    ask("warm up", image.rotate(180))
    cache = engine.llm_engine.model_executor.driver_worker.worker.model_runner.model.encoder_cache
    before, start = cache.misses, time.perf_counter()
    for number in range(tasks):
        ask(f"Task {number}: describe the picture.", image)
    return time.perf_counter() - start, cache.misses - before


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or hub name of a Llama 3.2 Vision checkpoint")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--tasks", type=int, default=8, help="tasks on the picture (default: %(default)s)")
    parser.add_argument("--dtype", default="auto", help="as vLLM's --dtype (default: %(default)s)")
    parser.add_argument("--gpu-memory-utilization", type=float, default=0.85, help="low on a CPU (e.g. 0.1)")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        seconds, runs = measure(
            arguments.checkpoint,
            arguments.picture,
            arguments.tasks,
            arguments.dtype,
            arguments.gpu_memory_utilization,
        )
        print(f"{arguments.tasks} tasks: {seconds:.2f} s, vision tower ran {runs} times")
        return 0
    for title, capacity in (("without the cache", 0), ("with the cache", DEFAULT_MIB)):
        print(title, end=": ", flush=True)
        environment = {**os.environ, CAPACITY_VARIABLE: str(capacity), ONE_PROCESS: "0"}
        done = subprocess.run([sys.executable, *sys.argv, "--measure"], env=environment, check=False)
        if done.returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
