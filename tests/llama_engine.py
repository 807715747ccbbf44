"""Engines of `server.selftest`, and `babelview quantize --load`, which starts one too, in one process of their own.

python -m tests.llama_engine jobs.json results.jsonl SRC DST
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from server.selftest.engines import ENVIRONMENT, read_results, write_jobs

if TYPE_CHECKING:
    from server.selftest.engines import Done, Job


@dataclass
class Quantized:
    """How the command ended: its exit code, and what it said."""

    code: int
    said: str


def run(jobs: dict[str, Job], quantize: tuple[Path, Path], folder: Path) -> tuple[dict[str, Done], Quantized]:
    """Run engines and wait for what they write.

    Args:
        jobs: The engines, by name.
        quantize: A checkpoint, and where to `babelview quantize --load` it to.
        folder: For files.
    """
    wanted, results = folder / "jobs.json", folder / "results.jsonl"
    write_jobs(jobs, wanted)
    said = subprocess.run(
        [sys.executable, "-m", "tests.llama_engine", *map(str, (wanted, results, *quantize))],
        env=os.environ | ENVIRONMENT,
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return read_results(results), Quantized(**json.loads(said.splitlines()[-1]))


def main() -> None:
    """Run the jobs of a file, then the command."""
    from server import quantize  # noqa: PLC0415 - here and below: not in the process of the tests
    from server.selftest.engine_process import run_jobs  # noqa: PLC0415

    wanted, results, *checkpoints = sys.argv[1:]
    run_jobs(json.loads(Path(wanted).read_text()), Path(results))
    with redirect_stdout(io.StringIO()) as said:
        code = quantize.main([*checkpoints, "--load"])
    print(json.dumps({"code": code, "said": said.getvalue()}))


if __name__ == "__main__":
    main()
